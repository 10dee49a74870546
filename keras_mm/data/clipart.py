from importlib import resources


def clipart():
    """The bundled real data set: 1,409 pieces of clip art in nine classes.

    Examples:

    >>> table = keras_mm.data.clipart()
    >>> list(table.columns)
    ['id', 'image', 'title', 'text', 'category', 'author', 'group', 'split']

    Returns:
        DataFrame with `image` (JPEG bytes, 96 pixels), `text` (title and
        keywords), `category` (the class), `title` and `author` (for credit),
        `group` (the same for near-duplicates) and `split` (train, val or test;
        each group is in one of them).

    Reference:
        Open Clip Art Library, public domain, as packaged in Debian's
        openclipart 0.18+dfsg-19.
    """
    import pandas as pd

    with resources.files(__package__).joinpath("clipart.parquet").open("rb") as file:
        return pd.read_parquet(file)
