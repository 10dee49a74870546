"""Tables to `tf.data`: rows go in, batches of tensors come out."""

import numpy as np

from ..errors import refuse_rows, rows_text, without_target
from ..inputs import ClassLabel
from ..inputs.parallel import map_in_parallel
from .columns import is_dataset, require_columns
from .to_table import to_table

# Decoded rows up to this size are kept in memory between epochs; larger tables
# are decoded again in every epoch, and memory does not grow with them.
MEMORY_LIMIT = 256 * 2**20
_CHUNK = 256


def to_dataset(
    table,
    schema,
    batch_size=32,
    shuffle=False,
    seed=None,
    base_dir=None,
    bad="error",
    with_target=True,
    class_weight=None,
    labels=None,
):
    """Turns a table into a `tf.data.Dataset` that a model can be fit on.

    Examples:

    >>> dataset = keras_mm.data.to_dataset(train, model.schema, shuffle=True)
    >>> history = model.fit(dataset)

    Args:
        table: rows, in any form that `to_table` reads, or a `tf.data.Dataset`
            of dicts of raw values, one row each.
        schema: an adapted `Schema`; a model's own is `model.schema`, which
            also knows the forms of text that its encoders read.
        batch_size: int.
        shuffle: bool, whether to shuffle the rows anew in every epoch.
        seed: int, for the order of the rows.
        base_dir: folder that relative file paths start from.
        bad: `"error"` refuses cells that cannot be read, with their row
            numbers; `"missing"` treats them as missing.
        with_target: bool, whether to give the target too; several are a dict, in
            which a missing class is -1, and all else that is missing NaN.
        class_weight: None, `"balanced"`, or a dict from class name or index
            to weight; gives each row's weight as a third entry.
        labels: array of a table's rows that is given instead of the schema's
            target, or None.

    Returns:
        Dataset of `(inputs,)`, `(inputs, target)` or `(inputs, target,
        weight)`, where `inputs` is a dict of tensors.
    """
    if bad not in ("error", "missing"):
        raise ValueError(f"`bad` must be 'error' or 'missing'. Received: bad={bad!r}")
    if not schema.is_adapted:
        raise ValueError(
            "The schema has not seen a table yet. Call schema.adapt(train) "
            f"first. Received: schema={schema!r}"
        )
    with_target = with_target and bool(schema.targets)
    if is_dataset(table):
        if class_weight is not None:
            raise ValueError(
                "`class_weight` goes with a table, not with a dataset that is "
                f"read row by row. Received: class_weight={class_weight!r}"
            )
        return _from_rows(table, schema, batch_size, shuffle, seed, with_target)
    table = to_table(table)
    raw = to_raw(table, schema, base_dir, bad)
    target, weight = labels, None
    if with_target:
        target = encode_targets(table, schema)
        if class_weight is not None:
            weight = class_weights(target, schema.target, class_weight)
    if memory_size(schema, len(table)) <= MEMORY_LIMIT:
        compact = decode_all(raw, schema, bad)
        return _from_memory(compact, schema, target, weight, batch_size, shuffle, seed)
    if bad == "missing":
        for name in _file_names(schema):
            raw[name][unreadable(raw[name], schema.inputs[name])] = b""
    return _from_raw(raw, schema, target, weight, batch_size, shuffle, seed)


def encode_targets(table, schema):
    """The target's labels as an array; of several targets a dict of arrays.

    With several targets labels may be missing, but not all of a row.
    """
    if not schema.targets:
        raise without_target(f"inputs={list(schema.inputs)}, targets=[]")
    require_columns(table.columns, schema.targets)
    several = schema.has_several_targets
    labels = {
        name: value.encode(table[name], name, several)
        for name, value in schema.targets.items()
    }
    if not several:
        return labels[schema.target_name]
    refuse_rows_without_label(labels, schema)
    return labels


def refuse_rows_without_label(labels, schema):
    """Names the rows of a dict of encoded labels that have none at all."""
    known = [is_known(codes, schema.targets[name]) for name, codes in labels.items()]
    rows = np.flatnonzero(~np.any(known, axis=0))
    if len(rows):
        raise ValueError(
            f"Every target is missing in {rows_text(rows)} ({len(rows)} in all, "
            "counted from 0): there is nothing to learn or to compare with. Drop "
            "these rows: table.dropna(subset=[...], how='all'). "
            f"Received: targets={list(labels)}"
        )


def is_known(codes, target):
    """Which rows of encoded labels have one: bool array `(rows,)`."""
    codes = np.reshape(codes, (len(codes), -1))
    known = codes >= 0 if isinstance(target, ClassLabel) else ~np.isnan(codes)
    return known.all(axis=1)


