import itertools

import keras
from keras import ops

from .fusion import Fusion, masked_mean, side_by_side, without_masked


@keras.saving.register_keras_serializable(package="keras_mm")
class Attention(Fusion):
    """Cross-attention: the tokens of each modality attend to those of the others.

    Each modality is projected to `units`; for every ordered pair (a, b),
    `softmax(Q_a K_b^T / sqrt(d)) V_b` is added to a's tokens. The mean tokens
    of all modalities are then concatenated.

    Examples:

    >>> fused = keras_mm.fusion.Attention(units=64, num_heads=4)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of a token.
        num_heads: int, attention heads; must divide `units`.
        dropout: float, share of attention weights dropped in training.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_weights: bool, whether to return the attention maps, too.
        return_tokens: bool, whether to return the fused tokens, too.

    Returns:
        Tensor `(batch, modalities * units)`; with `return_weights` also a list
        of tensors `(batch, length of a, length of b)`, the mean over the heads
        for every pair, in the order of `itertools.permutations`; with
        `return_tokens` also a tensor `(batch, sum of the lengths, units)` and its
        mask.

    Reference:
        Lu et al. 2019, "ViLBERT: Pretraining Task-Agnostic Visiolinguistic
        Representations for Vision-and-Language Tasks".
    """

    uses_tokens = True
    weights_kind = "pairs"
    tokens_kind = "inputs"

    def __init__(self, units=64, num_heads=4, dropout=0.0, **kwargs):
        super().__init__(units=units, **kwargs)
        if units % num_heads:
            raise ValueError(
                "`num_heads` must divide `units`. "
                f"Received: units={units}, num_heads={num_heads}"
            )
        self.num_heads = num_heads
        self.dropout = dropout

    def build(self, tokens_shape, masks_shape):
        """Creates projections, normalisations, and an attention for each pair."""
        self.dense = self.projections(tokens_shape)
        self.pairs = list(itertools.permutations(range(len(tokens_shape)), 2))
        self.attentions, self.normalizations = [], []
        for query, value in self.pairs:
            layer = keras.layers.MultiHeadAttention(
                self.num_heads,
                self.units // self.num_heads,
                dropout=self.dropout,
                dtype=self.dtype_policy,
                name=f"attention_{query}_{value}",
            )
            shapes = [
                (*tokens_shape[index][:-1], self.units) for index in (query, value)
            ]
            layer.build(*shapes)
            self.attentions.append(layer)
        for index, shape in enumerate(tokens_shape):
            layer = keras.layers.LayerNormalization(
                dtype=self.dtype_policy, name=f"normalization_{index}"
            )
            layer.build((*shape[:-1], self.units))
            self.normalizations.append(layer)

    def call(
        self,
        tokens,
        masks,
        return_weights=False,
        return_tokens=False,
        training=False,
    ):
        """Attends."""
        tokens = [dense(token) for dense, token in zip(self.dense, tokens)]
        tokens = [without_masked(token, mask) for token, mask in zip(tokens, masks)]
        updated, maps = list(tokens), []
        for (query, value), layer in zip(self.pairs, self.attentions):
            allowed = ops.logical_and(
                ops.expand_dims(masks[query], 2), ops.expand_dims(masks[value], 1)
            )
            result = layer(
                tokens[query],
                tokens[value],
                attention_mask=allowed,
                return_attention_scores=return_weights,
                training=training,
            )
            if return_weights:
                result, scores = result
                scores = ops.mean(scores, axis=1)
                maps.append(scores * ops.cast(allowed, scores.dtype))
            # Attention over keys that are all masked gives arbitrary values.
            present = ops.any(masks[value], axis=1)[:, None, None]
            updated[query] = updated[query] + result * ops.cast(present, result.dtype)
        tokens = [
            normalization(token)
            for normalization, token in zip(self.normalizations, updated)
        ]
        parts = [masked_mean(token, mask) for token, mask in zip(tokens, masks)]
        results = [ops.concatenate(parts, axis=-1)]
        if return_weights:
            results.append(maps)
        if return_tokens:
            results += side_by_side(tokens, masks)
        return tuple(results) if len(results) > 1 else results[0]

    def compute_output_shape(self, tokens_shape, masks_shape):
        """`(batch, modalities * units)`."""
        return (tokens_shape[0][0], len(tokens_shape) * self.units)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "dropout": self.dropout,
        }
