"""Parts that the contrastive losses share."""

from keras import ops


def parts(y_true, y_pred):
    """Similarities in float32, and masks of matches and non-matches.

    Args:
        y_true: 1 for a match, 0 for a non-match, -1 for pairs that are ignored.
        y_pred: similarities, of the same shape.
    """
    similarity = ops.cast(ops.convert_to_tensor(y_pred), "float32")
    y_true = ops.cast(ops.convert_to_tensor(y_true), "float32")
    return similarity, y_true > 0.5, ops.abs(y_true) < 0.5
