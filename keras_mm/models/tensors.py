"""Validation of the arrays that are fed to a model."""

import numpy as np

from ..data.raw import refuse_rows_without_label
from ..inputs import Forms


def check_tensors(x, y, model):
    """Raises a `ValueError` if arrays do not fit the model.

    Args:
        x: dict from input name to array, list of arrays in the order of
            `model.inputs`, or one array.
        y: target array, dict of several, or None.
        model: `keras.Model`.
    """
    expected = {tensor.name: tensor for tensor in model.inputs}
    if isinstance(x, dict):
        missing = [name for name in expected if name not in x]
        if missing:
            raise ValueError(
                f"The model needs the inputs {list(expected)}; {missing} are "
                f"missing. Received: x with keys {list(x)}"
            )
        values = {name: x[name] for name in expected}
    else:
        listed = list(x) if isinstance(x, (list, tuple)) else [x]
        if len(listed) != len(expected):
            raise ValueError(
                f"The model takes {len(expected)} inputs, in this order: "
                f"{list(expected)}. Received: {len(listed)} inputs"
            )
        values = dict(zip(expected, listed))
    rows = {}
    for name, value in values.items():
        shape = getattr(value, "shape", None)
        if shape is None:
            raise ValueError(
                f"Input {name!r} must be an array. "
                f"Received: {name} of type {type(value).__name__}"
            )
        _check_shape(name, tuple(shape), tuple(expected[name].shape))
        rows[name] = shape[0]
        if isinstance(value, np.ndarray):
            _check_values(name, value, expected[name], model)
    if y is not None:
        rows |= _check_labels(y, model)
    if len(set(rows.values())) > 1:
        raise ValueError(
            f"All arrays must have the same number of rows. Received: rows={rows}"
        )
    if 0 in rows.values():
        raise ValueError(f"There are no rows. Received: rows={rows}")


def one_target(x, y=None):
    """A batch of one target, with the structure of the training batches.

    Args:
        x: `tf.data.Dataset` of inputs and targets; other types are ignored.
        y: array of targets, dict of arrays, or None.

    Returns:
        array, dict of arrays, or None if the structure is unknown.
    """
    if isinstance(y, dict):
        return {name: np.asarray(values[:1]) for name, values in y.items()}
    if y is not None:
        return np.asarray(y[:1])
    specs = getattr(x, "element_spec", None)
    if not isinstance(specs, tuple) or len(specs) < 2:
        return None

    def zeros(spec):
        return np.zeros([1, *spec.shape[1:]], spec.dtype.as_numpy_dtype)

    specs = specs[1]
    listed = list(specs.values()) if isinstance(specs, dict) else [specs]
    if any(s.shape.rank is None or None in s.shape[1:] for s in listed):
        return None
    if isinstance(specs, dict):
        return {name: zeros(spec) for name, spec in specs.items()}
    return zeros(specs)


def _check_shape(name, shape, expected):
    fits = len(shape) == len(expected) and all(
        wanted is None or wanted == got for got, wanted in zip(shape[1:], expected[1:])
    )
    if not fits:
        raise ValueError(
            f"Input {name!r} must have shape {('rows', *expected[1:])}. "
            f"Received: {name} of shape {shape}"
        )


def _check_values(name, value, tensor, model):
    if value.dtype == object or value.dtype.kind in "USO":
        raise ValueError(
            f"Input {name!r} takes numbers of dtype {tensor.dtype}. Pass raw texts and "
            "images as a table. "
            f"Received: {name} of dtype {value.dtype}"
        )
    if "int" in tensor.dtype:
        if not np.issubdtype(value.dtype, np.integer):
            raise ValueError(
                f"Input {name!r} takes whole numbers (ids). "
                f"Received: {name} of dtype {value.dtype}"
            )
        column = model.schema and model.schema.inputs.get(name)
        if value.size and isinstance(column, Forms):
            column.map(lambda form, part: _check_ids(name, part, form), value)
        elif value.size:
            _check_ids(name, value, column)
    elif len(tensor.shape) in (4, 5) and value.size:
        highest = value[:8].max()
        if highest > 1.5:
            raise ValueError(
                f"Pixels of input {name!r} must be between 0 and 1; divide by "
                "255, or pass uint8 images as a table. "
                f"Received: {name} with pixels up to {highest}"
            )


def _check_ids(name, value, column):
    """Refuses ids that the column's input does not have; returns them."""
    ids = getattr(column, "num_ids", None)
    if ids is not None and not 0 <= value.min() <= value.max() < ids:
        raise ValueError(
            f"Ids of input {name!r} must be between 0 and {ids - 1}. "
            f"Received: {name} from {value.min()} to {value.max()}"
        )
    return value


def check_names(y, schema):
    """Raises a `ValueError` unless `y` is a dict of the schema's targets."""
    if not isinstance(y, dict) or set(y) != set(schema.targets):
        given = f"keys {list(y)}" if isinstance(y, dict) else f"type {type(y).__name__}"
        raise ValueError(
            f"The model has the targets {list(schema.targets)}: pass their labels as a "
            f"dict with these keys. Received: y of {given}"
        )


def _check_labels(y, model):
    """Validates the user's labels; returns the number of rows by target."""
    schema = model.schema
    if schema is None or not schema.targets:
        return {"y": len(y)} if hasattr(y, "__len__") else {}
    by_target = schema.by_target(y)
    check_names(by_target, schema)
    arrays = {}
    for name, target in schema.targets.items():
        labels = by_target[name]
        if isinstance(labels, (np.ndarray, list)) and len(labels):
            arrays[name] = np.asarray(labels)
            called = "y" if y is labels else name
            target.check(arrays[name], called, schema.allows_missing_labels)
    rows = {
        n: len(labels) for n, labels in by_target.items() if hasattr(labels, "__len__")
    }
    if len(arrays) == len(by_target) and len(set(rows.values())) == 1:
        refuse_rows_without_label(arrays, schema)
    return rows
