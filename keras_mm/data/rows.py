"""A `tf.data.Dataset` of rows -> batches, with the same meaning as a table."""

import contextlib
import re

import numpy as np

from ..errors import RowsError
from ..inputs.files import map_in_parallel
from .class_weights import class_weights_of, weights_of_classes
from .columns import column_of, refuse_batches, require_columns
from .raw import broken, encode_targets, file_names, read_files, refuse_files, to_raw
from .row_cells import cells_of, flat_arrays, without_gaps
from .weights import combined_weights


def from_rows(
    dataset,
    schema,
    batch_size,
    shuffle,
    seed,
    base_dir,
    on_unreadable,
    with_target,
    class_weight,
    sample_weight,
):
    """Rows -> batches of tensors; see `to_dataset`.

    The cells of a batch go through the same Python functions as those of a table.
    """
    import pandas as pd
    import tensorflow as tf

    targets = schema.targets if with_target else {}
    names = [*schema.inputs, *targets]
    if sample_weight is not None:
        if not isinstance(sample_weight, str):
            raise ValueError(
                "The weights of a dataset's rows are one of its columns: "
                "sample_weight='weight'. Received: sample_weight of type "
                f"{type(sample_weight).__name__}"
            )
        # The weight may also be an input.
        names = list(dict.fromkeys([*names, sample_weight]))
    require_columns(dataset.element_spec, names)
    refuse_batches(dataset.element_spec, schema)
    if class_weight is not None:
        class_weight = _weights_by_name(class_weight, dataset, schema)
    dataset = map_in_parallel(
        dataset, lambda row: {name: without_gaps(row[name]) for name in names}
    )
    row, files = dataset.element_spec, file_names(schema)
    dataset = dataset.enumerate()
    if shuffle:
        dataset = dataset.shuffle(1024, seed=seed)
    # Lists of different lengths stay ragged: padding would become part of a cell.
    shapes = [spec.shape.rank for spec in tf.nest.flatten(row)]
    batch = dataset.batch if None in shapes else dataset.ragged_batch
    dataset = batch(batch_size)
    several = dataset.element_spec[1]

    def encode(rows, *arrays):
        arrays = iter(arrays)
        cells = {
            name: cells_of(arrays, row[name], several[name], name in files)
            for name in names
        }
        with _numbered(rows):
            return _encode(pd.DataFrame(cells))

    def _encode(table):
        raw = to_raw(table, schema, base_dir, on_unreadable)
        values = [
            np.asarray(read_files(raw[name]), value.raw_array_dtype)
            for name, value in schema.inputs.items()
        ]
        if not targets:
            return values
        labels = encode_targets(table, schema)
        values += labels.values()
        weights = combined_weights(table, labels, schema, class_weight, sample_weight)
        return values if weights is None else [*values, *tf.nest.flatten(weights)]

    outputs = [value.serving_spec(name) for name, value in schema.inputs.items()]
    for name, target in targets.items():
        example = target.encode(pd.Series([], dtype=object), name, True)
        outputs.append(tf.TensorSpec([None, *example.shape[1:]], example.dtype))
    weighted = [sample_weight] if sample_weight is not None else []
    if class_weight is not None:
        # In the order in which `tf.nest` flattens a dict.
        weighted = sorted(targets)
    if targets:
        outputs += [tf.TensorSpec([None], tf.float32) for _ in weighted]

    def read(rows, batch):
        arrays = [rows, *flat_arrays({name: batch[name] for name in names})]
        tensors = tf.numpy_function(encode, arrays, [spec.dtype for spec in outputs])
        for tensor, spec in zip(tensors, outputs):
            tensor.set_shape(spec.shape)
        return rows, *tensors

    def finish(rows, *tensors):
        tensors = iter(tensors)
        inputs = {}
        for name, value in schema.inputs.items():
            raw = next(tensors)
            compact = value.decode(raw)
            if value.is_file and on_unreadable == "error":
                compact = compact[0], _refuse_broken(name, rows, raw, compact[1])
            inputs[name] = value.finish(compact)
        if not targets:
            return (inputs,)
        labels = schema.without_dict({name: next(tensors) for name in targets})
        weights = dict(zip(weighted, tensors))
        if not weights:
            return (inputs, labels)
        if len(weights) == 1:
            (weights,) = weights.values()
        return (inputs, labels, weights)

    # In order, and one batch at a time: some inputs draw random numbers.
    dataset = dataset.map(tf.autograph.experimental.do_not_convert(read))
    dataset = map_in_parallel(dataset, finish)
    return dataset.prefetch(tf.data.AUTOTUNE)


@contextlib.contextmanager
def plain_errors():
    """Errors about cells are raised as `ValueError`, also from inside a dataset."""
    try:
        yield
    except Exception as error:
        # TensorFlow adds the place in its graph to errors of Python functions.
        match = re.search(
            r"(?:RowsError|ValueError): (.*?Received: .*?)\n+Traceback ",
            str(error),
            re.DOTALL,
        )
        if match and not isinstance(error, ValueError):
            raise ValueError(match[1]) from error
        raise


@contextlib.contextmanager
def _numbered(rows):
    """Errors count rows in the dataset, not in the batch."""
    try:
        yield
    except RowsError as error:
        raise error.renumbered(rows) from None


def _refuse_broken(name, rows, raw, ok):
    """Returns `ok`; raises an error if a file cannot be decoded."""
    import tensorflow as tf

    def check(rows, raw, ok):
        wrong = broken(raw, ok)
        if wrong.any():
            with _numbered(rows):
                refuse_files(name, wrong, raw)
        return ok

    checked = tf.numpy_function(check, [rows, raw, ok], tf.bool)
    return tf.ensure_shape(checked, ok.shape)


def _weights_by_name(class_weight, dataset, schema):
    """Class weights by the classes' names; `"balanced"` reads the labels."""
    return schema.without_dict(
        {
            name: wanted and _of_target(wanted, dataset, schema, name)
            for name, wanted in class_weights_of(class_weight, schema).items()
        }
    )


def _of_target(class_weight, dataset, schema, name):
    """dict from each class's name to its weight."""
    target, labels = schema.targets[name], np.zeros(0, "int32")
    if class_weight == "balanced":
        if dataset.cardinality() < 0:
            raise ValueError(
                "The rows of each class can only be counted in a dataset of "
                "known length. Pass a dict from class to weight, or "
                "dataset.apply(tf.data.experimental.assert_cardinality(rows)). "
                "Received: class_weight='balanced'"
            )
        column = schema.replace_missing_labels(column_of(dataset, name), name)
        labels = target.encode(column, name, schema.allows_missing_labels)
    weights = weights_of_classes(target, class_weight, labels)
    return dict(zip(target.names, weights))
