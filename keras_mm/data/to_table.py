import os


def to_table(source):
    """Reads rows from wherever they are into a pandas DataFrame.

    Examples:

    >>> keras_mm.data.to_table({"age": [31, 47], "city": ["Oslo", None]}).shape
    (2, 2)

    Args:
        source: a pandas DataFrame; the path of a `.csv`, `.tsv`, `.parquet`,
            `.jsonl` or `.json` (one object a line) file; or a dict from column
            name to a list or array with one entry a row.

    Returns:
        DataFrame, the rows numbered from 0. The source is not changed.

    Raises:
        ValueError: if the table is empty, has two columns of the same name, or
            cannot be read.
    """
    import pandas as pd

    if isinstance(source, (str, os.PathLike)):
        table = _read(os.fspath(source))
    elif isinstance(source, pd.DataFrame):
        table = source
    elif isinstance(source, dict):
        lengths = {}
        for name, values in source.items():
            if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
                raise ValueError(
                    "A dict table holds a list or array for each column. "
                    f"Received: {name}={values!r}"
                )
            lengths[name] = len(values)
        if len(set(lengths.values())) > 1:
            raise ValueError(
                "The columns of a table must be of the same length. "
                f"Received: lengths={lengths}"
            )
        # list(): an array of many dimensions becomes one cell a row.
        table = pd.DataFrame(
            {
                name: pd.Series(list(values), dtype=object)
                if getattr(values, "ndim", 1) != 1
                else values
                for name, values in source.items()
            }
        )
    else:
        raise ValueError(
            "A table is a pandas DataFrame, the path of a CSV, Parquet or JSON "
            "Lines file, or a dict of columns. "
            f"Received: table of type {type(source).__name__}"
        )
    twice = table.columns[table.columns.duplicated()].unique().tolist()
    if twice:
        raise ValueError(
            "Two columns of the table have the same name. Rename one. "
            f"Received: columns={twice}"
        )
    if not len(table):
        raise ValueError(
            f"The table has no rows. Received: columns={list(table.columns)}"
        )
    # Rows are numbered from 0 in every message; a duplicate or shuffled index
    # must not decide which cells belong together.
    return table.reset_index(drop=True)


def _read(path):
    import pandas as pd

    if not os.path.isfile(path):
        raise ValueError(f"There is no such file. Received: table={path!r}")
    ending = os.path.splitext(path)[1].lower()
    try:
        if ending in (".csv", ".tsv"):
            return pd.read_csv(path, sep="\t" if ending == ".tsv" else ",")
        if ending in (".parquet", ".pq"):
            return pd.read_parquet(path)
        if ending in (".jsonl", ".ndjson", ".json"):
            return pd.read_json(path, lines=True)
    except Exception as error:
        raise ValueError(
            f"The file cannot be read as a table: {error}. Received: table={path!r}"
        ) from error
    raise ValueError(
        f"A table file ends in .csv, .tsv, .parquet or .jsonl. Received: table={path!r}"
    )
