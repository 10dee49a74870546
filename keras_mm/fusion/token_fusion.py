import keras
from keras import ops

from ..encoders.transformer_block import check_heads
from .fusion import Fusion, without_masked
from .transformer_block import TransformerBlock


class TokenFusion(Fusion):
    """Base class: fusions of Transformer blocks over tokens.

    Args:
        units: int, length of a token.
        num_layers: int, number of blocks.
        num_heads: int, attention heads; must divide `units`.
        hidden_units: int, width of the blocks' inner Dense layer; None: four
            times `units`.
        dropout: float, share of each block's results dropped in training.
    """

    uses_tokens = True
    tokens_kind = "inputs"

    def __init__(
        self,
        units=64,
        num_layers=1,
        num_heads=4,
        hidden_units=None,
        dropout=0.1,
        **kwargs,
    ):
        super().__init__(units=units, **kwargs)
        check_heads(units, num_heads)
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.hidden_units = hidden_units
        self.dropout = dropout

    def build_tokens(self, tokens_shape):
        """Creates projections to `units`, and one embedding per modality."""
        self.dense = self.projections(tokens_shape)
        self.embeddings = self.vectors("modalities", len(tokens_shape))

    def vectors(self, name, count):
        """Learned vectors `(count, units)`."""
        return self.add_weight(
            name=name,
            shape=(count, self.units),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def transformer_blocks(self, name, count, units=None):
        """A list of built blocks for tokens of `units` (the fusion's own)."""
        units = units or self.units
        blocks = []
        for index in range(count):
            block = TransformerBlock(
                self.num_heads,
                self.hidden_units or 4 * units,
                self.dropout,
                dtype=self.dtype_policy,
                name=f"{name}_{index}",
            )
            block.build((None, None, units))
            blocks.append(block)
        return blocks

    def normalization(self, name, units=None):
        """A built layer normalisation of tokens of `units` (the fusion's own)."""
        layer = keras.layers.LayerNormalization(dtype=self.dtype_policy, name=name)
        layer.build((None, None, units or self.units))
        return layer

    def with_modality_embeddings(self, tokens, masks):
        """Tokens projected to `units`, plus their modality's embedding; 0 if masked."""
        parts = []
        for index, (dense, token, mask) in enumerate(zip(self.dense, tokens, masks)):
            token = dense(token) + ops.cast(self.embeddings[index], token.dtype)
            parts.append(without_masked(token, mask))
        return parts

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "hidden_units": self.hidden_units,
            "dropout": self.dropout,
        }
