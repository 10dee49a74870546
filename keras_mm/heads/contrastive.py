"""What the contrastive losses have in common."""

from keras import ops


def parts(y_true, y_pred):
    """Similarities in float32, and which of them match and do not.

    Args:
        y_true: 1 for what matches, 0 for what does not, -1 for what is not to
            be compared.
        y_pred: similarities, of the same shape.
    """
    similarity = ops.cast(ops.convert_to_tensor(y_pred), "float32")
    y_true = ops.cast(ops.convert_to_tensor(y_true), "float32")
    return similarity, y_true > 0.5, ops.abs(y_true) < 0.5
