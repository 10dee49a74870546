"""What a cell of a table holds: missing, text, bytes."""

import numpy as np


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
    import pandas as pd

    return cell is pd.NA or cell is pd.NaT


def to_text(cell):
    """One category's or label's name; whole floats lose their `.0`.

    pandas turns whole numbers into floats as soon as one is missing, and 3
    and 3.0 must stay the same category.
    """
    if isinstance(cell, (bytes, bytearray)):
        return bytes(cell).decode("utf-8")
    if isinstance(cell, (float, np.floating)) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)


def to_strings(column, name, bad):
    """Cells of text -> object array of UTF-8 bytes, `b""` where missing."""
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
            wrong,
            "text that is not UTF-8",
            "Decode it first, or pass bad='missing' to treat it as missing.",
            column.iloc[wrong[0]],
        )
    return values
