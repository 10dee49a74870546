from keras import layers, ops

from .encoder import Encoder, step_mask, without_nan
from .pooling import pooled_tokens


class WaveformCNN(Encoder):
    """A small strided convolutional network over the samples of a sound.

    It learns its own filters, for which it needs more training data than a
    `SpectrogramCNN`.

    Examples:

    >>> encoder = keras_mm.encoders.WaveformCNN(filters=(16, 32), strides=8)

    Args:
        filters: sequence of ints, the channels of each convolution.
        kernel_size: int, samples (in later layers, steps) that a filter spans.
        strides: int, stride of each convolution, by which it shortens the sequence.
        units: int, length of a token.
        dropout: float, dropout rate of the features.

    Reference:
        Dai et al. 2017, "Very Deep Convolutional Neural Networks for Raw
        Waveforms".
    """

    reads = ("sequence",)

    def __init__(
        self,
        filters=(16, 32, 64, 64),
        kernel_size=16,
        strides=4,
        units=128,
        dropout=0.3,
    ):
        self.filters = tuple(filters)
        self.kernel_size = kernel_size
        self.strides = strides
        self.units = units
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """`(batch, steps, channels)` -> one token, or one per remaining step."""
        (sound,) = tensors
        mask = step_mask(sound)
        x = without_nan(sound)
        for filters in self.filters:
            x = layers.Conv1D(
                filters,
                self.kernel_size,
                self.strides,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
            )(x)
            mask = mask[:, :: self.strides]
            x = layers.BatchNormalization(momentum=0.9)(x, mask=mask)
            x = layers.Activation("relu")(x)
            # Padding must be 0 for the next convolution.
            x = x * ops.cast(ops.expand_dims(mask, 2), x.dtype)
        return pooled_tokens(x, mask, sequences, self.units, self.dropout)
