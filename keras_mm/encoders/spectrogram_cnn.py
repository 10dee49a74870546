from keras import layers, ops

from .encoder import Encoder, step_mask, without_nan
from .pooling import pooled_tokens


class SpectrogramCNN(Encoder):
    """A small convolutional network over time and frequency, for sounds.

    It treats log-mel features or MFCCs as a grey image. Each convolution halves
    time and frequency; at the end time is pooled and frequency is kept, so that
    pitch matters.

    Examples:

    >>> encoder = keras_mm.encoders.SpectrogramCNN(filters=(16, 32), units=64)

    Args:
        filters: sequence of ints, the channels of each convolution.
        units: int, length of a token.
        dropout: float, dropout rate of the features.

    Reference:
        Hershey et al. 2017, "CNN Architectures for Large-Scale Audio
        Classification".
    """

    reads = ("sequence",)

    def __init__(self, filters=(16, 32, 64), units=128, dropout=0.3):
        self.filters = tuple(filters)
        self.units = units
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """`(batch, steps, bands)` -> one token, or one per remaining step."""
        (sound,) = tensors
        mask = step_mask(sound)
        x = ops.expand_dims(without_nan(sound), 3)
        for index, filters in enumerate(self.filters):
            x = layers.Conv2D(
                filters,
                3 if index else 5,
                strides=2,
                padding="same",
                use_bias=False,
            )(x)
            mask = mask[:, ::2]
            cells = ops.repeat(ops.expand_dims(mask, 2), x.shape[2], axis=2)
            x = layers.BatchNormalization(momentum=0.9)(x, mask=cells)
            x = layers.Activation("relu")(x)
            # Padding must be 0 for the next convolution.
            x = x * ops.cast(ops.expand_dims(cells, 3), x.dtype)
        x = layers.Reshape((x.shape[1], -1))(x)
        return pooled_tokens(x, mask, sequences, self.units, self.dropout)
