from keras import layers, ops

from .encoder import Encoder, pooled, repeat_mask, row_mask, without_nan
from .transformer_block import check_heads, transformer_block


class ViT(Encoder):
    """A Vision Transformer: an image as a sequence of square patches.

    Each patch of `patch_size` x `patch_size` pixels becomes a vector by a linear
    projection, a learned position embedding is added, and Transformer blocks
    attend from every patch to every other. It needs many images to be better
    than a CNN; for a few thousand, take a CNN.

    Examples:

    >>> encoder = keras_mm.encoders.ViT(units=32, num_blocks=2)
    >>> model = keras_mm.build_classifier(schema, encoders={"image": encoder})

    Args:
        patch_size: int, side of a patch in pixels; where it does not divide the
            image's sides, the border is padded.
        units: int, length of a token.
        num_blocks: int.
        num_heads: int, must divide `units`.
        dropout: float, dropout rate in the blocks.

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
        """`(batch, height, width, channels)` -> one token, or one per patch."""
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
            x = transformer_block(x, self.num_heads, 2 * self.units, self.dropout)
        tokens = layers.LayerNormalization()(x)
        mask = repeat_mask(row_mask(image), tokens)
        return (tokens, mask) if sequences else pooled(tokens, mask)


def add_positions(tokens):
    """Tokens `(batch, length, dim)` plus a learned vector for each position."""
    length, dim = tokens.shape[1:]
    # Computed from the tokens: a constant would not be part of the model.
    places = ops.cumsum(ops.ones_like(tokens[:, :, 0], dtype="int32"), axis=1) - 1
    places = layers.Embedding(length, dim, name="positions")(places)
    return layers.Add()([tokens, places])
