"""Checks of label arrays given by the user."""

import numpy as np

from ..errors import rows_text


def check_numbers(labels, name):
    """Raises a `ValueError` unless the array holds numbers."""
    if labels.dtype.kind not in "biuf":
        raise ValueError(
            "Target arrays hold numbers: class indices, 0 and 1 for each class, "
            f"or quantities. Received: {name} of dtype {labels.dtype}"
        )


def check_shape(labels, units, name, or_else=""):
    """Raises a `ValueError` unless the array has `units` values per row."""
    single = labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1)
    if not ((single and units == 1) or labels.shape[1:] == (units,)):
        raise ValueError(
            f"The target must have shape ('rows', {units}){or_else}. "
            f"Received: {name} of shape {labels.shape}"
        )


def check_finite(labels, name):
    """Raises a `ValueError` if a value is NaN or infinite."""
    if not np.isfinite(labels).all():
        wrong = np.flatnonzero(~np.isfinite(labels.reshape(len(labels), -1)).all(1))
        raise ValueError(
            f"The target is NaN or infinite in {rows_text(wrong)}. Drop these "
            f"rows. Received: {name}={labels[wrong[0]]}"
        )
