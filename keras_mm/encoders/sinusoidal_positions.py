import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class SinusoidalPositions(keras.layers.Layer):
    """Adds sinusoidal positional encodings to the steps of a sequence.

    The first half of the channels gets sines, the second cosines; the wavelengths
    go from `2 * pi` steps to `2 * pi * 10000`.

    Examples:

    >>> layer = keras_mm.encoders.SinusoidalPositions()
    >>> positions = keras.ops.convert_to_numpy(layer(keras.ops.zeros((1, 2, 2))))
    >>> positions[0, 0].tolist()
    [0.0, 1.0]

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.5.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x):
        """`(batch, length, dim)` -> the same, with positions added."""
        length, dim = ops.shape(x)[1], x.shape[-1]
        half = (dim + 1) // 2
        rates = ops.exp(
            ops.arange(half, dtype="float32") * (-math.log(10_000.0) / half)
        )
        angles = ops.expand_dims(ops.arange(length, dtype="float32"), 1) * rates
        waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=1)
        return x + ops.cast(waves[:, :dim], x.dtype)

    def compute_output_shape(self, input_shape):
        """That of the input."""
        return input_shape
