"""The inputs of `fit`, `evaluate` and `predict`: tables or tensors."""

import types

import keras
import numpy as np

from ..data import Tensors, overlap, to_table
from ..data.columns import is_dataset, require_columns
from ..data.weights import row_weights
from ..errors import warn, without_target
from .tensors import check_names

# Kinds of inputs with a single value per cell.
_SINGLE = ("number", "category", "text")
_BACKENDS = ("tensorflow", "torch", "jax", "jaxlib")


def is_table(x, model):
    """Whether `x` is a table, whose cells must be preprocessed.

    A dict is one, unless the model was made for arrays: built from a dict of inputs,
    with a schema that was never adapted.

    Args:
        x: the argument of `fit`, `evaluate` or `predict`.
        model: `MultimodalModel`.

    Raises:
        ValueError: if a dict could be a table as well as tensors.
    """
    if isinstance(x, Tensors):
        return False
    if is_dataset(x):
        return isinstance(x.element_spec, dict)
    if isinstance(x, dict):
        schema = model.schema
        if schema is None or schema.is_of_arrays or not schema.is_adapted:
            return False
        _refuse_tensors(x, model)
        return True
    is_one = hasattr(x, "columns") or isinstance(x, str) or hasattr(x, "__fspath__")
    if is_one and model.schema is None:
        raise ValueError(
            "The model has no schema to read a table by: it is a submodel of another "
            "model, or a clone of one that was not compiled. Set it: "
            "part.schema = keras_mm.Schema({...}), or copy the model by "
            "type(model).from_config(model.get_config()). "
            f"Received: a table of type {type(x).__name__}, model={model.name!r}"
        )
    return is_one


def _refuse_tensors(columns, model):
    """Raises a `ValueError` if a dict holds tensors of the model, not columns."""
    for tensor in model.inputs:
        value = columns.get(tensor.name)
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            continue
        package = type(value).__module__.partition(".")[0]
        if package in _BACKENDS:
            what = f"a tensor of {package}"
        elif (
            model.schema.inputs[tensor.name].kind in _SINGLE
            and len(value.shape) == len(tensor.shape)
            and getattr(value.dtype, "kind", "O") in "iufb"
        ):
            what = "an array of the shape of the model's tensor"
        else:
            continue
        raise ValueError(
            f"A dict is a table, with one cell per row in each column, but "
            f"{tensor.name!r} is {what}. If it holds cells, pass them as a column: a "
            "list or a NumPy array, such as array.reshape(-1), or a DataFrame. If it is "
            "preprocessed already, pass keras_mm.Tensors({...}) or a list of arrays. "
            f"Received: {tensor.name} of type {type(value).__name__}, shape "
            f"{tuple(value.shape)}"
        )


def plain(x):
    """`Tensors`, alone or with targets in a tuple or a generator, as Keras takes them."""
    if isinstance(x, Tensors):
        return dict(x)
    if isinstance(x, tuple):
        return tuple(plain(part) for part in x)
    if isinstance(x, types.GeneratorType):
        return (plain(part) for part in x)
    return x


def pair_of(rows):
    """Splits rows into `(x, y, sample_weight)`; None for missing parts.

    Keras takes a tuple of two or three, and a list that holds them.
    """
    if isinstance(rows, (tuple, list)) and len(rows) in (2, 3):
        return (*rows, None)[:3]
    return rows, None, None


def take_rows(x, rows):
    """Some rows of a table or of arrays.

    Args:
        x: DataFrame, array, or a list, dict or `Tensors` of arrays.
        rows: slice, or array of row indices.
    """
    if hasattr(x, "iloc"):
        return x.iloc[rows].reset_index(drop=True)
    if isinstance(x, Tensors):
        return Tensors(take_rows(dict(x), rows))
    return keras.tree.map_structure(
        lambda value: (
            value[rows] if hasattr(value, "shape") else np.asarray(value)[rows]
        ),
        x,
    )


def split_last(rows, share):
    """Splits off the last rows of inputs, targets and weights."""
    x, y, weights = rows
    labels = keras.tree.flatten(y)[0]
    if weights is not None:
        weights = row_weights(labels, weights)
    first = int(len(labels) * (1 - share))
    return (
        tuple(
            None if part is None else take_rows(part, slice_)
            for part in (x, y, weights)
        )
        for slice_ in (slice(None, first), slice(first, None))
    )


def with_target(table, y, schema):
    """A table with separate labels added as columns of the targets.

    Args:
        table: a table.
        y: labels, a Series, a list or an array; for several targets a dict or
            DataFrame of these; None: the table holds them.
        schema: the model's `Schema`.
    """
    if y is None:
        return table
    if not schema.targets:
        raise without_target(f"y of type {type(y).__name__}")
    table = to_table(table)
    if hasattr(y, "columns"):
        y = {name: y[name] for name in y.columns}
    y = schema.by_target(y)
    if len(schema.targets) == len(y) == 1:
        # The labels of a single target may have any name.
        y = dict.fromkeys(schema.targets, *y.values())
    check_names(y, schema)
    require_columns(y, schema.targets)
    labels = {}
    for name in schema.targets:
        values = y[name]
        if len(values) != len(table):
            raise ValueError(
                "There must be one label for each row of the table. "
                f"Received: {len(values)} labels of {name!r}, {len(table)} rows"
            )
        if getattr(values, "shape", ())[1:] == (1,):
            values = np.reshape(values, -1)
        labels[name] = list(values)
    return table.assign(**labels)


def warn_of_overlap(train, validation, schema):
    """Warns of files that are in both the training and the validation rows."""
    if is_dataset(train) or is_dataset(validation):
        return
    files = [name for name, value in schema.inputs.items() if value.is_file]
    if not files:
        return
    train, validation = (
        schema.replace_missing_cells(to_table(rows)) for rows in (train, validation)
    )
    for name in files:
        count = overlap(train, validation, name)
        if count:
            warn(
                f"{count} files of column {name!r} are in both the training and the "
                "validation rows: the scores will be too optimistic. Split by group: "
                "keras_mm.data.split(groups=...)."
            )
