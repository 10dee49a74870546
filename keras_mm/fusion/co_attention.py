import keras
from keras import ops

from .fusion import masked_mean, side_by_side
from .token_fusion import TokenFusion


@keras.saving.register_keras_serializable(package="keras_mm")
class CoAttention(TokenFusion):
    """Blocks in which each modality's tokens attend to those of all others.

    Where `Attention` attends once, these are stacked blocks as in a Transformer:
    attention to the others' tokens as they were before the block, then two Dense
    layers, each with a residual connection. The mean tokens of all modalities
    are concatenated. A modality that is alone in a row stays as it is.

    Examples:

    >>> fused = keras_mm.fusion.CoAttention(units=64, tied=True)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of a token.
        num_layers: int, number of blocks per modality.
        tied: bool, whether all modalities share their blocks, so that there are
            as many weights for five modalities as for two.
        num_heads: int, attention heads; must divide `units`.
        hidden_units: int, width of the blocks' inner Dense layer; None: four
            times `units`.
        dropout: float, share of each block's results dropped in training.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_tokens: bool, whether to return the fused tokens, too.

    Returns:
        Tensor `(batch, modalities * units)`; with `return_tokens` also a tensor
        `(batch, sum of the lengths, units)` and its mask.

    Reference:
        Lu et al. 2019, "ViLBERT: Pretraining Task-Agnostic Visiolinguistic
        Representations for Vision-and-Language Tasks"; Tan and Bansal 2019,
        "LXMERT: Learning Cross-Modality Encoder Representations from
        Transformers", for attention that both directions share.
    """

    def __init__(self, units=64, num_layers=1, tied=False, **kwargs):
        super().__init__(units=units, num_layers=num_layers, **kwargs)
        self.tied = tied

    def build(self, tokens_shape, masks_shape):
        """Creates projections, modality embeddings, blocks, a normalisation."""
        self.build_tokens(tokens_shape)
        count = len(tokens_shape)
        # One modality has no other to attend to.
        layers = self.num_layers if count > 1 else 0
        if self.tied:
            self.blocks = [self.transformer_blocks("block", layers)] * count
        else:
            self.blocks = [
                self.transformer_blocks(f"modality_{index}", layers)
                for index in range(count)
            ]
        self.last_norm = self.normalization("last_norm")

    def call(self, tokens, masks, return_tokens=False, training=False):
        """Attends, block by block."""
        tokens = self.with_modality_embeddings(tokens, masks)
        for layer in range(len(self.blocks[0])):
            tokens = [
                blocks[layer].cross_attend(
                    token,
                    _without(masks, index),
                    _without(tokens, index),
                    training=training,
                )
                for index, (token, blocks) in enumerate(zip(tokens, self.blocks))
            ]
        tokens = [self.last_norm(token) for token in tokens]
        parts = [masked_mean(token, mask) for token, mask in zip(tokens, masks)]
        fused = ops.concatenate(parts, axis=-1)
        return (fused, *side_by_side(tokens, masks)) if return_tokens else fused

    def compute_output_shape(self, tokens_shape, masks_shape):
        """`(batch, modalities * units)`."""
        return (tokens_shape[0][0], len(tokens_shape) * self.units)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "tied": self.tied}


def _without(parts, index):
    """All parts but one, concatenated."""
    return ops.concatenate([*parts[:index], *parts[index + 1 :]], axis=1)
