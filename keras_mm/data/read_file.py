"""Table files -> DataFrames, without guessing types."""

import codecs
import csv
import itertools
import json
import os
import re

# Longer marks first: that of UTF-32 begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = (",", ";", "\t", "|")
# Rows that must agree on a separator.
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
            "A table file ends in .csv, .tsv, .parquet, .jsonl or .json. Read other "
            "files with pandas and pass the DataFrame. "
            f"Received: table={path!r}"
        )
    try:
        return readers[ending](path)
    except UnicodeError as error:
        raise ValueError(
            f"The file is not UTF-8 text: {error}. Save it as UTF-8, or read "
            "it with its encoding and pass the DataFrame: pandas.read_csv(path, "
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
    """UTF-8 with or without a byte order mark, or the encoding that the mark means."""
    with open(path, "rb") as file:
        start = file.read(1000)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    if b"\0" in start:
        raise ValueError(
            "it holds NUL, as UTF-16 without a byte order mark does. Save it as "
            "UTF-8, or read it with its encoding and pass the DataFrame: "
            "pandas.read_csv(path, encoding='utf-16-le', dtype=str, "
            "keep_default_na=False)"
        )
    return "utf-8-sig"


def _read_csv(path):
    """Cells as text, NaN where they are empty."""
    import pandas as pd

    encoding = _encoding(path)
    with open(path, encoding=encoding) as file:
        # A first line `sep=;`, as Excel reads it, declares the separator.
        declared = re.fullmatch(r"sep=(.)\n?", file.readline(10))
        if not declared:
            file.seek(0)
        before, after = _blank_lines(file)
    table = pd.read_csv(
        path,
        sep=declared[1] if declared else _separator(path, encoding),
        skiprows=before + bool(declared),
        # In a single column, a blank line is an empty cell: no row may be lost.
        skip_blank_lines=False,
        encoding=encoding,
        # With the header read as data, rows longer than the header are errors, and
        # duplicate names are not renamed.
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
    """The number of blank lines at the beginning and at the end."""
    before, after = None, 0
    for line in lines:
        if line.strip(" \n"):
            before = after if before is None else before
            after = 0
        else:
            after += 1
    return (before, after) if before is not None else (after, 0)


def _separator(path, encoding):
    """The separator of a file's columns; an error where that is not certain."""
    usual = "\t" if path.lower().endswith(".tsv") else ","
    widths = {mark: _widths(path, encoding, mark) for mark in _SEPARATORS}

    def fits(mark):
        return len(set(widths[mark])) == 1 and widths[mark][0] > 1

    fitting = [mark for mark in _SEPARATORS if fits(mark)]
    # The ending .tsv decides, if it fits.
    if len(fitting) == 1 or (usual == "\t" and usual in fitting):
        return usual if usual in fitting else fitting[0]
    is_one_column = not any(width[:1] > [1] for width in widths.values())
    if not fitting and (is_one_column or widths[usual][:1] > [1]):
        return usual
    candidates = f": {' or '.join(map(repr, fitting))}" if fitting else ""
    raise ValueError(
        f"the separator of its columns is not certain{candidates}. Write sep=; as "
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
            # A cell longer than the reader allows, such as a file without quotes.
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
                raise ValueError(f"row {number} is not an object. {_REMEDY}")
            for name, value in record.items():
                column = columns.setdefault(name, [])
                # Earlier rows without this name.
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
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"a name occurs twice in one object of {names}")
    return record


def _refuse_columns(record, is_array):
    """Refuses a single object that is a whole table, or could be one."""
    cells = list(record.values())
    if cells and all(map(_is_column, cells)):
        raise ValueError(f"it holds columns instead of rows. {_REMEDY}")
    # An array of one object is a row.
    if is_array or not cells or not all(isinstance(cell, list) for cell in cells):
        return
    are_records = any(isinstance(item, dict) for cell in cells for item in cell)
    is_split = set(record) >= {"columns", "data"}
    if are_records or is_split or len(set(map(len, cells))) == 1:
        raise ValueError(
            "it is one object of lists, which are columns, or the cells of one row. "
            f"{_REMEDY}. Put a single row into an array: [{{...}}]"
        )


def _is_column(value):
    """Whether a value is a column as `DataFrame.to_json(path)` writes it."""
    return isinstance(value, dict) and bool(value) and all(map(str.isdigit, value))


def _column(values):
    """A column with a number dtype where that is lossless, else of objects."""
    import pandas as pd

    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "floating":
        return pd.Series(values, dtype="float64")
    whole = kind in ("integer", "boolean") and None not in values
    return pd.Series(values, dtype=None if whole else object)
