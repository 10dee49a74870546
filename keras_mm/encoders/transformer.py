from keras import layers, ops

from .encoder import Encoder, pooled, read_steps
from .sinusoidal_positions import SinusoidalPositions
from .transformer_block import check_heads, transformer_block


class Transformer(Encoder):
    """A Transformer encoder over words or steps, with sinusoidal positions.

    Its layers are pre-norm: `x + attention(norm(x))`, then
    `x + feed_forward(norm(x))`; the token is the mean of the last layer's
    normalised steps. Padded and missing steps are masked in the attention.

    Examples:

    >>> encoder = keras_mm.encoders.Transformer(num_layers=1, units=32)
    >>> model = keras_mm.build_classifier(schema, encoders={"text": encoder})

    Args:
        units: int, length of a token.
        num_layers: int.
        num_heads: int, must divide `units`.
        dropout: float, dropout rate of each sublayer's result.

    Reference:
        - Vaswani et al. 2017, "Attention Is All You Need".
        - normalisation first: Xiong et al. 2020, "On Layer Normalization in the
          Transformer Architecture".
    """

    reads = ("text", "sequence")
    tokens = "words"

    def __init__(self, units=64, num_layers=2, num_heads=4, dropout=0.1):
        check_heads(units, num_heads)
        self.units = units
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """Ids `(batch, length)`, or steps -> one token, or one per step."""
        x, mask = read_steps(tensors[0], inputs[0], self.units)
        if inputs[0].kind == "sequence":
            x = layers.Dense(self.units)(x)
        x = SinusoidalPositions()(x)
        attended = ops.expand_dims(mask, 1)
        for _ in range(self.num_layers):
            x = transformer_block(
                x, self.num_heads, 4 * self.units, self.dropout, attended
            )
        x = layers.LayerNormalization()(x)
        return (x, mask) if sequences else pooled(x, mask)
