import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class Crossentropy(keras.losses.Loss):
    """Categorical cross-entropy, for class indices and for one-hot labels.

    `-sum_c t_c log p_c`, where `t` is the one-hot label, smoothed to
    `(1 - s) * label + s / classes`.

    Examples:

    >>> loss = keras_mm.heads.Crossentropy()
    >>> float(loss([1], [[0.5, 0.5]]))
    0.6931471824645996

    Args:
        label_smoothing: float, part of the label that is spread over all classes.

    Call arguments:
        y_true: integers `(batch,)` or `(batch, 1)`, or `(batch, classes)`.
        y_pred: probabilities `(batch, classes)`.

    Reference:
        Szegedy et al. 2016, "Rethinking the Inception Architecture for
        Computer Vision" (label smoothing).
    """

    def __init__(
        self,
        label_smoothing=0.0,
        reduction="sum_over_batch_size",
        name="crossentropy",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """One loss per row."""
        y_pred = ops.convert_to_tensor(y_pred)
        return ops.categorical_crossentropy(self.smoothed(y_true, y_pred), y_pred)

    def smoothed(self, y_true, y_pred):
        """Labels -> smoothed one-hot labels, in the dtype of the probabilities."""
        labels = self.one_hot(y_true, y_pred)
        if not self.label_smoothing:
            return labels
        share = self.label_smoothing / y_pred.shape[-1]
        return labels * (1 - self.label_smoothing) + share

    def one_hot(self, y_true, y_pred):
        """Labels, indices or one-hot, -> one-hot labels."""
        y_true = ops.convert_to_tensor(y_true)
        if len(y_true.shape) < 2 or y_true.shape[-1] == 1:
            index = ops.cast(ops.reshape(y_true, (-1,)), "int32")
            return ops.one_hot(index, y_pred.shape[-1], dtype=y_pred.dtype)
        return ops.cast(y_true, y_pred.dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
