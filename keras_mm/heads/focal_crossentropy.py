import keras
from keras import ops

from .crossentropy import Crossentropy


@keras.saving.register_keras_serializable(package="keras_mm")
class FocalCrossentropy(Crossentropy):
    """Cross-entropy that counts rows less the better they are predicted.

    `-sum_c t_c (1 - p_c)^gamma log p_c`. No class is weighted. Probabilities become less
    extreme: calibrate them if you use them as such.

    Examples:

    >>> loss = keras_mm.heads.FocalCrossentropy(gamma=2.0)
    >>> round(float(loss([1], [[0.5, 0.5]])), 4)
    0.1733

    Args:
        gamma: float, 0 for the plain cross-entropy.
        label_smoothing: float, part of the label that is spread over all classes.

    Call arguments:
        y_true: integers `(batch,)` or `(batch, 1)`, or `(batch, classes)`.
        y_pred: probabilities `(batch, classes)`.

    Reference:
        Lin et al. 2017, "Focal Loss for Dense Object Detection".
    """

    def __init__(self, gamma=2.0, name="focal_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.gamma = gamma

    def call(self, y_true, y_pred):
        """One loss per row."""
        y_pred = ops.convert_to_tensor(y_pred)
        # Of Keras's function, whose class weighs all classes by `alpha`.
        return keras.losses.categorical_focal_crossentropy(
            self.smoothed(y_true, y_pred), y_pred, alpha=1.0, gamma=self.gamma
        )

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "gamma": self.gamma}
