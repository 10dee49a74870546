import os

from ..inputs.missing_words import without_words, words_of
from .columns import column_name
from .read_file import read_file
from .tensors import Tensors


def to_table(source, missing=()):
    """Reads a table from a file, a dict or a DataFrame into a pandas DataFrame.

    Cells are read without guessing types. Those of a CSV or TSV file are the text in
    the file, such as `"01234"`, `"true"` and `"NA"`: types come from the schema, whose
    numbers, dates, vectors, sequences, graphs and lists read text. JSON values keep
    their types. Missing are only an empty cell, JSON's `null` and absent names, and
    pandas' missing values; in columns of numbers and dates also `"NA"`, `"N/A"`,
    `"NaN"`, `"null"` and `"None"`, in upper or lower case.

    Examples:

    >>> keras_mm.data.to_table({"age": [31, 47], "city": ["Oslo", None]}).shape
    (2, 2)
    >>> keras_mm.data.to_table({"city": ["Oslo", "?"]}, missing=["?"])["city"].tolist()
    ['Oslo', None]

    Args:
        source: a pandas DataFrame; the path of a `.csv`, `.tsv`, `.parquet`,
            `.jsonl` or `.json` (one object a line, or an array of objects) file;
            or a dict from column name to a list or array with one entry per row.
            Text files are in UTF-8, or in the encoding of their byte order mark; the
            separator of a CSV file may be `;`, a tab or `|` if all rows agree.
        missing: a value or a list of values, such as `["?", -999]`; cells that hold
            one are missing as well. They are compared as names: -999, -999.0 and
            `"-999.0"` are the same, with or without spaces around, but `"-999.00"`
            is not, since it is not known yet that a column holds numbers. In a list
            of texts such an item becomes None. This applies to this table only;
            `Schema(..., missing=...)` applies to all tables and requests that a
            model is given, and compares numbers as numbers.

    Returns:
        DataFrame with rows numbered from 0. Column names that are numbers become
        text: 0 is `"0"`, as in a file. The source is not changed.

    Raises:
        ValueError: if the table is empty, has two columns of the same name, or
            cannot be read.
    """
    import pandas as pd

    if isinstance(source, Tensors):
        raise ValueError(
            "This reads a table, whose cells are preprocessed, and Tensors are "
            "preprocessed already. Give a DataFrame, a path or a dict of columns. "
            f"Received: Tensors of {list(source)}"
        )
    if isinstance(source, (str, os.PathLike)):
        table = read_file(os.fspath(source))
    elif isinstance(source, pd.DataFrame):
        table = source
    elif isinstance(source, dict):
        table = _from_dict(source)
    else:
        raise ValueError(
            "A table is a pandas DataFrame, the path of a CSV, Parquet or JSON "
            "Lines file, or a dict of columns. "
            f"Received: table of type {type(source).__name__}"
        )
    # Every message numbers rows from 0; cells must not be matched by a duplicate
    # or shuffled index.
    table = table.reset_index(drop=True)
    table.columns = [_as_text(name) for name in table.columns]
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
    words = words_of(missing)
    for name in table.columns if words else ():
        table[name] = without_words(table[name], words)
    return table


def _as_text(name):
    """A column's name as text: 0 is `"0"`, as in a file."""
    name = column_name(name)
    if isinstance(name, str):
        return name
    raise ValueError(
        "A column's name must be text. Rename the column: "
        "table.columns = ['_'.join(map(str, name)) for name in table.columns] for a "
        "MultiIndex, table.rename(columns=str) for the rest. "
        f"Received: column {name!r}"
    )


def _from_dict(source):
    import pandas as pd

    lengths = {}
    for name, values in source.items():
        no_column = (str, bytes, dict, set, frozenset)
        if isinstance(values, no_column) or not hasattr(values, "__len__"):
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
    columns = {}
    for name, values in source.items():
        if getattr(values, "ndim", 1) != 1:
            # Each row of an array of several dimensions is one cell.
            values = pd.Series(list(values), dtype=object)
        elif isinstance(values, pd.Series):
            # Cells are matched by position, not by index.
            values = values.reset_index(drop=True)
        columns[name] = values
    return pd.DataFrame(columns)
