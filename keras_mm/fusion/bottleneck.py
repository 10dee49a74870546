import keras
from keras import ops

from .fusion import masked_mean, presence
from .token_fusion import TokenFusion


@keras.saving.register_keras_serializable(package="keras_mm")
class Bottleneck(TokenFusion):
    """Modalities speak to each other through a few shared tokens only.

    In each layer every modality has a block of its own over its tokens and the
    shared ones; the shared ones are then averaged over the modalities that are
    present. So each modality has to sum up what matters to the others. The
    vector is the mean of the shared tokens and of those of each modality.

    Examples:

    >>> fused = keras_mm.fusion.Bottleneck(units=64, num_tokens=4)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of a token.
        num_tokens: int, number of shared tokens.
        num_layers: int, number of blocks a modality.
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

    def call(self, tokens, masks, training=False):
        """Attends within each modality, and averages what is shared."""
        tokens = self.told_apart(tokens, masks)
        rows = ops.ones_like(tokens[0][:, :1, :1])
        shared = rows * ops.cast(self.shared, rows.dtype)[None]
        here = ops.cast(presence(masks), rows.dtype)
        shares = ops.divide_no_nan(here, ops.sum(here, axis=1, keepdims=True))
        one = ops.ones_like(shared[:, :, 0], dtype="bool")
        for layer in range(self.num_layers):
            after, mixed = [], ops.zeros_like(shared)
            for index, (token, mask) in enumerate(zip(tokens, masks)):
                x = ops.concatenate([token, shared], axis=1)
                shown = ops.concatenate([mask, one], axis=1)
                x = self.blocks[index][layer](x, shown, training=training)
                after.append(x[:, : token.shape[1]])
                said = x[:, token.shape[1] :]
                mixed = mixed + shares[:, index : index + 1, None] * said
            tokens, shared = after, mixed
        parts = [ops.mean(self.last_norm(shared), axis=1)]
        parts += [
            masked_mean(self.last_norm(token), mask)
            for token, mask in zip(tokens, masks)
        ]
        weights = ops.concatenate([ops.ones_like(here[:, :1]), here], axis=1)
        shown = ops.any(presence(masks), axis=1, keepdims=True)
        fused = sum(weights[:, i : i + 1] * part for i, part in enumerate(parts))
        fused = fused / ops.sum(weights, axis=1, keepdims=True)
        return ops.where(shown, fused, ops.zeros_like(fused))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "num_tokens": self.num_tokens}
