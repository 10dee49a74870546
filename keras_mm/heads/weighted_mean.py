import keras
from keras import ops

from .number_scale import NumberScale


@keras.saving.register_keras_serializable(package="keras_mm")
class WeightedMean(keras.layers.Layer):
    """The weighted mean of several models' predictions of one target.

    Examples:

    >>> mean = keras_mm.heads.WeightedMean([0.25, 0.75])
    >>> numpy.array(mean([numpy.ones((1, 2)), numpy.zeros((1, 2))])).tolist()
    [[0.25, 0.25]]

    Args:
        weights: list of floats, one for each model.
        scale: `"log"` or `"quantile"`: numbers are averaged on this scale, on which
            they were learned (see `NumberScale`); None: as they are.
        quantiles: list of floats, those of `NumberScale`.

    Call arguments:
        predictions: list of tensors of one shape, one for each weight.

    Returns:
        `float32` tensor of that shape.
    """

    def __init__(self, weights, scale=None, quantiles=None, **kwargs):
        super().__init__(dtype=kwargs.pop("dtype", "float32"), **kwargs)
        self.mean_weights = [float(weight) for weight in weights]
        self.scale, self.quantiles = scale, quantiles
        self._number_scale = NumberScale(scale, quantiles) if scale else None

    def build(self, shapes):
        """There are no weights to create."""
        if self._number_scale:
            self._number_scale.build(self.compute_output_shape(shapes))

    def call(self, predictions):
        """The mean, on the scale."""
        if not isinstance(predictions, (list, tuple)):
            predictions = [predictions]
        if len(predictions) != len(self.mean_weights):
            raise ValueError(
                "There must be one weight for each of the predictions. Received: "
                f"{len(predictions)} predictions, weights={self.mean_weights}"
            )
        mean = 0.0
        for weight, values in zip(self.mean_weights, predictions):
            values = ops.cast(values, "float32")
            if self._number_scale:
                values = self._number_scale.to_scale(values)
            mean = mean + weight * values
        return self._number_scale(mean) if self._number_scale else mean

    def compute_output_shape(self, shapes):
        """The shape of each of the predictions."""
        return shapes[0] if isinstance(shapes[0], (list, tuple)) else shapes

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "weights": self.mean_weights,
            "scale": self.scale,
            "quantiles": self.quantiles,
        }
