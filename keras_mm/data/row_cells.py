"""Batches of a `tf.data.Dataset` -> cells as a table holds them."""

import re

import numpy as np

# What no path holds, and each file of a picture or sound does.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_PATH = 4096


def without_gaps(value):
    """Sparse tensors -> dense ones; all else as it is."""
    import tensorflow as tf

    return tf.nest.map_structure(
        lambda part: tf.sparse.to_dense(part) if _is_sparse(part) else part, value
    )


def _is_sparse(part):
    import tensorflow as tf

    return isinstance(part, tf.SparseTensor)


def flat_arrays(value):
    """A batch's tensors one after the other; a ragged one's splits follow it."""
    import tensorflow as tf

    if isinstance(value, dict):
        return [part for key in value for part in flat_arrays(value[key])]
    if isinstance(value, tf.RaggedTensor):
        return [value.flat_values, *value.nested_row_splits]
    return [value]


def cells_of(arrays, row, batch, is_file=False):
    """The next column out of the arrays of a batch -> its cells, a Series.

    Args:
        arrays: iterator over what `flat_arrays` gave, as NumPy arrays.
        row: what a cell of the dataset is: a `tf.TypeSpec`, or a dict of them.
        batch: what a batch of them is.
        is_file: bool, whether strings are files, or paths of them.
    """
    return series(_cells(arrays, row, batch), is_file)


def series(cells, is_file=False):
    """A list of what a dataset gives for each row -> Series of cells."""
    import pandas as pd

    column = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        column[row] = to_cell(cell, is_file)
    return pd.Series(column)


def _cells(arrays, row, batch):
    if isinstance(row, dict):
        parts = {key: _cells(arrays, row[key], batch[key]) for key in row}
        return [dict(zip(parts, values)) for values in zip(*parts.values())]
    cells = next(arrays)
    # A batch of arrays of different lengths is ragged, though no cell of it is.
    splits = [next(arrays) for _ in range(getattr(batch, "ragged_rank", 0))]
    for ends in reversed(splits):
        cells = [cells[start:end] for start, end in zip(ends[:-1], ends[1:])]
    if splits and not hasattr(row, "ragged_rank"):
        cells = [_stacked(cell) for cell in cells]
    return cells


def _stacked(cell):
    if not isinstance(cell, list):
        return cell
    return np.stack([_stacked(part) for part in cell]) if cell else np.zeros(0)


def to_cell(value, is_file):
    """Strings become text, or bytes of a file; all else stays."""
    if isinstance(value, dict):
        return {key: to_cell(part, is_file) for key, part in value.items()}
    if hasattr(value, "to_list"):
        # A ragged tensor, of a dataset that is read row by row.
        value = value.to_list()
    if isinstance(value, list) or (
        isinstance(value, np.ndarray) and value.dtype.kind == "O"
    ):
        return [to_cell(part, is_file) for part in value]
    if not isinstance(value, bytes):
        return value
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return value
    if is_file and (len(value) > _LONGEST_PATH or _CONTROL.search(text)):
        return value
    return text
