from keras import layers, ops

from .encoder import Encoder, pooled, read_steps


class TemporalCNN(Encoder):
    """Residual blocks of dilated 1-D convolutions (TCN), for sequences and words.

    Block `i` has two convolutions with dilation `2 ** i`, each followed by layer
    normalisation and ReLU, and a shortcut. The convolutions are not causal: they
    see steps before and after. Padded and missing steps are set to 0 before each
    convolution, so that they have no effect.

    Examples:

    >>> encoder = keras_mm.encoders.TemporalCNN(filters=(32, 32, 32))
    >>> model = keras_mm.build_classifier(schema, encoders={"text": encoder})

    Args:
        filters: int or list of ints, one block for each.
        kernel_size: int, steps that a convolution spans; odd, so that it is
            centred.
        embedding_dim: int, length of a word's vector.
        dropout: float, dropout rate of each block's channels.

    Reference:
        Bai et al. 2018, "An Empirical Evaluation of Generic Convolutional and
        Recurrent Networks for Sequence Modeling", with layer instead of weight
        normalisation and without causality.
    """

    reads = ("text", "sequence")
    tokens = "words"

    def __init__(
        self, filters=(64, 64, 64, 64), kernel_size=5, embedding_dim=64, dropout=0.1
    ):
        if kernel_size % 2 == 0:
            raise ValueError(
                "`kernel_size` must be odd: padding an even one shifts the "
                f"steps. Received: kernel_size={kernel_size}"
            )
        self.filters = [filters] if isinstance(filters, int) else list(filters)
        self.kernel_size = kernel_size
        self.embedding_dim = embedding_dim
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """Ids `(batch, length)`, or steps -> one token, or one per step."""
        x, mask = read_steps(tensors[0], inputs[0], self.embedding_dim)
        for index, filters in enumerate(self.filters):
            shortcut = x
            if x.shape[-1] != filters:
                shortcut = layers.Dense(filters)(x)
            for _ in range(2):
                x = layers.Conv1D(
                    filters,
                    self.kernel_size,
                    padding="same",
                    dilation_rate=2**index,
                )(_zeroed(x, mask))
                x = layers.LayerNormalization()(x)
                x = layers.Activation("relu")(x)
            if self.dropout:
                x = layers.SpatialDropout1D(self.dropout)(x)
            x = layers.Add()([shortcut, x])
        return (x, mask) if sequences else pooled(x, mask)


def _zeroed(x, mask):
    """Masked steps -> 0."""
    return x * ops.cast(ops.expand_dims(mask, -1), x.dtype)
