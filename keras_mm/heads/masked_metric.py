import keras
from keras import ops

from .masked_loss import split_mask


@keras.saving.register_keras_serializable(package="keras_mm")
class MaskedMetric(keras.metrics.Metric):
    """A metric over the rows that have a label.

    Examples:

    >>> metric = keras_mm.heads.MaskedMetric(keras.metrics.MeanAbsoluteError())
    >>> float(metric([[1.0], [numpy.nan]], [[3.0], [5.0]]))
    2.0

    Args:
        metric: `keras.metrics.Metric` that takes sample weights.
        minimum: as in `MaskedLoss`.

    Call arguments:
        y_true: as in `MaskedLoss`.
        y_pred: predictions, as `metric` takes them.
        sample_weight: weights `(batch,)` or None.
    """

    def __init__(self, metric, minimum=None, name=None, dtype=None):
        super().__init__(name=name or metric.name, dtype=dtype)
        self.metric = metric
        self.minimum = minimum

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the rows that have a label."""
        y_true, weight = split_mask(y_true, self.minimum)
        if sample_weight is not None:
            sample_weight = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
            weight = weight * ops.reshape(sample_weight, ops.shape(weight))
        return self.metric.update_state(y_true, y_pred, sample_weight=weight)

    def result(self):
        """The metric's result."""
        return self.metric.result()

    def reset_state(self):
        """Resets the metric."""
        self.metric.reset_state()

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "metric": keras.saving.serialize_keras_object(self.metric),
            "minimum": self.minimum,
        }

    @classmethod
    def from_config(cls, config):
        """Creates the metric again from `get_config()`."""
        metric = keras.saving.deserialize_keras_object(config["metric"])
        return cls(**{**config, "metric": metric})
