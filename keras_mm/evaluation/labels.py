"""The rows that have a target's label."""

import numpy as np


def rows_with_label(labels, schema):
    """The indices of the rows that have a label, by target.

    Args:
        labels: dict from target to array, as returned by `encode_targets`.
        schema: `Schema` of these targets.

    Returns:
        dict from target to int array.

    Raises:
        ValueError: if no row has a label of some target.
    """
    rows = {
        name: np.flatnonzero(target.is_known(labels[name]))
        for name, target in schema.targets.items()
    }
    counts = {name: len(labelled) for name, labelled in rows.items()}
    if not all(counts.values()):
        empty = next(name for name, count in counts.items() if not count)
        raise ValueError(
            f"No row has a label of the target {empty!r}: there is nothing to compare "
            "its predictions with. Add rows that have one. "
            f"Received: rows with a label={counts}"
        )
    return rows


def constant_predictions(labels, schema, rows):
    """The best constant predictions, for `rows` rows, by target."""
    labelled = rows_with_label(labels, schema)
    return {
        name: np.tile(target.constant(labels[name][labelled[name]]), (rows, 1))
        for name, target in schema.targets.items()
    }
