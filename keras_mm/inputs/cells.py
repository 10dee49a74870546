"""What a cell of a table holds: missing, text, bytes."""

import collections
import datetime
import re

import numpy as np

from .literals import from_text, is_cut_short

# Spellings of a missing number or date, in upper or lower case. In a column of
# names they are names: a country may be NA.
MISSING_WORDS = frozenset(
    ("nan", "-nan", "na", "n/a", "#n/a", "#na", "<na>", "nat", "none", "null")
)
# Stricter than Python, which also reads 1_000.
NUMBER = re.compile(
    r"[+-]?(([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?|inf|infinity)",
    re.IGNORECASE,
)
# How the spelling of a name in a text file is normalised: "3.0" becomes "3", as 3.0 in
# a table does; a time becomes what pandas writes, and loses midnight. Applied in this
# order; "$" is the end of the text, as in TensorFlow's RE2.
_DAY, _TIME = "([0-9]{4}-[0-9]{2}-[0-9]{2})", "([0-9]{2}:[0-9]{2}:[0-9]{2})"
SPELLINGS = (
    (
        r"^-?(0)\.0$|^(-?[1-9][0-9]*)\.0$|^" + _DAY + r"[ T]00:00:00(?:\.0+)?$",
        r"\1\2\3",
    ),
    (
        f"^{_DAY}[ T]{_TIME}"
        r"(?:(\.[0-9]*[1-9])0*|\.0+)?(Z|[+-][0-9]{2}:[0-9]{2})?$",
        r"\1 \2\3\4",
    ),
    (r"^([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]{8,})Z$", r"\1+00:00"),
)
_SPELLINGS = [
    (re.compile(pattern.replace("$", r"\Z")), rest) for pattern, rest in SPELLINGS
]
# How Python writes whole floats from 1e16 to 1e308.
EXPONENT = r"-?[0-9](?:\.[0-9]+)?e\+(?:1[6-9]|[2-9][0-9]|[12][0-9]{2}|30[0-7])"
_EXPONENT = re.compile(EXPONENT)
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
    """Whether a number or date is missing, also as text such as `"NA"`."""
    if is_missing(cell):
        return True
    if not isinstance(cell, (str, bytes, bytearray)):
        return False
    text = _stripped(cell)
    return not text or text.lower() in MISSING_WORDS


def to_number(cell):
    """One number in any of its forms -> float; NaN where it is missing.

    Text is read as in a CSV file: `"1.5"`, `"1e-3"`, `"True"`, `"NA"`.

    Raises:
        ValueError, TypeError, OverflowError: if it is not a number.
    """
    if type(cell) is float:
        return cell
    cell = only_item(cell)
    if is_no_value(cell):
        return np.nan
    if not isinstance(cell, (str, bytes, bytearray)):
        return float(cell)
    text = _stripped(cell)
    if text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if not NUMBER.fullmatch(text):
        held = only_item(from_text(text))
        if isinstance(held, (str, list, dict)):
            raise ValueError("no number")
        return to_number(held)
    return float(text)


def _stripped(text):
    text = text if isinstance(text, str) else bytes(text).decode("utf-8", "replace")
    return text.strip()


def to_floats(cell):
    """Numbers in nested lists or arrays of any kind -> `float64` array.

    Parquet gives arrays of arrays. None among numbers becomes NaN.

    Raises:
        ValueError: if it holds anything but numbers, or lengths differ within
            one dimension.
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


def only_item(cell):
    """A list, array or tensor of one element -> the element; other cells unchanged.

    Datasets and tables hold a column of shape `(rows, 1)` in this way.
    """
    if isinstance(cell, (str, bytes, int, float, np.generic)):
        return cell
    if hasattr(cell, "__array__") and np.size(cell) == 1:
        cell = np.asarray(cell).reshape(-1)[0]
        return only_item(cell) if isinstance(cell, (list, tuple)) else cell
    if isinstance(cell, (list, tuple)) and len(cell) == 1:
        return only_item(cell[0])
    return cell


def cells_in(column):
    """An iterable over the cells of a Series or list.

    Iterating over a Series, pandas gives 0.1 of `float32` as 0.10000000149011612.
    """
    dtype = getattr(column, "dtype", None)
    dtype = getattr(getattr(dtype, "categories", None), "dtype", dtype)
    return np.asarray(column) if dtype in ("float16", "float32") else column


def to_text(cell):
    """A cell as text; whole floats lose their `.0`, and dates at midnight their time.

    pandas turns integers into floats as soon as one is missing, and 3 and 3.0
    must stay the same.

    Raises:
        TypeError: if it is a list, a dict, or another collection.
    """
    if isinstance(cell, str):
        return str(cell)
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return bytes(cell).decode("utf-8")
    if isinstance(cell, int):
        return str(cell)
    cell = only_item(cell)
    if isinstance(cell, np.datetime64):
        cell = cell.astype("datetime64[us]").item()
    if isinstance(cell, (float, np.floating, datetime.date)):
        return _as_name(str(cell))
    if isinstance(cell, (str, bytes, bytearray)):
        return to_text(cell)
    # np.generic has __array__, too.
    parts = ("__len__", "__iter__", "__array__", "__array_interface__")
    if not isinstance(cell, np.generic) and any(hasattr(cell, name) for name in parts):
        raise TypeError(f"{type(cell).__name__} is not text")
    return str(cell)


def to_name(cell):
    """The name of a category or class: 3, 3.0, `"3"` and `"3.0"` are the same one."""
    text = to_text(cell)
    return text if isinstance(cell, (int, float)) else _as_name(text)


def _as_name(text):
    # A quick check: the patterns match only names with these characters.
    if text[-1:] == "0" or text[13:14] == ":":
        for pattern, rest in _SPELLINGS:
            text = pattern.sub(rest, text)
    if "e+" in text and _EXPONENT.fullmatch(text):
        return str(int(float(text)))
    return text


def names_of(names, argument="class_names"):
    """Names given by the user, in any form that a cell may have -> list of strings.

    Args:
        names: list or None; None is returned as it is.
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


def to_strings(column, name, on_unreadable, rows=None):
    """Cells of text or names -> object array of UTF-8 bytes, `b""` where missing.

    Args:
        column: pandas Series.
        name: string, for messages.
        on_unreadable: `"error"` or `"missing"`, what becomes of text that is not UTF-8.
        rows: list of ints, the cells' row numbers for messages, if several
            cells are of one row.
    """
    from ..errors import refuse_rows

    values = np.empty(len(column), dtype=object)
    values[:] = b""
    # The problem and its remedy, for each kind of error.
    kinds = {
        UnicodeError: ("text that is not UTF-8", "Decode it first"),
        TypeError: (
            "no single text or name",
            "Join lists to one text, or give each part a column of its own",
        ),
    }
    wrong = {kind: [] for kind in kinds}
    for row, cell in enumerate(cells_in(column)):
        cell = only_item(cell)
        if is_missing(cell):
            continue
        try:
            values[row] = to_name(cell).encode("utf-8")
        except UnicodeError:
            wrong[UnicodeError].append(row)
        except TypeError:
            wrong[TypeError].append(row)
    for kind, (what, remedy) in kinds.items():
        if wrong[kind] and on_unreadable == "error":
            refuse_rows(
                name,
                wrong[kind]
                if rows is None
                else dict.fromkeys(rows[row] for row in wrong[kind]),
                what,
                f"{remedy}, or pass on_unreadable='missing' to treat it as missing.",
                column.iloc[wrong[kind][0]],
            )
    return values
