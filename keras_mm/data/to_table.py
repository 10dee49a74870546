import os

from ..inputs.missing_words import without_words, words_of
from .columns import column_name
from .read_file import read_file
from .tensors import Tensors


def to_table(source, missing=()):
    """Reads rows from wherever they are into a pandas DataFrame.

    Cells mean what the source spells. Those of a CSV or TSV file are text as it
    stands there, `"01234"`, `"true"` and `"NA"`: types come from the schema, whose
    numbers, dates, vectors, sequences, graphs and lists read text. Values of JSON
    keep their types. Only an empty cell, `null` or an absent name of JSON, and what
    pandas has for it, is missing; besides, numbers and dates are missing where text
    says so (`"NA"`, `"N/A"`, `"NaN"`, `"null"`, `"None"`, in any case of letters).

    Examples:

    >>> keras_mm.data.to_table({"age": [31, 47], "city": ["Oslo", None]}).shape
    (2, 2)
    >>> keras_mm.data.to_table({"city": ["Oslo", "?"]}, missing=["?"])["city"].tolist()
    ['Oslo', None]

    Args:
        source: a pandas DataFrame; the path of a `.csv`, `.tsv`, `.parquet`,
            `.jsonl` or `.json` (one object a line, or an array of objects) file;
            or a dict from column name to a list or array with one entry a row.
            Text files are in UTF-8, or in what their byte order mark says; a CSV
            file may be parted by `;`, tabs or `|` where all rows agree.
        missing: a value or a list of them, such as `["?", -999]`; cells that hold
            one are missing, too, as the names that they are: -999, -999.0 and
            `"-999.0"` are one, with spaces around or not, `"-999.00"` is another, since
            nothing says yet that a column holds numbers. In a list of texts such an
            item becomes None. That is for this table alone;
            `Schema(..., missing=...)` is for all that a model will be given, requests
            included, and compares numbers as numbers.

    Returns:
        DataFrame, the rows numbered from 0, and columns called by numbers by text:
        the column 0 is `"0"`, as it would be in a file. The source is not changed.

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
    # Rows are numbered from 0 in every message; a duplicate or shuffled index
    # must not decide which cells belong together.
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
    """A column's name as text; 0 is `"0"`, as in a file."""
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
            # An array of many dimensions becomes one cell a row.
            values = pd.Series(list(values), dtype=object)
        elif isinstance(values, pd.Series):
            # The n-th cell is the n-th row's, whatever their indices say.
            values = values.reset_index(drop=True)
        columns[name] = values
    return pd.DataFrame(columns)
