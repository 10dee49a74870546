"""Which rows hold the same."""

import hashlib

import numpy as np

from .columns import require_columns


def digest(cell):
    """16 bytes that stand for what a cell holds; None if it is missing."""
    from ..inputs.cells import is_missing

    if is_missing(cell):
        return None
    if str(getattr(cell, "dtype", "")) == "object":
        # The bytes of such an array are addresses.
        cell = cell.tolist()
    if isinstance(cell, dict):
        cell = [part for pair in cell.items() for part in pair]
    if isinstance(cell, (list, tuple)):
        parts = [digest(part) or b"" for part in cell]
        cell = b"".join(parts) + bytes(len(parts))
    elif not hasattr(cell, "tobytes") and hasattr(cell, "__array__"):
        # Printed, a tensor is cut short.
        cell = np.asarray(cell)
    if hasattr(cell, "tobytes"):
        cell = cell.tobytes()
    elif not isinstance(cell, (bytes, bytearray)):
        cell = str(cell).encode("utf-8")
    return hashlib.blake2b(cell, digest_size=16).digest()


def content_ids(table, columns):
    """Equal numbers for rows that hold the same in some columns.

    Args:
        table: DataFrame, or dict of arrays of one length.
        columns: list of strings.

    Returns:
        int32 array `(rows,)`, numbered as they come; -1 where all the columns
        are missing.
    """
    require_columns(table.keys(), columns)
    numbers = {}
    ids = []
    for cells in zip(*(table[name] for name in columns)):
        key = tuple(digest(cell) for cell in cells)
        known = any(part is not None for part in key)
        ids.append(numbers.setdefault(key, len(numbers)) if known else -1)
    return np.array(ids, "int32")
