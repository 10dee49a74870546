import keras
from keras import ops

from .contrastive import parts


@keras.saving.register_keras_serializable(package="keras_mm")
class SigmoidContrastive(keras.losses.Loss):
    """Sigmoid loss of each pair: match or non-match.

    `sum_j log(1 + exp(-z_j s_j))`, where `s` are the similarities of one query,
    scaled and shifted, and `z` is 1 for a match and -1 otherwise. Pairs are
    independent, so that a query may have several matches, or none.

    Examples:

    >>> loss = keras_mm.heads.SigmoidContrastive()
    >>> round(float(loss([[1, 0]], [[0.0, 0.0]])), 4)
    1.3863

    Call arguments:
        y_true: `(queries, items)`: 1 for a match, 0 for a non-match, -1 ignored.
        y_pred: similarities, of the same shape.

    Reference:
        Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training".
    """

    def __init__(
        self, reduction="sum_over_batch_size", name="sigmoid_contrastive", dtype=None
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        """One loss per query."""
        similarity, matches, others = parts(y_true, y_pred)
        signed = ops.where(matches, -similarity, similarity)
        compared = ops.logical_or(matches, others)
        return ops.sum(ops.where(compared, ops.softplus(signed), 0.0), axis=1)
