import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class ClassAccuracy(keras.metrics.MeanMetricWrapper):
    """Accuracy: the fraction of rows whose most probable class is the right one.

    Labels may be class indices in one `fit` and one-hot in the next: Keras's
    `"accuracy"` is fixed to one of the two when training starts.

    Examples:

    >>> metric = keras_mm.heads.ClassAccuracy()
    >>> metric.update_state([0, 1], [[0.9, 0.1], [0.8, 0.2]])
    >>> metric.update_state([[0, 1], [0, 1]], [[0.4, 0.6], [0.3, 0.7]])
    >>> float(metric.result())
    0.75

    Args:
        name: string.
        dtype: as in Keras.
    """

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(_is_right, name=name, dtype=dtype)
        # Higher is better, for Keras callbacks.
        self._direction = "up"

    def get_config(self):
        """The constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype}


def _is_right(y_true, y_pred):
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) > 1 and y_true.shape[-1] > 1:
        y_true = ops.argmax(y_true, axis=-1)
    classes = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
    return ops.cast(
        ops.equal(ops.cast(ops.reshape(y_true, (-1,)), "int32"), classes), "float32"
    )
