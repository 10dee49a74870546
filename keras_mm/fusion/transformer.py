import keras
from keras import ops

from .fusion import masked_mean, without_masked
from .token_fusion import TokenFusion


@keras.saving.register_keras_serializable(package="keras_mm")
class Transformer(TokenFusion):
    """One Transformer over the tokens of all modalities.

    The tokens of each modality are projected to `units`, and a learned modality
    embedding is added; then every token attends to every other one that is not
    masked. The vector is the mean of all tokens.

    Examples:

    >>> fused = keras_mm.fusion.Transformer(units=64, num_layers=1)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of a token.
        num_layers: int, number of blocks.
        num_heads: int, attention heads; must divide `units`.
        hidden_units: int, width of the blocks' inner Dense layer; None: four
            times `units`.
        dropout: float, share of each block's results dropped in training.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_tokens: bool, whether to return the fused tokens, too.

    Returns:
        Tensor `(batch, units)`; with `return_tokens` also a tensor `(batch, sum of
        the lengths, units)` and its mask.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need"; Xiong et al. 2020, "On
        Layer Normalization in the Transformer Architecture"; Li et al. 2019,
        "VisualBERT: A Simple and Performant Baseline for Vision and Language".
    """

    def build(self, tokens_shape, masks_shape):
        """Creates projections, modality embeddings, blocks, a normalisation."""
        self.build_tokens(tokens_shape)
        self.blocks = self.transformer_blocks("block", self.num_layers)
        self.last_norm = self.normalization("last_norm")

    def call(self, tokens, masks, return_tokens=False, training=False):
        """Attends, block by block."""
        tokens = self.with_modality_embeddings(tokens, masks)
        x, mask = ops.concatenate(tokens, axis=1), ops.concatenate(masks, axis=1)
        for block in self.blocks:
            x = block(x, mask, training=training)
        x = self.last_norm(x)
        fused = masked_mean(x, mask)
        return (fused, without_masked(x, mask), mask) if return_tokens else fused
