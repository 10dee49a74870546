"""Columns of lists: several images or several texts in one cell."""

import numpy as np

from ..errors import refuse_rows
from .cells import is_missing
from .files import held_file
from .literals import from_text


def items_of(cell):
    """A cell of a column of lists -> the list of its items.

    Text that spells a list of strings or files, as in a CSV file, is parsed; any other
    cell that is not a list counts as a list of one.
    """
    if isinstance(cell, (list, tuple)):
        return list(cell)
    if isinstance(cell, np.ndarray) and (
        # Parquet gives arrays of strings or bytes; of pixels, these are many.
        (cell.ndim == 1 and cell.dtype.kind in "OSU") or cell.ndim == 4
    ):
        return list(cell)
    items = from_text(cell)
    if isinstance(items, list) and all(
        isinstance(item, str) or is_missing(item) or held_file(item) is not item
        for item in items
    ):
        return items
    return [] if is_missing(cell) else [cell]


def check_count(name, count):
    """Returns the int `count`; raises a `ValueError` unless it is 1 or more."""
    if int(count) != count or count < 1:
        raise ValueError(f"`{name}` must be a positive int. Received: {name}={count}")
    return int(count)


def items_to_raw(column, name, count, argument, to_raw):
    """Cells that are lists -> object array `(rows, count)`, `b""` where no item is.

    Args:
        column: pandas Series.
        name: string, for messages.
        count: int, largest number of items per cell.
        argument: string, the input's argument that sets it, for messages.
        to_raw: function from a Series of items and the numbers of their rows,
            for messages, to an array of their raw values.
    """
    import pandas as pd

    values = np.full((len(column), count), b"", dtype=object)
    places, items, most, wrong = [], [], count, []
    for row, cell in enumerate(column):
        cell = items_of(cell)
        present = [place for place, item in enumerate(cell) if not is_missing(item)]
        if present and present[-1] >= count:
            wrong.append(row)
            most = max(most, present[-1] + 1)
        places += [(row, place) for place in present]
        items += [cell[place] for place in present]
    if wrong:
        refuse_rows(
            name,
            wrong,
            f"more than {count} items",
            f"Pass {argument}={most}, or keep the first ones: "
            f"table[{name!r}].str[:{count}].",
            column.iloc[wrong[0]],
        )
    rows = [row for row, _ in places]
    # Items may be lists and arrays themselves: each is one cell.
    cells = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        cells[place] = item
    for place, value in zip(places, to_raw(pd.Series(cells), rows)):
        values[place] = value
    return values


def flat_items(raw, count):
    """Raw strings `(batch, any)` -> `(batch * count,)`. TensorFlow graph ops.

    More than `count` items in a row are an error: none is dropped silently.
    """
    import tensorflow as tf

    raw = tf.convert_to_tensor(raw, tf.string)
    if raw.shape.rank != 2:
        raise ValueError(
            "A batch of several items per row must hold a list of strings for each "
            f"row. Received: strings of shape {raw.shape}"
        )
    check = tf.debugging.Assert(
        tf.reduce_all(raw[:, count:] == ""), [f"a row of more than {count} items"]
    )
    with tf.control_dependencies([check]):
        raw = tf.concat([raw, tf.fill([tf.shape(raw)[0], count], "")], axis=1)
        return tf.reshape(raw[:, :count], [-1])