def to_raw(table, schema, base_dir=None, bad="error"):
    """Table -> dict of checked arrays of raw values, one for each input."""
    require_columns(table.columns, schema.inputs)
    return {
        name: value.to_raw(table[name], name, base_dir, bad)
        for name, value in schema.inputs.items()
    }


def memory_size(schema, rows):
    """Bytes that `rows` decoded rows take."""
    return rows * sum(value.compact_bytes for value in schema.inputs.values())


def read_files(raw):
    """Paths in an array of raw files -> their bytes; all else stays."""
    if raw.dtype != object:
        return raw
    values = raw.copy()
    for place, value in np.ndenumerate(raw):
        if isinstance(value, str):
            with open(value, "rb") as file:
                values[place] = file.read()
    return values


def decode_all(raw, schema, bad="error"):
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
    for name in _file_names(schema):
        wrong = broken(raw[name], compact[name][1])
        if wrong.any() and bad == "error":
            _refuse_files(name, wrong, raw[name])
    return compact


def broken(raw, ok):
    """Which files are there but could not be read: `bool` array, as `ok` is.

    Args:
        raw: array of raw files, `(rows,)` or `(rows, items)`.
        ok: what `decode` says of them: `bool` array `(rows,)`, or `(rows,
            items)` if each item counts by itself.
    """
    present = raw != b""
    return (present if present.ndim == ok.ndim else present.any(axis=1)) & ~ok


def unreadable(raw, value):
    """Which files are there but cannot be decoded; see `broken`."""
    wrong = []
    # Clips are larger than pictures.
    rows = max(1, min(_CHUNK, MEMORY_LIMIT // (8 * value.compact_bytes)))
    for start in range(0, len(raw), rows):
        chunk = read_files(raw[start : start + rows])
        _, ok = value.decode_array(chunk)
        wrong.append(broken(chunk, ok.numpy()))
    return np.concatenate(wrong)


def refuse_unreadable(table, schema, base_dir=None):
    """Names the files of a table that cannot be decoded, if any."""
    raw = to_raw(to_table(table), schema, base_dir)
    for name in _file_names(schema):
        wrong = unreadable(raw[name], schema.inputs[name])
        if wrong.any():
            _refuse_files(name, wrong, raw[name])


def class_weights(target, label, class_weight):
    """One weight a row.

    `"balanced"` gives every class the same total weight: rows / (classes *
    rows of the class).

    Args:
        target: encoded labels, `(rows,)` indices.
        label: the `ClassLabel`.
        class_weight: `"balanced"` or a dict from class name or index to
            weight; classes that it does not name weigh 1.

    Reference:
        King and Zeng 2001, "Logistic regression in rare events data".
    """
    names = label.names if isinstance(label, ClassLabel) else None
    target = np.asarray(target).reshape(-1)
    if names is None or not np.issubdtype(target.dtype, np.integer):
        raise ValueError(
            "`class_weight` needs one class a row (ClassLabel). "
            f"Received: class_weight={class_weight!r}"
        )
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                "`class_weight` must be 'balanced' or a dict. "
                f"Received: class_weight={class_weight!r}"
            )
        counts = np.bincount(target, minlength=len(names))
        weights = len(target) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    else:
        weights = np.ones(len(names))
        for key, value in class_weight.items():
            if key not in names and key not in range(len(names)):
                raise ValueError(
                    f"`class_weight` names a class that is not in {names}. "
                    f"Received: class_weight={class_weight!r}"
                )
            weights[names.index(key) if key in names else key] = value
    return weights[target].astype("float32")


def _file_names(schema):
    return [name for name, value in schema.inputs.items() if value.is_file]


def _refuse_files(name, wrong, raw):
    value = next(value for value in np.ravel(raw[wrong][0]) if value)
    refuse_rows(
        name,
        np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1)),
        "a file that cannot be decoded",
        "Correct the cells, or pass bad='missing' to treat them as missing.",
        value if isinstance(value, str) else value[:20],
    )


def _entry(inputs, target, weight):
    if target is None:
        return (inputs,)
    return (inputs, target) if weight is None else (inputs, target, weight)


