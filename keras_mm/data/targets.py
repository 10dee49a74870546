"""Target columns of a table -> arrays of labels."""

import numpy as np

from ..errors import RowsError, without_target
from .columns import require_columns


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
