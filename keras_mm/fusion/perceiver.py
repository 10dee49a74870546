import keras
from keras import ops

from .fusion import presence, without_masked
from .token_fusion import TokenFusion


@keras.saving.register_keras_serializable(package="keras_mm")
class Perceiver(TokenFusion):
    """A few learned queries attend to all tokens of all modalities.

    In each layer the queries attend to the modalities' tokens and to each other.
    The cost grows with the number of tokens, and not with its square. The
    vector is the mean of the latents, which is what the last layer returns for
    the queries.

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
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_tokens: bool, whether to return the latents, too.

    Returns:
        Tensor `(batch, units)`; with `return_tokens` also a tensor `(batch,
        num_queries, units)` and its mask, all False in a row without any
        modality.

    Reference:
        Jaegle et al. 2021, "Perceiver: General Perception with Iterative
        Attention"; Alayrac et al. 2022, "Flamingo: a Visual Language Model for
        Few-Shot Learning", for queries that attend to themselves, too.
    """

    tokens_kind = "latents"

    def __init__(self, units=64, num_queries=8, num_layers=2, **kwargs):
        super().__init__(units=units, num_layers=num_layers, **kwargs)
        self.num_queries = num_queries

    def build(self, tokens_shape, masks_shape):
        """Creates projections, queries and blocks."""
        self.build_tokens(tokens_shape)
        self.queries = self.vectors("queries", self.num_queries)
        self.blocks = self.transformer_blocks("block", self.num_layers)
        self.last_norm = self.normalization("last_norm")

    def call(self, tokens, masks, return_tokens=False, training=False):
        """Attends, layer by layer."""
        tokens = ops.concatenate(self.with_modality_embeddings(tokens, masks), axis=1)
        rows = ops.ones_like(tokens[:, :1, :1])
        x = rows * ops.cast(self.queries, rows.dtype)[None]
        latents = ops.ones_like(x[:, :, 0], "bool")
        attended = ops.concatenate([*masks, latents], axis=1)
        for block in self.blocks:
            context = ops.concatenate([tokens, x], axis=1)
            x = block(x, attended, context=context, training=training)
        x = self.last_norm(x)
        fused = ops.mean(x, axis=1)
        has_any = ops.any(presence(masks), axis=1, keepdims=True)
        fused = ops.where(has_any, fused, ops.zeros_like(fused))
        mask = ops.logical_and(latents, has_any)
        return (fused, without_masked(x, mask), mask) if return_tokens else fused

    def compute_tokens_shape(self, tokens_shape):
        """`(batch, num_queries, units)`."""
        return (tokens_shape[0][0], self.num_queries, self.units)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "num_queries": self.num_queries}
