"""What inputs whose cells are files have in common: images, sounds."""

import io
import os

import numpy as np

from ..errors import refuse_rows
from .cells import is_missing
from .literals import from_text

_LONGEST_PATH = 4096


def held_file(cell):
    """A dict `{"bytes": ..., "path": ...}` -> its bytes or path; other cells unchanged.

    Hugging Face datasets store files in such dicts.
    """
    if isinstance(cell, dict) and cell and cell.keys() <= {"bytes", "path"}:
        held = cell.get("bytes")
        return cell.get("path") if is_missing(held) else held
    return cell


def unwrapped(cell, base_dir=None):
    """A cell of a file column -> path (`str`), bytes, or whatever else it holds.

    Args:
        cell: any cell of a table.
        base_dir: folder that relative paths start from.
    """
    # In a CSV file, dicts and lists of pixels are text.
    cell = held_file(from_text(cell))
    if is_missing(cell):
        return cell
    if isinstance(cell, (str, os.PathLike)):
        return os.path.join(base_dir or "", os.fspath(cell))
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return _path_of(bytes(cell), base_dir) or bytes(cell)
    return cell


def _path_of(content, base_dir):
    """Bytes as a path, if a file of that name exists; else None."""
    if len(content) > _LONGEST_PATH or b"\0" in content:
        return None
    path = os.path.join(base_dir or "", os.fsdecode(content))
    return path if os.path.isfile(path) else None


def open_file(source):
    """A file object for reading; empty and absent files are refused.

    Args:
        source: bytes of the file, or its path.

    Raises:
        ValueError: if there is no such file, or it is empty.
    """
    if isinstance(source, bytes):
        file, size = io.BytesIO(source), len(source)
    elif os.path.isfile(source):
        file, size = open(source, "rb"), os.path.getsize(source)
    else:
        raise ValueError("no such file")
    if not size:
        file.close()
        raise ValueError("empty file")
    return file


def files_to_raw(column, name, base_dir, on_unreadable, what, check, rows=None):
    """Cells -> object array of bytes, or of paths; see `Image.to_raw`.

    Args:
        column: pandas Series of paths, bytes, dicts of these, or arrays.
        name: string, for messages.
        base_dir: folder that relative paths start from.
        on_unreadable: `"error"` or `"missing"`, what becomes of unreadable cells.
        what: string, what a cell should be, for messages.
        check: function from a path (`str`), bytes or whatever else the cell
            holds to the path or bytes that stand for it; raises `ValueError` if
            it is unreadable.
        rows: list of ints, the cells' row numbers for messages, if several
            cells are of one row.
    """
    values = np.empty(len(column), dtype=object)
    values[:] = b""
    wrong, reason, paths = [], {}, []
    for row, cell in enumerate(column):
        cell = unwrapped(cell, base_dir)
        if is_missing(cell) or _is_nan_array(cell):
            continue
        try:
            values[row] = check(cell)
            if isinstance(values[row], str):
                paths.append(row)
        except (OSError, ValueError) as error:
            wrong.append(row)
            reason[row] = str(error)
    if wrong and on_unreadable == "error":
        first = column.iloc[wrong[0]]
        received = first if isinstance(first, (str, os.PathLike)) else type(first)
        refuse_rows(
            name,
            wrong if rows is None else dict.fromkeys(rows[row] for row in wrong),
            f"no readable {what} ({reason[wrong[0]]})",
            "Correct the cells, or pass on_unreadable='missing' to treat them as "
            "missing.",
            received,
        )
    if paths and len(paths) < sum(1 for value in values if value):
        for row in paths:
            with open(values[row], "rb") as file:
                values[row] = file.read()
    return values


def decode_each(raw, decode_one, blank):
    """Files `(batch,)` -> `(values, ok)`; a broken one affects only its own row.

    Args:
        raw: string tensor `(batch,)`.
        decode_one: graph function from one file to its values; may raise.
        blank: tensor, the values of a file that cannot be read.

    Returns:
        Tensor `(batch, ...)` and `bool` tensor `(batch,)`.
    """
    import tensorflow as tf

    raw = tf.reshape(tf.convert_to_tensor(raw, tf.string), [-1])
    count = tf.shape(raw, out_type=tf.int64)[0]
    # Decoding raises on broken files; a dataset can skip such elements.
    # A blank element at the end keeps the dataset from being empty.
    files = tf.data.Dataset.range(count)
    files = map_in_parallel(files, lambda row: (row, decode_one(raw[row])))
    files = files.ignore_errors()
    last = tf.data.Dataset.from_tensors((count, blank))
    files = files.concatenate(last).batch(count + 1)
    rows, values = files.get_single_element()
    # The index of each row's file among those that were decoded; all other rows
    # take the blank element, which is the last.
    last = tf.size(rows) - 1
    place = tf.tensor_scatter_nd_update(
        tf.fill([count + 1], last), rows[:, tf.newaxis], tf.range(last + 1)
    )[:-1]
    values = tf.ensure_shape(tf.gather(values, place), [None, *blank.shape])
    return values, (place < last) & (raw != "")


def _is_nan_array(cell):
    return (
        isinstance(cell, np.ndarray)
        and np.issubdtype(cell.dtype, np.floating)
        and bool(np.isnan(cell).all())
    )


def map_in_parallel(dataset, function):
    """`dataset.map`, in order, for a function of TensorFlow operations only.

    AutoGraph, which takes seconds, is off: the function has no `if` or `for` that
    depends on a tensor.

    Args:
        dataset: `tf.data.Dataset`.
        function: function from an element to another.

    Returns:
        `tf.data.Dataset`.
    """
    import tensorflow as tf

    function = tf.autograph.experimental.do_not_convert(function)
    return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE)
