import keras
import numpy as np
from keras import ops

from ..inputs.quantiles import log_statistics, normal_scores


@keras.saving.register_keras_serializable(package="keras_mm")
class NumberScale(keras.layers.Layer):
    """From a scale that a model predicts on to the target's own unit, and back.

    `"log"`: the standardised logarithm of positive numbers. `"quantile"`: the normal
    score of the number's quantile, linear between the training rows' quantiles and beyond
    them.

    Examples:

    >>> scale = keras_mm.heads.NumberScale("log", [1.0, 10.0, 100.0])
    >>> numpy.array(scale(numpy.zeros((1, 1)))).round(3).tolist()
    [[10.0]]

    Args:
        scale: `"log"` or `"quantile"`.
        quantiles: list of floats, of the training rows at equal steps of probability.

    Call arguments:
        x: float tensor, predictions on the scale.

    Returns:
        `float32` tensor of the same shape, in the target's own unit.
    """

    def __init__(self, scale, quantiles, **kwargs):
        super().__init__(dtype=kwargs.pop("dtype", "float32"), **kwargs)
        self.scale = scale
        self.quantiles = [float(value) for value in quantiles]
        self.is_log = scale == "log"
        if self.is_log:
            self.least, self.mean, self.std = log_statistics(self.quantiles)
        else:
            values, scores = normal_scores(self.quantiles)
            if len(values) == 1:
                # Two points, so that they make a line.
                values = np.append(values, values + max(abs(values[0]), 1.0))
                scores = np.append(scores, scores + 1.0)
            values, scores = values.astype("float32"), scores.astype("float32")
            # Some may be the same number in `float32`.
            distinct = np.append(True, np.diff(values) > 0)
            self.values, self.scores = values[distinct], scores[distinct]

    def call(self, x):
        """From the scale to the unit."""
        x = ops.cast(x, "float32")
        if self.is_log:
            # Numbers of `float32` go as far.
            return ops.exp(ops.clip(x * self.std + self.mean, -80.0, 80.0))
        return _along(x, self.scores, self.values)

    def to_scale(self, y):
        """From the unit to the scale; numbers of 0 and less count as the smallest."""
        y = ops.cast(ops.convert_to_tensor(y), "float32")
        if self.is_log:
            # Not 0 in `float32`.
            y = ops.log(ops.maximum(y, max(self.least * 1e-6, 1e-37)))
            return (y - self.mean) / self.std
        return _along(y, self.values, self.scores)

    def compute_output_shape(self, shape):
        """The shape of `x`."""
        return shape

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "scale": self.scale,
            "quantiles": self.quantiles,
        }


def _along(x, starts, ends):
    """`x` -> the line through the points, straight on beyond the last ones."""
    flat = ops.reshape(x, (-1,))
    # Of ascending values as many as are not above x.
    right = ops.searchsorted(ops.convert_to_tensor(starts), flat, side="right")
    right = ops.clip(right, 1, len(starts) - 1)
    slopes = np.diff(ends) / np.diff(starts)
    left = right - 1
    start, end, slope = (ops.take(values, left) for values in (starts, ends, slopes))
    return ops.reshape(end + (flat - start) * slope, ops.shape(x))
