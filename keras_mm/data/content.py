"""Which rows have the same content."""

import hashlib

import numpy as np

from .columns import require_columns


def digest(cell):
    """A hash of 16 bytes of a cell's content; None if it is missing."""
    from ..inputs.cells import is_missing

    if is_missing(cell):
        return None
    if str(getattr(cell, "dtype", "")) == "object":
        # The bytes of such an array would be pointers.
        cell = cell.tolist()
    if isinstance(cell, dict):
        cell = [part for pair in cell.items() for part in pair]
    if isinstance(cell, (list, tuple)):
        parts = [digest(part) or b"" for part in cell]
        cell = b"".join(parts) + bytes(len(parts))
    elif not hasattr(cell, "tobytes") and hasattr(cell, "__array__"):
        # `str` of a tensor would be abbreviated.
        cell = np.asarray(cell)
    if hasattr(cell, "tobytes"):
        cell = cell.tobytes()
    elif not isinstance(cell, (bytes, bytearray)):
        cell = str(cell).encode("utf-8")
    return hashlib.blake2b(cell, digest_size=16).digest()


def content_ids(table, columns):
    """The same id for rows with the same content in some columns.

    Args:
        table: DataFrame, or dict of arrays of one length.
        columns: list of strings.

    Returns:
        int32 array `(rows,)`, numbered in order of appearance; -1 where all these
        columns are missing.
    """
    require_columns(table.keys(), columns)
    numbers = {}
    ids = []
    for cells in zip(*(table[name] for name in columns)):
        key = tuple(digest(cell) for cell in cells)
        present = any(part is not None for part in key)
        ids.append(numbers.setdefault(key, len(numbers)) if present else -1)
    return np.array(ids, "int32")
