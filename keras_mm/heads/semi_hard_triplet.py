import keras
from keras import ops

from .contrastive import parts

_FAR = 1e9
# Equal vectors' similarities differ by rounding.
_ROUNDING = 1e-6


@keras.saving.register_keras_serializable(package="keras_mm")
class SemiHardTriplet(keras.losses.Loss):
    """Triplet loss with semi-hard negatives.

    `max(0, margin - s_p + s_n)`, where `s_p` is the similarity to the least similar
    match, and `s_n` is the highest similarity among the non-matches that are less
    similar than it. If all non-matches are more similar, `s_n` is the lowest of their
    similarities: the hardest negatives, with which training may collapse, are never
    used.

    Examples:

    >>> loss = keras_mm.heads.SemiHardTriplet(margin=0.2)
    >>> round(float(loss([[1, 0, 0]], [[0.5, 0.4, 0.9]])), 4)
    0.1

    Args:
        margin: float, in units of the similarity.

    Call arguments:
        y_true: `(queries, items)`: 1 for a match, 0 for a non-match, -1 ignored.
        y_pred: similarities, of the same shape.

    Reference:
        Schroff et al. 2015, "FaceNet: A Unified Embedding for Face Recognition and
        Clustering"; the least similar match as in Hermans et al. 2017, "In Defense
        of the Triplet Loss for Person Re-Identification".
    """

    def __init__(
        self,
        margin=0.2,
        reduction="sum_over_batch_size",
        name="semi_hard_triplet",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.margin = margin

    def call(self, y_true, y_pred):
        """One loss per query, 0 without any match or without any non-match."""
        similarity, matches, others = parts(y_true, y_pred)
        match = ops.min(ops.where(matches, similarity, _FAR), axis=1, keepdims=True)
        lower = ops.logical_and(others, similarity < match - _ROUNDING)
        semi_hard = ops.max(ops.where(lower, similarity, -_FAR), axis=1)
        lowest = ops.min(ops.where(others, similarity, _FAR), axis=1)
        negative = ops.where(ops.any(lower, axis=1), semi_hard, lowest)
        loss = ops.relu(self.margin - ops.squeeze(match, 1) + negative)
        counts = ops.logical_and(ops.any(matches, axis=1), ops.any(others, axis=1))
        return ops.where(counts, loss, 0.0)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "margin": self.margin}
