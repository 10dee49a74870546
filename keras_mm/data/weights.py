"""Weights of a table's rows."""

import numpy as np

from ..errors import refuse_rows
from ..inputs import Number
from .class_weights import class_weights, class_weights_of
from .columns import column_name, require_columns


def row_weights(table, sample_weight):
    """One weight per row, as a `float32` array.

    Args:
        table: DataFrame; with an array of weights, anything of the same length.
        sample_weight: name of a column of the table, or array `(rows,)`; or a dict
            of these by target, whose weights are a dict by target, too.

    Raises:
        ValueError: if a weight is missing, negative or infinite, or if their number
            is not that of the rows.
    """
    import pandas as pd

    if isinstance(sample_weight, dict):
        return {name: row_weights(table, own) for name, own in sample_weight.items()}
    name = "sample_weight"
    sample_weight = column_name(sample_weight)
    if isinstance(sample_weight, str) and hasattr(table, "columns"):
        name = sample_weight
        require_columns(table.columns, [name])
        column = table[name]
    else:
        shape = np.shape(sample_weight)
        if isinstance(sample_weight, str):
            raise ValueError(
                "Tensors have no column of weights: give an array, one weight per row. "
                f"Received: sample_weight={sample_weight!r}"
            )
        if shape not in ((len(table),), (len(table), 1)):
            raise ValueError(
                "`sample_weight` is the name of a column, or an array with one number "
                f"for each of the {len(table)} rows. "
                f"Received: sample_weight of shape {shape}"
            )
        column = pd.Series(np.reshape(np.asarray(sample_weight), -1))
    weights = Number().to_raw(column, name)
    wrong = np.flatnonzero(~(weights >= 0))
    if len(wrong):
        refuse_rows(
            name,
            wrong,
            "no weight of 0 or more",
            "A row of weight 0 does not count.",
            column.iloc[wrong[0]],
        )
    return weights.astype("float32")


def combined_weights(table, labels, schema, class_weight=None, sample_weight=None):
    """Class weights times sample weights, one per row; None if there are neither.

    Args:
        table: as in `row_weights`.
        labels: dict from target to encoded labels.
        schema: `Schema`.
        class_weight: as in `class_weights_of`, or None.
        sample_weight: as in `row_weights`, or None.

    Returns:
        `float32` array `(rows,)`; for several targets with class weights or weights by
        target, a dict of these by target.
    """
    weights = None
    if sample_weight is not None:
        weights = row_weights(table, sample_weight)
    if class_weight is None and not isinstance(weights, dict):
        return weights
    by_target = dict.fromkeys(schema.targets, np.float32(1))
    if class_weight is not None:
        by_target = {
            name: class_weights(labels[name], schema.targets[name], wanted)
            for name, wanted in class_weights_of(class_weight, schema).items()
        }
    if not isinstance(weights, dict):
        weights = dict.fromkeys(by_target, 1 if weights is None else weights)
    if set(weights) - set(by_target):
        raise ValueError(
            "`sample_weight` has unknown targets. Targets are "
            f"{list(by_target)}. Received: sample_weight of {list(weights)}"
        )
    ones = np.ones(len(next(iter(labels.values()))), "float32")
    return schema.without_dict(
        {name: ones * own * weights.get(name, 1) for name, own in by_target.items()}
    )
