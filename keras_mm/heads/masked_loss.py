import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class MaskedLoss(keras.losses.Loss):
    """A loss over the rows whose label is there.

    `sum_i k_i l_i / sum_i k_i`, where `l_i` is the loss of row `i` and `k_i` is
    1 if its label is known, else 0. A batch without any label has a loss of 0.

    Examples:

    >>> loss = keras_mm.heads.MaskedLoss(keras.losses.MeanSquaredError())
    >>> float(loss([[1.0], [numpy.nan]], [[3.0], [5.0]]))
    4.0

    Args:
        loss: `keras.losses.Loss` with one value a row.
        minimum: float, the least value of a label that is there: 0 for classes,
            of which a missing one is -1; None: every number is one, NaN is not.

    Call arguments:
        y_true: tensor `(batch, ...)`; a row counts if it is known throughout.
        y_pred: what `loss` takes.

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
        """Each row's share, `(batch,)`: their mean is the batch's loss."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true, known = split_known(y_true, self.minimum)
        losses = ops.where(known > 0, self.loss.call(y_true, y_pred), 0.0)
        return ops.divide_no_nan(losses, ops.mean(known))

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


def split_known(y_true, minimum=None):
    """Labels without gaps, and which rows are known: floats `(batch,)`, 0 or 1."""
    y_true = ops.cast(ops.convert_to_tensor(y_true), "float32")
    if minimum is None:
        known = ops.logical_not(ops.isnan(y_true))
    else:
        # NaN is not.
        known = y_true >= minimum
    # Replaced before anything is computed: 0 times NaN would be NaN in the
    # gradient, and there is no class -1.
    y_true = ops.where(known, y_true, ops.zeros_like(y_true))
    if len(y_true.shape) > 1:
        known = ops.all(known, axis=tuple(range(1, len(y_true.shape))))
    return y_true, ops.cast(known, "float32")
