"""What a cell of a table holds: missing, text, bytes."""

import collections
import re

import numpy as np

from .literals import is_cut_short

# What text says where a number or a date is missing, in any case of letters.
# Among names all of these are names: a country may be NA.
MISSING_WORDS = frozenset(
    ("nan", "-nan", "na", "n/a", "#n/a", "#na", "<na>", "nat", "none", "null")
)
# What Python reads besides, such as 1_000, is no number.
_NUMBER = re.compile(
    r"[+-]?(([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?|inf|infinity)",
    re.IGNORECASE,
)
# A file of text holds "3.0" where its table held 3.0: the name "3".
WHOLE_FLOAT = r"^(-?(?:0|[1-9][0-9]*))\.0$"
CUT_SHORT = "NumPy has cut it short with '...'; write lists: array.tolist()"
_BOOLEANS = {"true": 1.0, "false": 0.0}


def is_missing(cell):
    """Whether one cell is missing: None, NaN, NA, NaT, or empty text."""
    if cell is None:
        return True
    if isinstance(cell, (str, bytes, bytearray)):
        return len(cell) == 0
    if isinstance(cell, (float, np.floating)):
        return cell != cell
    if isinstance(cell, np.ndarray):
        return cell.size == 0
    if isinstance(cell, (list, tuple)):
        return len(cell) == 0
    if isinstance(cell, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(cell))
    import pandas as pd

    return cell is pd.NA or cell is pd.NaT


def is_no_value(cell):
    """Whether a cell of numbers or dates is missing, which text may say by a word."""
    if is_missing(cell):
        return True
    is_text = isinstance(cell, (str, bytes, bytearray))
    return is_text and _stripped(cell).lower() in ("", *MISSING_WORDS)


def to_number(cell):
    """One number in any of its forms -> float; NaN where it is missing.

    Text is read as it stands in a CSV file: `"1.5"`, `"1e-3"`, `"True"`, `"NA"`.

    Raises:
        ValueError, TypeError, OverflowError: if it is no number.
    """
    if is_no_value(cell):
        return np.nan
    if not isinstance(cell, (str, bytes, bytearray)):
        return float(cell)
    text = _stripped(cell)
    if text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if not _NUMBER.fullmatch(text):
        raise ValueError("no number")
    return float(text)


def _stripped(text):
    text = text if isinstance(text, str) else bytes(text).decode("utf-8", "replace")
    return text.strip()


def to_floats(cell):
    """Numbers, nested in lists or arrays of any kind -> `float64` array.

    Parquet gives arrays of arrays. None among numbers becomes NaN.

    Raises:
        ValueError: if there is something else than numbers, or lengths differ
            within one dimension.
    """
    if is_cut_short(cell):
        raise ValueError(CUT_SHORT)
    try:
        array = np.asarray(cell)
        if array.dtype == object and array.ndim:
            # From lists of arrays NumPy makes one array of numbers.
            array = np.array([np.nan if part is None else part for part in array])
            if array.dtype == object:
                array = np.stack([to_floats(part) for part in array])
    except ValueError as error:
        raise ValueError("its parts have different lengths") from error
    if array.dtype.kind not in "biuf":
        raise ValueError("it does not hold numbers alone")
    return array.astype("float64")


def float_dtype(column):
    """`"float32"` if each cell is missing or an array of it, else `"float64"`."""
    narrow = ("float16", "float32")
    cells = (
        getattr(cell, "dtype", None) in narrow or is_missing(cell) for cell in column
    )
    return "float32" if all(cells) else "float64"


def to_text(cell):
    """A cell as text; whole floats lose their `.0`.

    pandas turns whole numbers into floats as soon as one is missing, and 3
    and 3.0 must stay the same.
    """
    if isinstance(cell, (bytes, bytearray)):
        return bytes(cell).decode("utf-8")
    if isinstance(cell, (float, np.floating)) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)


def to_name(cell):
    """The name of a category or class: 3, 3.0, `"3"` and `"3.0"` are one."""
    return re.sub(WHOLE_FLOAT, r"\1", to_text(cell))


def names_of(names, argument="class_names"):
    """Names that a user gives, in any form that a cell has -> list of strings.

    Args:
        names: list, or None, which stays.
        argument: string, for messages.
    """
    if names is None:
        return None
    names = [to_name(name) for name in names]
    counts = collections.Counter(names)
    twice = sorted(name for name in counts if counts[name] > 1)
    if twice:
        raise ValueError(
            f"`{argument}` names the same twice: {twice}. Received: {argument}={names}"
        )
    return names


def to_strings(column, name, bad, rows=None, to_text=to_text):
    """Cells of text -> object array of UTF-8 bytes, `b""` where missing.

    Args:
        column: pandas Series.
        name: string, for messages.
        bad: `"error"` or `"missing"`, what becomes of text that is not UTF-8.
        rows: list of ints, the cells' row numbers for messages, if several
            cells are of one row.
        to_text: function of a cell, `to_name` where cells are names.
    """
    from ..errors import refuse_rows

    values = np.empty(len(column), dtype=object)
    wrong = []
    for row, cell in enumerate(column):
        if is_missing(cell):
            values[row] = b""
            continue
        try:
            values[row] = to_text(cell).encode("utf-8")
        except UnicodeError:
            values[row] = b""
            wrong.append(row)
    if wrong and bad == "error":
        refuse_rows(
            name,
            wrong if rows is None else dict.fromkeys(rows[row] for row in wrong),
            "text that is not UTF-8",
            "Decode it first, or pass bad='missing' to treat it as missing.",
            column.iloc[wrong[0]],
        )
    return values
