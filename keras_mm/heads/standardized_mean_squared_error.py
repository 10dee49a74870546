import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class StandardizedMeanSquaredError(keras.losses.Loss):
    """Mean squared error in units of the target's standard deviation.

    `mean ((t - p) / std)^2`: the loss and its gradients do not depend on whether a
    price is in cents or in millions.

    Examples:

    >>> loss = keras_mm.heads.StandardizedMeanSquaredError(std=10.0)
    >>> float(loss([[100.0], [120.0]], [[110.0], [120.0]]))
    0.5

    Args:
        std: float, the target's standard deviation.

    Call arguments:
        y_true: tensor `(batch, ...)`.
        y_pred: tensor of the same shape, in the unit of `y_true`.
    """

    def __init__(
        self,
        std=1.0,
        reduction="sum_over_batch_size",
        name="mean_squared_error",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.std = float(std)

    def call(self, y_true, y_pred):
        """Each row's mean over the last axis."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(ops.convert_to_tensor(y_true), y_pred.dtype)
        if len(y_true.shape) == len(y_pred.shape) - 1:
            y_true = ops.expand_dims(y_true, -1)
        return ops.mean(ops.square((y_true - y_pred) / self.std), axis=-1)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "std": self.std}
