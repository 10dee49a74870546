"""Conversion of a table's columns to the raw inputs of a served model."""

import os

import numpy as np

from ..data.columns import require_columns
from ..errors import refuse_rows
from ..inputs import Date, Number
from ..inputs.cells import (
    cells_in,
    is_missing,
    is_no_value,
    only_item,
    to_floats,
    to_name,
)
from ..inputs.clips import is_clip, is_clip_path
from ..inputs.files import unwrapped
from ..inputs.graph import infer_graph, is_graph
from ..inputs.items import items_of
from ..inputs.literals import from_text
from ..inputs.missing_words import without_words
from ..inputs.picture_cells import nested_lists, to_picture
from ..inputs.sounds import has_samples, is_sound, samples_to_wav, to_wav
from ..names import served_name


def find_columns(columns, names, trained=None):
    """The column of a table for each input of a served model.

    Args:
        columns: names of the table's columns.
        names: names of the model's inputs.
        trained: dict from input name to the column's name in training, or None; with
            it, other columns that could be read as the input are ignored.

    Returns:
        dict from input name to column name.

    Raises:
        ValueError: if an input has no column, or more than one.
    """
    matches = {}
    for column in map(str, columns):
        # A model that was exported by other tools may have any input names.
        name = column if column in names else served_name(column)
        matches.setdefault(name, []).append(column)
    for name in names if trained else ():
        # The name in training, or that of the input.
        for column in (trained.get(name), name):
            if column in matches.get(name, ()):
                matches[name] = [column]
    for name in names:
        if len(matches.get(name, ())) > 1:
            raise ValueError(
                f"The columns {matches[name]} would both be read as {name!r}. Drop the "
                "one that the model was not trained on. "
                f"Received: columns={list(columns)}"
            )
        if name not in matches:
            require_columns(columns, [name])
    return {name: matches[name][0] for name in names}


def replace_missing_cells(table, columns, inputs, outputs, words):
    """A DataFrame in which the cells that hold one of `words` are None.

    Args:
        table: DataFrame.
        columns: as in `raw_batches`.
        inputs: as in `raw_batches`.
        outputs: as in `raw_batches`.
        words: the schema's `missing`.
    """
    replaced = {}
    for name, (dtype, shape) in inputs.items():
        value = None
        if outputs.get(f"{name}_is_date") == "bool":
            value = Date()
        elif dtype != "string" and len(shape) == 1:
            value = Number()
        column = columns[name]
        replaced[column] = without_words(table[column], words, value)
    return table.assign(**replaced)


def raw_batches(
    table, columns, inputs, outputs, batch_size=32, base_dir=None, on_unreadable="error"
):
    """Converts a table to batches of raw inputs of a signature.

    Args:
        table: DataFrame.
        columns: dict from input name to column, as returned by `find_columns`.
        inputs: dict from input name to its dtype, such as `"string"`, and its shape,
            a list.
        outputs: dict from name to dtype of the outputs of all signatures. The bools
            `<input>_ok` and `<input>_is_date` mark an input as a file, or a date.
        batch_size: int.
        base_dir: folder that relative paths start from.
        on_unreadable: `"error"` refuses cells that cannot be sent, `"missing"` sends
            them as missing.

    Yields:
        dict from input name to the rows.
    """
    whole = {}
    for name, (dtype, shape) in inputs.items():
        column = table[columns[name]]
        if dtype != "string":
            is_float = dtype.startswith(("float", "double"))
            whole[name] = raw_numbers(
                column, columns[name], is_float, on_unreadable, shape
            )
        elif outputs.get(f"{name}_is_date") == "bool":
            dates = Date().to_raw(column, columns[name], on_unreadable=on_unreadable)
            whole[name] = [date.decode("ascii") for date in dates]
    for start in range(0, len(table), batch_size):
        batch = slice(start, start + batch_size)
        yield {
            name: whole[name][batch]
            if name in whole
            else raw_strings(
                table[columns[name]].iloc[batch],
                columns[name],
                outputs.get(f"{name}_ok") == "bool",
                base_dir,
                on_unreadable,
                start,
                is_list=len(shape) == 2,
            )
            for name, (_, shape) in inputs.items()
        }


def raw_numbers(column, name, is_float=True, on_unreadable="error", shape=()):
    """A column of numbers, of arrays or of graphs, one per row -> array.

    Args:
        column: pandas Series.
        name: string, for messages.
        is_float: bool, whether the served model takes floats, where NaN is
            missing.
        on_unreadable: `"error"` or `"missing"`, how to treat cells that are not
            numbers.
        shape: list, shape of the served model's batch, with None for any length;
            empty if unknown.
    """
    import pandas as pd

    # A CSV file holds arrays and graphs as text.
    column = pd.Series(list(map(from_text, column)), column.index, dtype=object)
    if any(map(is_graph, column)):
        return infer_graph(column).to_raw(column, name, on_unreadable=on_unreadable)
    is_array = len(shape) > 1
    if is_array or any(isinstance(cell, list) or np.ndim(cell) for cell in column):
        return _padded(column, name, on_unreadable, shape)
    if is_float:
        return Number().to_raw(column, name, on_unreadable=on_unreadable)
    return np.array([int(cell) if isinstance(cell, str) else cell for cell in column])


