"""Table files -> DataFrames whose cells are what the file spells."""

import codecs
import csv
import itertools
import json
import os
import re

# Longer marks first: that of UTF-32 begins as that of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = (",", ";", "\t", "|")
# Rows that must agree before a separator is taken for one.
_ROWS = 50
_REMEDY = (
    "JSON tables hold one object a line, or an array of objects; write "
    "table.to_json(path, orient='records', lines=True, date_format='iso')"
)


def read_file(path):
    """Reads a CSV, TSV, Parquet, JSON Lines or JSON file; see `to_table`."""
    if not os.path.isfile(path):
        raise ValueError(f"There is no such file. Received: table={path!r}")
    ending = os.path.splitext(path)[1].lower()
    readers = dict.fromkeys((".csv", ".tsv"), _read_csv)
    readers |= dict.fromkeys((".parquet", ".pq"), _read_parquet)
    readers |= dict.fromkeys((".json", ".jsonl", ".ndjson"), _read_json)
    if ending not in readers:
        raise ValueError(
            "A table file ends in .csv, .tsv, .parquet, .jsonl or .json. Whatever "
            "else pandas reads goes as a DataFrame. "
            f"Received: table={path!r}"
        )
    try:
        return readers[ending](path)
    except UnicodeError as error:
        raise ValueError(
            f"The file is no text in UTF-8: {error}. Save it as UTF-8, or tell "
            "pandas its encoding and pass the DataFrame: pandas.read_csv(path, "
            "encoding='cp1252', dtype=str, keep_default_na=False). "
            f"Received: table={path!r}"
        ) from error
    except Exception as error:
        raise ValueError(
            f"The file cannot be read as a table: {str(error).strip()}. Received: table={path!r}"
        ) from error


def _read_parquet(path):
    from pyarrow import parquet

    # Integers stay integers where some are missing.
    table = parquet.read_table(path, partitioning=None)
    return table.to_pandas(integer_object_nulls=True)


def _encoding(path):
    """UTF-8 with or without a mark, or what another mark says."""
    with open(path, "rb") as file:
        start = file.read(1000)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    if b"\0" in start:
        raise ValueError(
            "it holds NUL, as UTF-16 without a byte order mark does. Save it as "
            "UTF-8, or tell pandas its encoding and pass the DataFrame: "
            "pandas.read_csv(path, encoding='utf-16-le', dtype=str, "
            "keep_default_na=False)"
        )
    return "utf-8-sig"


def _read_csv(path):
    """Cells as text, NaN where they are empty."""
    import pandas as pd

    encoding = _encoding(path)
    with open(path, encoding=encoding) as file:
        # Excel reads, and some programs write, a line that says it.
        said = re.fullmatch(r"sep=(.)\n?", file.readline(10))
        if not said:
            file.seek(0)
        before, after = _blank_lines(file)
    table = pd.read_csv(
        path,
        sep=said[1] if said else _separator(path, encoding),
        skiprows=before + bool(said),
        # An empty cell of a single column is such a line, and no row is lost.
        skip_blank_lines=False,
        encoding=encoding,
        # Read as data, a row that is longer than the names is an error, and equal
        # names stay equal.
        header=None,
        dtype=object,
        keep_default_na=False,
        na_values=[""],
    )
    names = table.iloc[0]
    table = table.iloc[1 : len(table) - after]
    table.columns = [
        f"Unnamed: {place}" if name != name else name
        for place, name in enumerate(names)
    ]
    return table


def _blank_lines(lines):
    """How many there are before the first that is not, and after the last."""
    before, after = None, 0
    for line in lines:
        if line.strip(" \n"):
            before = after if before is None else before
            after = 0
        else:
            after += 1
    return (before, after) if before is not None else (after, 0)


def _separator(path, encoding):
    """What stands between a file's columns; refused where that is not certain."""
    usual = "\t" if path.lower().endswith(".tsv") else ","
    widths = {mark: _widths(path, encoding, mark) for mark in _SEPARATORS}

    def fits(mark):
        return len(set(widths[mark])) == 1 and widths[mark][0] > 1

    fitting = [mark for mark in _SEPARATORS if fits(mark)]
    # A file called .tsv says what it is.
    if len(fitting) == 1 or (usual == "\t" and usual in fitting):
        return usual if usual in fitting else fitting[0]
    is_one_column = not any(width[:1] > [1] for width in widths.values())
    if not fitting and (is_one_column or widths[usual][:1] > [1]):
        return usual
    found = f", {' or '.join(map(repr, fitting))}" if fitting else ""
    raise ValueError(
        f"it is not certain what stands between its columns{found}. Write sep=; as "
        "its first line, or pass a DataFrame: pandas.read_csv(path, sep=';', "
        "dtype=str, keep_default_na=False)"
    )


def _widths(path, encoding, separator):
    """Numbers of cells in a file's first rows, with some separator."""
    with open(path, encoding=encoding, newline="") as file:
        rows = csv.reader(file, delimiter=separator)
        try:
            return [len(row) for row in itertools.islice(rows, _ROWS) if row]
        except csv.Error:
            # A cell longer than this reader takes: a whole file without quotes.
            return []


def _read_json(path):
    """JSON Lines, or an array of objects; values keep their types."""
    import pandas as pd

    with open(path, encoding=_encoding(path)) as file:
        is_array = re.match(r"\s*\[", file.read(1000))
        file.seek(0)
        columns, number = {}, -1
        for number, record in enumerate((_array if is_array else _lines)(file)):
            if not isinstance(record, dict):
                raise ValueError(f"row {number} is no object. {_REMEDY}")
            for name, value in record.items():
                column = columns.setdefault(name, [])
                # Rows that do not have it.
                column += [None] * (number - len(column))
                column.append(value)
    if number == 0:
        first = {name: column[0] for name, column in columns.items()}
        _refuse_columns(first, is_array)
    for column in columns.values():
        column += [None] * (number + 1 - len(column))
    return pd.DataFrame({name: _column(cells) for name, cells in columns.items()})


def _array(file):
    try:
        return json.load(file, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}. {_REMEDY}") from error


def _lines(file):
    for number, line in enumerate(file, 1):
        try:
            if line.strip():
                yield json.loads(line, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: {error.msg}. {_REMEDY}") from error


def _object(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"a name stands twice in one object of {names}")
    return found


def _refuse_columns(record, is_array):
    """Refuses a single object that is a whole table, or could be one."""
    cells = list(record.values())
    if cells and all(map(_is_column, cells)):
        raise ValueError(f"it holds columns instead of rows. {_REMEDY}")
    # An array of one object says that this is a row.
    if is_array or not cells or not all(isinstance(cell, list) for cell in cells):
        return
    are_records = any(isinstance(item, dict) for cell in cells for item in cell)
    is_split = set(record) >= {"columns", "data"}
    if are_records or is_split or len(set(map(len, cells))) == 1:
        raise ValueError(
            "it is one object of lists, which are columns, or the cells of one row. "
            f"{_REMEDY}. A single row stands in an array: [{{...}}]"
        )


def _is_column(value):
    """Whether a value is a column as `DataFrame.to_json(path)` writes it."""
    return isinstance(value, dict) and bool(value) and all(map(str.isdigit, value))


def _column(values):
    """Numbers as numbers, all else as it is: an integer is never made a float."""
    import pandas as pd

    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "floating":
        return pd.Series(values, dtype="float64")
    whole = kind in ("integer", "boolean") and None not in values
    return pd.Series(values, dtype=None if whole else object)
