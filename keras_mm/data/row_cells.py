"""Batches of a `tf.data.Dataset` -> cells as a table holds them."""

import re

import numpy as np

# Control characters: in no path, but in every image or sound file.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_PATH = 4096


def without_gaps(value):
    """Sparse tensors -> dense ones; other tensors unchanged."""
    import tensorflow as tf

    return tf.nest.map_structure(
        lambda part: tf.sparse.to_dense(part) if _is_sparse(part) else part, value
    )


def _is_sparse(part):
    import tensorflow as tf

    return isinstance(part, tf.SparseTensor)


def flat_arrays(value):
    """A batch's tensors as a flat list; each ragged one is followed by its splits."""
    import tensorflow as tf

    if isinstance(value, dict):
        return [part for key in value for part in flat_arrays(value[key])]
    if isinstance(value, tf.RaggedTensor):
        return [value.flat_values, *value.nested_row_splits]
    return [value]


def cells_of(arrays, row, batch, is_file=False):
    """Takes the next column from the arrays of a batch -> its cells, a Series.

    Args:
        arrays: iterator over the result of `flat_arrays`, as NumPy arrays.
        row: `tf.TypeSpec` of a cell of the dataset, or a dict of them.
        batch: the same of a batch.
        is_file: bool, whether strings are files, or their paths.
    """
    return series(_cells(arrays, row, batch), is_file)


def series(cells, is_file=False):
    """A list of a dataset's values, one per row -> Series of cells."""
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
    # A batch of arrays of different lengths is ragged, though its cells are not.
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
    """Byte strings -> text, or the bytes of a file; other values unchanged."""
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
