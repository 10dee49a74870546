import keras
from keras import ops

from .contrastive import parts


@keras.saving.register_keras_serializable(package="keras_mm")
class InfoNCE(keras.losses.Loss):
    """InfoNCE: softmax cross-entropy of a query's matches among all items.

    `-1 / |P| sum_{j in P} log (exp s_j / sum_k exp s_k)`, where `s` are the
    similarities of one query, divided by the temperature, and `P` its matches. With
    one match it is the loss of CLIP; several matches count equally.

    Examples:

    >>> loss = keras_mm.heads.InfoNCE()
    >>> round(float(loss([[1, 0]], [[0.0, 0.0]])), 4)
    0.6931

    Call arguments:
        y_true: `(queries, items)`: 1 for a match, 0 for a non-match, -1 ignored.
        y_pred: similarities, of the same shape.

    Reference:
        van den Oord et al. 2018, "Representation Learning with Contrastive
        Predictive Coding"; Radford et al. 2021, "Learning Transferable Visual
        Models From Natural Language Supervision"; several matches as in Khosla et
        al. 2020, "Supervised Contrastive Learning".
    """

    def __init__(self, reduction="sum_over_batch_size", name="info_nce", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        """One loss per query, 0 for a query without a match."""
        similarity, matches, others = parts(y_true, y_pred)
        compared = ops.logical_or(matches, others)
        logits = ops.where(compared, similarity, -1e9)
        logs = ops.where(matches, ops.log_softmax(logits, axis=1), 0.0)
        count = ops.sum(ops.cast(matches, "float32"), axis=1)
        return -ops.divide_no_nan(ops.sum(logs, axis=1), count)
