import keras
import numpy as np
from keras import ops

from .crossentropy import Crossentropy


@keras.saving.register_keras_serializable(package="keras_mm")
class BalancedCrossentropy(Crossentropy):
    """Cross-entropy whose rows of small classes count more.

    A row of a class of `n` training rows has the weight `(1 - beta) / (1 - beta^n)`, the
    inverse of the class's effective number of rows; the mean weight of the training rows
    is 1. A class ten times as large has less than ten times the effective number.

    Examples:

    >>> loss = keras_mm.heads.BalancedCrossentropy([900, 100])
    >>> round(loss.weights[1] / loss.weights[0], 2)
    6.23

    Args:
        counts: list of ints, the training rows of each class.
        beta: float below 1; the closer to 1, the closer to weights of `1 / n`.
        label_smoothing: float, part of the label that is spread over all classes.

    Call arguments:
        y_true: integers `(batch,)` or `(batch, 1)`, or `(batch, classes)`.
        y_pred: probabilities `(batch, classes)`.

    Reference:
        Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples".
    """

    def __init__(self, counts, beta=0.999, name="balanced_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        if not 0 <= beta < 1:
            raise ValueError(
                f"`beta` must be at least 0 and below 1. Received: beta={beta}"
            )
        self.counts = [int(count) for count in counts]
        self.beta = beta
        rows = np.maximum(np.asarray(self.counts, "float64"), 1.0)
        weights = (1 - beta) / (1 - beta**rows)
        self.weights = (weights * rows.sum() / (weights @ rows)).tolist()

    def call(self, y_true, y_pred):
        """One loss per row."""
        y_pred = ops.convert_to_tensor(y_pred)
        labels = self.one_hot(y_true, y_pred)
        weights = labels * ops.convert_to_tensor(self.weights, labels.dtype)
        return ops.sum(weights, axis=-1) * super().call(y_true, y_pred)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "counts": self.counts, "beta": self.beta}
