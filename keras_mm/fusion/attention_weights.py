import keras
from keras import ops

from .fusion import Fusion, masked_mean, masked_softmax, presence


@keras.saving.register_keras_serializable(package="keras_mm")
class AttentionWeights(Fusion):
    """Each row decides how much each modality counts: `sum_m a_m W_m z_m`.

    `a = softmax(V [z1; ...; zM])` has one weight per modality, where `Gated` has
    one for each of its units. Absent modalities get none.

    Examples:

    >>> fused, weights = keras_mm.fusion.AttentionWeights(units=32)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask],
    ...     return_weights=True)

    Args:
        units: int, length of the vector.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_weights: bool, whether to return the weights, too.

    Returns:
        Tensor `(batch, units)`; with `return_weights` also a tensor `(batch,
        modalities)` that sums to 1 over the modalities that are present.
    """

    weights_kind = "modalities"

    def build(self, tokens_shape, masks_shape):
        """Creates the `W_m`, and `V` of `modalities * sum of the dims` weights."""
        self.dense = self.projections(tokens_shape)
        self.attention = keras.layers.Dense(
            len(tokens_shape),
            use_bias=False,
            dtype=self.dtype_policy,
            name="attention",
        )
        self.attention.build((None, sum(shape[-1] for shape in tokens_shape)))

    def call(self, tokens, masks, return_weights=False):
        """Averages with each row's own weights."""
        means = [masked_mean(token, mask) for token, mask in zip(tokens, masks)]
        parts = ops.stack(
            [dense(mean) for dense, mean in zip(self.dense, means)], axis=1
        )
        logits = self.attention(ops.concatenate(means, axis=-1))
        weights = masked_softmax(logits, presence(masks))
        fused = ops.sum(ops.expand_dims(weights, -1) * parts, axis=1)
        return (fused, weights) if return_weights else fused
