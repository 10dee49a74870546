import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class MaskedMeanSquaredError(keras.losses.Loss):
    """Mean squared error over the numbers that are not NaN.

    `sum (t - p)^2 / count` over all numbers `t` of the batch that are not NaN:
    missing rows, padded steps and gaps do not count. A batch without any number
    has a loss of 0.

    Examples:

    >>> loss = keras_mm.heads.MaskedMeanSquaredError()
    >>> value = loss([[1.0, numpy.nan], [3.0, 2.0]], [[0.0, 5.0], [3.0, 4.0]])
    >>> round(float(value), 4)
    1.6667

    Call arguments:
        y_true: float tensor `(batch, ...)`, NaN where a value is missing.
        y_pred: float tensor of the same shape.

    Reference:
        Little and Rubin 2002, "Statistical Analysis with Missing Data"
        (available-case analysis).
    """

    def __init__(
        self,
        reduction="sum_over_batch_size",
        name="masked_mean_squared_error",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        """Scaled losses of the rows, `(batch,)`: their mean is the batch's loss."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(ops.convert_to_tensor(y_true), y_pred.dtype)
        if tuple(y_true.shape[1:]) != tuple(y_pred.shape[1:]):
            raise ValueError(
                "The target must have the shape of the prediction. Received: "
                f"y_true of shape {tuple(y_true.shape)}, "
                f"y_pred of shape {tuple(y_pred.shape)}"
            )
        mask = ops.logical_not(ops.isnan(y_true))
        # Replaced before the subtraction: 0 times NaN would be NaN in the
        # gradient.
        error = y_pred - ops.where(mask, y_true, ops.zeros_like(y_true))
        error = ops.where(mask, ops.square(error), ops.zeros_like(error))
        axes = tuple(range(1, len(y_pred.shape)))
        count = ops.sum(ops.cast(mask, y_pred.dtype), axis=axes)
        # Not the mean of each row: a sequence of two steps weighs less than one of a
        # hundred.
        return ops.divide_no_nan(ops.sum(error, axis=axes), ops.mean(count))
