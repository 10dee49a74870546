import keras
from keras import ops

from .number_scale import NumberScale


@keras.saving.register_keras_serializable(package="keras_mm")
class ScaledMeanSquaredError(keras.losses.Loss):
    """Mean squared error on the scale of a `NumberScale`.

    Examples:

    >>> loss = keras_mm.heads.ScaledMeanSquaredError("log", [1.0, 10.0, 100.0])
    >>> float(loss([[10.0]], [[10.0]]))
    0.0

    Args:
        scale: `"log"` or `"quantile"`.
        quantiles: list of floats, of the training rows at equal steps of probability.

    Call arguments:
        y_true: tensor `(batch, ...)`, in the target's own unit.
        y_pred: tensor of the same shape, in the same unit.
    """

    def __init__(
        self,
        scale,
        quantiles,
        reduction="sum_over_batch_size",
        name="mean_squared_error",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.scale = NumberScale(scale, quantiles)

    def call(self, y_true, y_pred):
        """Each row's mean over the last axis."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.reshape(ops.convert_to_tensor(y_true), ops.shape(y_pred))
        errors = self.scale.to_scale(y_true) - self.scale.to_scale(y_pred)
        return ops.mean(ops.square(errors), axis=-1)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "scale": self.scale.scale,
            "quantiles": self.scale.quantiles,
        }
