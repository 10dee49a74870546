from keras import layers, ops

from .encoder import Encoder, known, masked_mean, one_token, repeat_mask, without_nan


class ViT(Encoder):
    """The patch Transformer: a picture as a sequence of small squares.

    Each square of `patch_size` pixels becomes a vector by one linear map, a
    learned vector for its place is added, and Transformer blocks let every
    square look at every other. What it gains over a convolution it gains from
    many pictures; with a few thousand take a CNN.

    Examples:

    >>> encoder = keras_mm.encoders.ViT(units=32, num_blocks=2)
    >>> model = keras_mm.build_classifier(schema, encoders={"image": encoder})

    Args:
        patch_size: int, the side of a square in pixels; where it does not
            divide the picture's sides, the border is filled up.
        units: int, length of a token.
        num_blocks: int.
        num_heads: int, must divide `units`.
        dropout: float, share of the blocks' values dropped in training.

    Reference:
        Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"; Xiong et al.
        2020, "On Layer Normalization in the Transformer Architecture".
    """

    reads = ("image",)

    def __init__(self, patch_size=8, units=64, num_blocks=3, num_heads=4, dropout=0.0):
        check_heads(units, num_heads)
        self.patch_size = patch_size
        self.units = units
        self.num_blocks = num_blocks
        self.num_heads = num_heads
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """`(batch, height, width, channels)` -> one token, or one a patch."""
        (image,) = tensors
        x = layers.Conv2D(
            self.units,
            self.patch_size,
            strides=self.patch_size,
            padding="same",
            name="patches",
        )(without_nan(image))
        x = add_positions(layers.Reshape((-1, self.units))(x))
        for _ in range(self.num_blocks):
            x = transformer_block(x, self.num_heads, self.dropout)
        tokens = layers.LayerNormalization(epsilon=1e-6)(x)
        mask = repeat_mask(known(image), tokens)
        if sequences:
            return tokens, mask
        return one_token(masked_mean(tokens, mask)), known(image)


def check_heads(units, num_heads):
    """Refuses heads that do not divide the units."""
    if units % num_heads:
        raise ValueError(
            "`num_heads` must divide `units`: every head gets an equal share. "
            f"Received: units={units}, num_heads={num_heads}"
        )


def add_positions(tokens):
    """Tokens `(batch, length, dim)` plus a learned vector for each place."""
    length, dim = tokens.shape[1:]
    # Counted from the tokens: a constant would be no part of the model.
    places = ops.cumsum(ops.ones_like(tokens[:, :, 0], dtype="int32"), axis=1) - 1
    places = layers.Embedding(length, dim, name="positions")(places)
    return layers.Add()([tokens, places])


def transformer_block(x, num_heads, dropout=0.0, mask=None):
    """Attention, then two Dense layers, each added to what goes in.

    Args:
        x: tokens `(batch, length, dim)`.
        num_heads: int.
        dropout: float.
        mask: bool tensor `(batch, length, length)`, which token (second axis)
            may look at which (third).
    """
    dim = x.shape[-1]
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    y = layers.MultiHeadAttention(num_heads, dim // num_heads, dropout=dropout)(
        y, y, attention_mask=mask
    )
    x = layers.Add()([x, y])
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    # The approximation of GELU can be converted to other formats.
    y = layers.Dense(2 * dim)(y)
    y = layers.Dense(dim)(ops.gelu(y, approximate=True))
    if dropout:
        y = layers.Dropout(dropout)(y)
    return layers.Add()([x, y])
