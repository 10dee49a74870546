import keras
from keras import ops

from .fusion import masked_mean, presence, side_by_side
from .token_fusion import TokenFusion


@keras.saving.register_keras_serializable(package="keras_mm")
class Bottleneck(TokenFusion):
    """Modalities exchange information through a few shared tokens only.

    In each layer every modality has a block of its own over its tokens and the
    shared ones; the shared ones are then averaged over the modalities that are
    present. So each modality has to condense what matters to the others. The
    vector is the mean of the shared tokens and of those of each modality.

    Examples:

    >>> fused = keras_mm.fusion.Bottleneck(units=64, num_tokens=4)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of a token.
        num_tokens: int, number of shared tokens.
        num_layers: int, number of blocks per modality. The tokens of a modality read
            the others from the second one on.
        num_heads: int, attention heads; must divide `units`.
        hidden_units: int, width of the blocks' inner Dense layer; None: four
            times `units`.
        dropout: float, share of each block's results dropped in training.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_tokens: bool, whether to return the modalities' fused tokens, too.

    Returns:
        Tensor `(batch, units)`; with `return_tokens` also a tensor `(batch, sum of
        the lengths, units)` and its mask, without the shared tokens.

    Reference:
        Nagrani et al. 2021, "Attention Bottlenecks for Multimodal Fusion".
    """

    def __init__(self, units=64, num_tokens=4, num_layers=2, **kwargs):
        super().__init__(units=units, num_layers=num_layers, **kwargs)
        self.num_tokens = num_tokens

    def build(self, tokens_shape, masks_shape):
        """Creates projections, shared tokens, and blocks of each modality."""
        self.build_tokens(tokens_shape)
        self.shared = self.vectors("shared", self.num_tokens)
        self.blocks = [
            self.transformer_blocks(f"modality_{index}", self.num_layers)
            for index in range(len(tokens_shape))
        ]
        self.last_norm = self.normalization("last_norm")

    def call(self, tokens, masks, return_tokens=False, training=False):
        """Attends within each modality, and averages the shared tokens."""
        tokens = self.with_modality_embeddings(tokens, masks)
        rows = ops.ones_like(tokens[0][:, :1, :1])
        shared = rows * ops.cast(self.shared, rows.dtype)[None]
        present = ops.cast(presence(masks), rows.dtype)
        shares = ops.divide_no_nan(present, ops.sum(present, axis=1, keepdims=True))
        one = ops.ones_like(shared[:, :, 0], dtype="bool")
        for layer in range(self.num_layers):
            after, mixed = [], ops.zeros_like(shared)
            for index, (token, mask) in enumerate(zip(tokens, masks)):
                x = ops.concatenate([token, shared], axis=1)
                attended = ops.concatenate([mask, one], axis=1)
                x = self.blocks[index][layer](x, attended, training=training)
                after.append(x[:, : token.shape[1]])
                own = x[:, token.shape[1] :]
                mixed = mixed + shares[:, index : index + 1, None] * own
            tokens, shared = after, mixed
        parts = [ops.mean(self.last_norm(shared), axis=1)]
        tokens = [self.last_norm(token) for token in tokens]
        parts += [masked_mean(token, mask) for token, mask in zip(tokens, masks)]
        weights = ops.concatenate([ops.ones_like(present[:, :1]), present], axis=1)
        has_any = ops.any(presence(masks), axis=1, keepdims=True)
        fused = sum(weights[:, i : i + 1] * part for i, part in enumerate(parts))
        fused = fused / ops.sum(weights, axis=1, keepdims=True)
        fused = ops.where(has_any, fused, ops.zeros_like(fused))
        return (fused, *side_by_side(tokens, masks)) if return_tokens else fused

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "num_tokens": self.num_tokens}
