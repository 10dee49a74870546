"""Columns of a table -> the raw values that a served model takes."""

import os

import numpy as np

from ..inputs import Category, Number
from ..inputs.cells import is_missing
from ..inputs.image import encode_array


def raw_column(column, name, is_string, is_picture, base_dir=None):
    """One column, as an array of raw values.

    Pictures go as they are: whether they can be read is the server's to say.

    Args:
        column: pandas Series.
        name: string, for messages.
        is_string: bool, whether the served model takes strings.
        is_picture: bool, whether those are encoded pictures.
        base_dir: folder that relative file paths start from.

    Returns:
        Array `(rows,)` of bytes or `float32`.
    """
    if not is_string:
        return Number().to_raw(column, name)
    if not is_picture:
        return Category().to_raw(column, name)
    values = np.empty(len(column), dtype=object)
    for row, cell in enumerate(column):
        if is_missing(cell):
            values[row] = b""
        elif isinstance(cell, (str, os.PathLike)):
            with open(os.path.join(base_dir or "", cell), "rb") as file:
                values[row] = file.read()
        elif isinstance(cell, (bytes, bytearray, memoryview)):
            values[row] = bytes(cell)
        else:
            values[row] = encode_array(cell)
    return values
