import os

_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".bmp")


def from_folder(path):
    """Reads a folder of pictures with one sub-folder for each class.

    Examples:

    >>> table = keras_mm.data.from_folder("flowers")

    Args:
        path: the folder.

    Returns:
        DataFrame with `image` (paths), `label` (the sub-folder's name) and
        `text` where a file `name.txt` stands beside `name.jpg`.
    """
    import pandas as pd

    if not os.path.isdir(path):
        raise ValueError(f"There is no such folder. Received: path={path!r}")
    rows = []
    for label in sorted(os.listdir(path)):
        folder = os.path.join(path, label)
        if not os.path.isdir(folder):
            continue
        for file in sorted(os.listdir(folder)):
            stem, ending = os.path.splitext(os.path.join(folder, file))
            if ending.lower() not in _PICTURES:
                continue
            row = {"image": stem + ending, "label": label}
            if os.path.isfile(stem + ".txt"):
                row["text"] = _read_text(stem + ".txt")
            rows.append(row)
    if not rows:
        raise ValueError(
            "The folder must hold one sub-folder of pictures for each class "
            f"({', '.join(_PICTURES)}). Received: path={path!r}"
        )
    return pd.DataFrame(rows)


def _read_text(path):
    with open(path, encoding="utf-8") as file:
        try:
            return file.read().strip()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"The file is not UTF-8 text. Save it as UTF-8. Received: path={path!r}"
            ) from error