def _from_memory(compact, schema, target, weight, batch_size, shuffle, seed):
    import tensorflow as tf

    with tf.device("CPU"):
        compact, target, weight = tf.nest.map_structure(
            lambda array: None if array is None else tf.constant(array),
            (compact, target, weight),
        )
    rows = len(tf.nest.flatten(compact)[0])

    def gather(indices):
        def take(array):
            return None if array is None else tf.gather(array, indices)

        batch = tf.nest.map_structure(take, compact)
        inputs = {n: value.finish(batch[n]) for n, value in schema.inputs.items()}
        return _entry(inputs, tf.nest.map_structure(take, target), take(weight))

    dataset = tf.data.Dataset.range(rows)
    if shuffle:
        dataset = dataset.shuffle(rows, seed=seed)
    dataset = dataset.batch(batch_size)
    dataset = map_in_parallel(dataset, gather)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _from_raw(raw, schema, target, weight, batch_size, shuffle, seed):
    import tensorflow as tf

    files = {
        name: (
            schema.inputs[name].row_decoder(raw[name]),
            any(isinstance(value, str) for value in raw[name].flat),
        )
        for name in _file_names(schema)
    }
    tensors = {
        name: tf.constant(values.tolist(), tf.string)
        if values.dtype == object
        else tf.constant(values)
        for name, values in raw.items()
    }
    rows = {"inputs": tensors}
    if target is not None:
        rows["target"] = target
    if weight is not None:
        rows["weight"] = weight
    dataset = tf.data.Dataset.from_tensor_slices(rows)
    if shuffle:
        dataset = dataset.shuffle(len(next(iter(raw.values()))), seed=seed)
    return _batches(dataset, schema, batch_size, files)


def _from_rows(dataset, schema, batch_size, shuffle, seed, with_target):
    several = schema.has_several_targets
    targets = schema.targets if with_target else {}
    require_columns(dataset.element_spec, [*schema.inputs, *targets])

    def of_target(of):
        """One value, or a dict of several."""
        values = {name: of(name) for name in targets}
        return values if several else values[schema.target_name]

    def arrange(row):
        entry = {"inputs": {name: row[name] for name in schema.inputs}}
        if with_target:
            entry["target"] = of_target(lambda name: row[name])
        return entry

    dataset = map_in_parallel(dataset, arrange)
    if shuffle:
        dataset = dataset.shuffle(1024, seed=seed)

    def encode(raw):
        raw = raw if several else {schema.target_name: raw}
        return of_target(lambda name: targets[name].encode_tensor(raw[name], several))

    encode = encode if with_target else None
    return _batches(dataset, schema, batch_size, encode_target=encode)


def _batched(dataset, batch_size):
    """Batches; sequences of different lengths are padded with NaN."""
    import tensorflow as tf

    shapes = [spec.shape for spec in tf.nest.flatten(dataset.element_spec)]
    if all(shape.rank is None or shape.is_fully_defined() for shape in shapes):
        return dataset.batch(batch_size)
    padding = tf.nest.map_structure(
        lambda spec: (
            tf.constant(np.nan, spec.dtype) if spec.dtype.is_floating else None
        ),
        dataset.element_spec,
    )
    return dataset.padded_batch(batch_size, padding_values=padding)


def _read_each(path):
    """Paths of one row -> bytes; `""` stays. TensorFlow graph ops."""
    import tensorflow as tf

    if path.shape.rank:
        return tf.map_fn(_read_each, path)
    return tf.cond(path == "", lambda: "", lambda: tf.io.read_file(path))


def _batches(dataset, schema, batch_size, files=None, encode_target=None):
    """Rows -> batches. `files`: name -> (decoder, whether there are paths)."""
    import tensorflow as tf

    if files is None:
        files = {n: (schema.inputs[n].decode_one, False) for n in _file_names(schema)}

    def decode_file(name, raw):
        decode, with_paths = files[name]
        if raw.dtype != tf.string:
            return decode(raw), True
        present = tf.reduce_any(raw != "")
        if with_paths:
            raw = _read_each(raw)
        return decode(raw), present

    def decode_files(row):
        inputs = {
            name: decode_file(name, raw) if name in files else raw
            for name, raw in row["inputs"].items()
        }
        return {**row, "inputs": inputs}

    def finish(row):
        inputs = {}
        for name, value in schema.inputs.items():
            raw = row["inputs"][name]
            compact = raw if name in files else value.decode(raw)
            inputs[name] = value.finish(compact)
        target = row.get("target")
        if encode_target is not None:
            target = encode_target(target)
        return _entry(inputs, target, row.get("weight"))

    if files:
        dataset = map_in_parallel(dataset, decode_files)
    dataset = _batched(dataset, batch_size)
    dataset = map_in_parallel(dataset, finish)
    return dataset.prefetch(tf.data.AUTOTUNE)
