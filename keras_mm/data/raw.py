"""Columns of a table -> arrays: of labels, and raw and compact (decoded) ones of inputs."""

import numpy as np

from ..errors import RowsError, refuse_rows, without_target
from .columns import require_columns
from .to_table import to_table

# Decoded rows up to this size are kept in memory between epochs; larger tables
# are decoded again in every epoch, and memory does not grow with them.
MEMORY_LIMIT = 256 * 2**20
_CHUNK = 256


def to_raw(table, schema, base_dir=None, on_unreadable="error"):
    """Table -> dict of checked arrays of raw values, one for each input."""
    require_columns(table.columns, schema.inputs)
    return {
        name: schema.to_raw(table[name], name, base_dir, on_unreadable)
        for name in schema.inputs
    }


def memory_size(schema, rows):
    """Bytes that `rows` decoded rows take."""
    return rows * sum(value.compact_bytes for value in schema.inputs.values())


def read_files(raw):
    """Paths in an array of raw files -> the files' bytes; other values unchanged."""
    if raw.dtype != object:
        return raw
    values = raw.copy()
    for place, value in np.ndenumerate(raw):
        if isinstance(value, str):
            with open(value, "rb") as file:
                values[place] = file.read()
    return values


def decode_all(raw, schema, on_unreadable="error"):
    """Decodes every row once; returns a dict of compact NumPy arrays."""
    import tensorflow as tf

    rows = len(next(iter(raw.values())))
    parts = {name: [] for name in raw}
    for start in range(0, rows, _CHUNK):
        for name, values in raw.items():
            value = schema.inputs[name]
            compact = value.decode_array(read_files(values[start : start + _CHUNK]))
            parts[name].append(tf.nest.map_structure(lambda t: t.numpy(), compact))
    compact = {
        name: tf.nest.map_structure(lambda *chunk: np.concatenate(chunk), *chunks)
        for name, chunks in parts.items()
    }
    for name in file_names(schema):
        wrong = broken(raw[name], compact[name][1])
        if wrong.any() and on_unreadable == "error":
            refuse_files(name, wrong, raw[name])
    return compact


def broken(raw, ok):
    """Mask of files that are present but could not be decoded; shape of `ok`.

    Args:
        raw: array of raw files, `(rows,)` or `(rows, items)`.
        ok: the flags that `decode` returned: `bool` array `(rows,)`, or `(rows,
            items)` if each item counts separately.
    """
    present = raw != b""
    return (present if present.ndim == ok.ndim else present.any(axis=1)) & ~ok


def unreadable(raw, value):
    """Decodes files, and returns the mask of those that fail; see `broken`."""
    wrong = []
    # Clips are larger than images.
    rows = max(1, min(_CHUNK, MEMORY_LIMIT // (8 * value.compact_bytes)))
    for start in range(0, len(raw), rows):
        chunk = read_files(raw[start : start + rows])
        _, ok = value.decode_array(chunk)
        wrong.append(broken(chunk, ok.numpy()))
    return np.concatenate(wrong)


def refuse_unreadable(table, schema, base_dir=None):
    """Raises an error that lists the files of a table that cannot be decoded."""
    raw = to_raw(to_table(table), schema, base_dir)
    for name in file_names(schema):
        wrong = unreadable(raw[name], schema.inputs[name])
        if wrong.any():
            refuse_files(name, wrong, raw[name])


def file_names(schema):
    return [name for name, value in schema.inputs.items() if value.is_file]


def refuse_files(name, wrong, raw):
    value = next(value for value in np.ravel(raw[wrong][0]) if value)
    refuse_rows(
        name,
        np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1)),
        "a file that cannot be decoded",
        "Correct the cells, or pass on_unreadable='missing' to treat them as missing.",
        value if isinstance(value, str) else value[:20],
    )


def encode_targets(table, schema):
    """The labels of a table: dict from target to array.

    With several targets, labels may be missing, but not all labels of a row.
    """
    if not schema.targets:
        raise without_target(f"inputs={list(schema.inputs)}, targets=[]")
    require_columns(table.columns, schema.targets)
    labels = {
        name: value.encode(
            schema.replace_missing_labels(table[name], name),
            name,
            schema.allows_missing_labels,
        )
        for name, value in schema.targets.items()
    }
    refuse_rows_without_label(labels, schema)
    return labels


def refuse_rows_without_label(labels, schema):
    """Raises an error that lists the rows without any label."""
    masks = [schema.targets[name].is_known(codes) for name, codes in labels.items()]
    rows = np.flatnonzero(~np.any(masks, axis=0))
    if len(rows):
        raise RowsError(
            "Every target is missing in",
            rows,
            ": there is nothing to learn or to compare with. Drop "
            "these rows: table.dropna(subset=[...], how='all'). "
            f"Received: targets={list(labels)}",
        )