def _padded(column, name, on_unreadable, shape):
    """Stacks arrays of one rank, padded with NaN to the same shape."""
    cells = []
    for row, cell in enumerate(column):
        try:
            cells.append(None if is_no_value(cell) else _array(cell, shape))
        except ValueError as error:
            if on_unreadable == "error":
                _refuse(name, row, error, cell)
            cells.append(None)
    if all(cell is None for cell in cells):
        return np.full((len(cells), *(n or 1 for n in shape[1:])), np.nan, "float32")
    shapes = np.array([cell.shape for cell in cells if cell is not None])
    dtype = np.result_type(*[cell for cell in cells if cell is not None])
    lengths = shapes.max(axis=0)
    if all(cell is not None for cell in cells) and (shapes == lengths).all():
        return np.stack(cells)
    padded = np.full((len(cells), *lengths), np.nan, np.promote_types(dtype, "f4"))
    for row, cell in enumerate(cells):
        if cell is not None:
            padded[(row, *map(slice, cell.shape))] = cell
    return padded


def _array(cell, shape):
    """One cell as array."""
    array = np.asarray(cell)
    if array.dtype.kind not in "biuf":
        # Parquet returns arrays of arrays; text is refused.
        array = to_floats(array)
    # A sequence of one channel may come without that axis.
    return array[..., np.newaxis] if array.ndim + 2 == len(shape) else array


def raw_strings(
    column, name, is_file, base_dir=None, on_unreadable="error", start=0, is_list=False
):
    """A column of texts, categories or images -> list of `str` and bytes.

    Images are sent as they are; the server reports whether they can be decoded.
    Sounds other than 16-bit WAV are converted, as in training.

    Args:
        column: pandas Series.
        name: string, for messages.
        is_file: bool, whether text cells are paths of files to send.
        base_dir: folder that relative paths start from.
        on_unreadable: `"error"` refuses cells that cannot be sent, `"missing"` sends
            them as missing, `""`.
        start: int, the first row's number, for messages.
        is_list: bool, whether the served model takes a list of strings for
            each row, such as the frames of a clip.

    Returns:
        list with one `str` or bytes per row; with `is_list` a list of them per
        row, padded with `""` to the same length.
    """
    values = []
    for row, cell in enumerate(cells_in(column), start):
        try:
            items = _items(cell, is_file) if is_list else [cell]
        except ValueError as error:
            if on_unreadable == "error":
                _refuse(name, row, error, cell)
            items = []
        strings = []
        for item in items:
            try:
                strings.append(_string(item, is_file, base_dir, is_list))
            except (OSError, TypeError, ValueError) as error:
                if on_unreadable == "error":
                    _refuse(name, row, error, item)
                strings.append("")
        values.append(strings if is_list else strings[0])
    if is_list:
        length = max([1, *map(len, values)])
        values = [strings + [""] * (length - len(strings)) for strings in values]
    return values


def _refuse(name, row, error, cell):
    refuse_rows(
        name,
        [row],
        f"a cell that cannot be sent ({error})",
        "Correct it, or pass on_unreadable='missing' to send it as missing.",
        cell,
    )


def _items(cell, is_file):
    """The items of a cell of a column of lists; a single text or file is one item."""
    if isinstance(cell, np.ndarray) and cell.dtype != object and cell.ndim != 4:
        raise ValueError(f"an array of shape {cell.shape} is no clip, nor a list")
    if not is_file or not _is_clip(cell):
        return items_of(cell)
    raise ValueError(
        "the model takes a list for each row: for a clip its frames, as encoded "
        "images, paths of images or arrays. A video file cannot be sent; extract its "
        "frames by the model's schema, list(schema.inputs[name].to_raw(column))"
    )


def _is_clip(cell):
    if isinstance(cell, (str, os.PathLike)):
        return is_clip_path(os.fspath(cell))
    return isinstance(cell, (bytes, bytearray)) and is_clip(bytes(cell))


def _string(cell, is_file, base_dir, is_frame=False):
    """One cell -> `str` or bytes; `""` if it is missing."""
    cell = unwrapped(cell, base_dir) if is_file else only_item(cell)
    if is_missing(cell):
        return ""
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return _converted(bytes(cell)) if is_file else bytes(cell)
    if not is_file:
        return to_name(cell)
    if isinstance(cell, str):
        with open(cell, "rb") as file:
            return _converted(file.read())
    if has_samples(cell):
        return samples_to_wav(cell)
    cell = nested_lists(cell)
    if not is_frame and (np.ndim(cell) == 1 or np.shape(cell)[1:] in ((1,), (2,))):
        # A request does not hold the sampling rate.
        raise ValueError("samples of a sound; send a WAV file")
    # An image of NaN is a missing one, as it is in the model's tensors.
    if np.issubdtype(np.asarray(cell).dtype, np.floating) and np.isnan(cell).all():
        return ""
    return to_picture(cell)


def _converted(encoded):
    """Converts a sound or image to a format of the server; others are unchanged."""
    try:
        return to_wav(encoded) if is_sound(encoded[:12]) else to_picture(encoded)
    except (OSError, ValueError):
        # Damaged: the server reports it for its row.
        return encoded
