"""Tables -> `tf.data` datasets of batches of tensors."""

from ..deprecated import renamed
from ..inputs.files import map_in_parallel
from .columns import is_dataset
from .raw import (
    MEMORY_LIMIT,
    decode_all,
    encode_targets,
    file_names,
    memory_size,
    to_raw,
    unreadable,
)
from .rows import from_rows
from .to_table import to_table
from .weights import combined_weights


@renamed(bad="on_unreadable")
def to_dataset(
    table,
    schema,
    batch_size=32,
    shuffle=False,
    seed=None,
    base_dir=None,
    on_unreadable="error",
    with_target=True,
    class_weight=None,
    labels=None,
    sample_weight=None,
):
    """Turns a table into a `tf.data.Dataset` for `model.fit`.

    Examples:

    >>> dataset = keras_mm.data.to_dataset(train, model.schema, shuffle=True)
    >>> history = model.fit(dataset)

    Args:
        table: rows, in any form that `to_table` reads, or a `tf.data.Dataset` of
            dicts of cells, one per row. Its cells mean the same as in a table; a
            string in a column of files is taken for a path if it could be one.
        schema: an adapted `Schema`; for a model take `model.schema`, which also has
            the forms of text that its encoders read.
        batch_size: int.
        shuffle: bool, whether to shuffle the rows again in every epoch.
        seed: int, for the order of the rows.
        base_dir: folder that relative file paths start from.
        on_unreadable: `"error"` refuses cells that cannot be read, with their row
            numbers; `"missing"` treats them as missing.
        with_target: bool, whether to include the target; several targets are a
            dict, in which a missing class is -1, and any other missing label NaN.
        class_weight: None, `"balanced"`, or a dict from class name to weight (or
            from index, if no class name is a number); adds the weight of each row
            as a third entry. For several targets `"balanced"`, or a dict of these
            by target.
        labels: array with a row for each row of the table, in place of the
            schema's target, or None.
        sample_weight: None, or weights of the rows: an array, or the name of a
            column of the table or dataset; added as a third entry, multiplied by
            the class's weight.

    Returns:
        Dataset of `(inputs,)`, `(inputs, target)` or `(inputs, target,
        weight)`, where `inputs` is a dict of tensors.
    """
    if on_unreadable not in ("error", "missing"):
        raise ValueError(
            "`on_unreadable` must be 'error' or 'missing'. Received: "
            f"on_unreadable={on_unreadable!r}"
        )
    if not schema.is_adapted:
        raise ValueError(
            "The schema has not been adapted yet. Call schema.adapt(train) "
            f"first. Received: schema={schema!r}"
        )
    if sample_weight is not None and not schema.targets:
        raise ValueError(
            "`sample_weight` goes with a table that has a target. "
            f"Received: sample_weight of type {type(sample_weight).__name__}, "
            "targets=[]"
        )
    with_target = with_target and bool(schema.targets)
    if is_dataset(table):
        return from_rows(
            table,
            schema,
            batch_size,
            shuffle,
            seed,
            base_dir,
            on_unreadable,
            with_target,
            class_weight,
            sample_weight,
        )
    table = to_table(table)
    raw = to_raw(table, schema, base_dir, on_unreadable)
    target, weight = labels, None
    if with_target:
        target = encode_targets(table, schema)
        weight = combined_weights(table, target, schema, class_weight, sample_weight)
        target = schema.without_dict(target)
    if memory_size(schema, len(table)) <= MEMORY_LIMIT:
        compact = decode_all(raw, schema, on_unreadable)
        return _from_memory(compact, schema, target, weight, batch_size, shuffle, seed)
    if on_unreadable == "missing":
        for name in file_names(schema):
            raw[name][unreadable(raw[name], schema.inputs[name])] = b""
    return _from_raw(raw, schema, target, weight, batch_size, shuffle, seed)


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
        return _entry(inputs, *tf.nest.map_structure(take, (target, weight)))

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
        for name in file_names(schema)
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

    def decode_file(name, raw):
        decode, with_paths = files[name]
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
        return _entry(inputs, row.get("target"), row.get("weight"))

    if files:
        dataset = map_in_parallel(dataset, decode_files)
    dataset = map_in_parallel(dataset.batch(batch_size), finish)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _read_each(path):
    """Paths of one row -> bytes; `""` stays. TensorFlow graph ops."""
    import tensorflow as tf

    if path.shape.rank:
        return tf.map_fn(_read_each, path)
    return tf.cond(path == "", lambda: "", lambda: tf.io.read_file(path))
