import keras
from keras import ops

from .fusion import presence
from .token_fusion import TokenFusion


@keras.saving.register_keras_serializable(package="keras_mm")
class Perceiver(TokenFusion):
    """A few learned queries look at all tokens of all modalities.

    In each layer the queries look at the modalities' tokens and at each other.
    The cost grows with the number of tokens, and not with its square. The
    vector is the queries' mean.

    Examples:

    >>> fused = keras_mm.fusion.Perceiver(units=64, num_queries=8)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of a token.
        num_queries: int.
        num_layers: int, number of blocks.
        num_heads: int, attention heads; must divide `units`.
        hidden_units: int, width of the blocks' inner Dense layer; None: four
            times `units`.
        dropout: float, share of each block's results dropped in training.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one a modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        Tensor `(batch, units)`.

    Reference:
        Jaegle et al. 2021, "Perceiver: General Perception with Iterative
        Attention"; Alayrac et al. 2022, "Flamingo: a Visual Language Model for
        Few-Shot Learning", for queries that look at themselves, too.
    """

    def __init__(self, units=64, num_queries=8, num_layers=2, **kwargs):
        super().__init__(units=units, num_layers=num_layers, **kwargs)
        self.num_queries = num_queries

    def build(self, tokens_shape, masks_shape):
        """Creates projections, queries and blocks."""
        self.build_tokens(tokens_shape)
        self.queries = self.vectors("queries", self.num_queries)
        self.blocks = self.transformer_blocks("block", self.num_layers)
        self.last_norm = self.normalization("last_norm")

    def call(self, tokens, masks, training=False):
        """Looks, layer by layer."""
        tokens = ops.concatenate(self.told_apart(tokens, masks), axis=1)
        rows = ops.ones_like(tokens[:, :1, :1])
        x = rows * ops.cast(self.queries, rows.dtype)[None]
        shown = ops.concatenate([*masks, ops.ones_like(x[:, :, 0], "bool")], axis=1)
        for block in self.blocks:
            context = ops.concatenate([tokens, x], axis=1)
            x = block(x, shown, context=context, training=training)
        fused = ops.mean(self.last_norm(x), axis=1)
        present = ops.any(presence(masks), axis=1, keepdims=True)
        return ops.where(present, fused, ops.zeros_like(fused))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "num_queries": self.num_queries}
