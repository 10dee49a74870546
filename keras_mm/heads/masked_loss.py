import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class MaskedLoss(keras.losses.Loss):
    """A loss over the rows that have a label.

    `sum_i m_i l_i / sum_i m_i`, where `l_i` is the loss of row `i` and `m_i` is 0 if
    its label is missing, else 1. A batch without any label has a loss of 0.

    Examples:

    >>> loss = keras_mm.heads.MaskedLoss(keras.losses.MeanSquaredError())
    >>> float(loss([[1.0], [numpy.nan]], [[3.0], [5.0]]))
    4.0

    Args:
        loss: `keras.losses.Loss` with one value per row.
        minimum: float, labels below it are missing: 0 for class indices, of which a
            missing one is -1; None: only NaN is missing.

    Call arguments:
        y_true: tensor `(batch, ...)`; a row counts if none of its values is missing.
        y_pred: predictions, as `loss` takes them.

    Reference:
        Little and Rubin 2002, "Statistical Analysis with Missing Data"
        (available-case analysis).
    """

    def __init__(
        self,
        loss,
        minimum=None,
        reduction="sum_over_batch_size",
        name=None,
        dtype=None,
    ):
        super().__init__(name=name or loss.name, reduction=reduction, dtype=dtype)
        self.loss = loss
        self.minimum = minimum

    def call(self, y_true, y_pred):
        """Scaled losses of the rows, `(batch,)`: their mean is the batch's loss."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true, mask = split_mask(y_true, self.minimum)
        losses = ops.where(mask > 0, self.loss.call(y_true, y_pred), 0.0)
        return ops.divide_no_nan(losses, ops.mean(mask))

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "loss": keras.saving.serialize_keras_object(self.loss),
            "minimum": self.minimum,
        }

    @classmethod
    def from_config(cls, config):
        """Creates the loss again from `get_config()`."""
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})


def split_mask(y_true, minimum=None):
    """Labels with 0 where missing, and the mask of rows: floats `(batch,)`."""
    y_true = ops.cast(ops.convert_to_tensor(y_true), "float32")
    if minimum is None:
        mask = ops.logical_not(ops.isnan(y_true))
    else:
        # False for NaN, too.
        mask = y_true >= minimum
    # Replaced before anything is computed: 0 times NaN would be NaN in the
    # gradient, and -1 is no class.
    y_true = ops.where(mask, y_true, ops.zeros_like(y_true))
    if len(y_true.shape) > 1:
        mask = ops.all(mask, axis=tuple(range(1, len(y_true.shape))))
    return y_true, ops.cast(mask, "float32")
