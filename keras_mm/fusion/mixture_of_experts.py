import keras
from keras import ops

from .fusion import Fusion, masked_mean, masked_softmax, presence


@keras.saving.register_keras_serializable(package="keras_mm")
class MixtureOfExperts(Fusion):
    """A network for each modality, and a gate that mixes them: `sum_m g_m E_m(z_m)`.

    Each expert is two Dense layers, where `AttentionWeights` has a projection.
    The gate is a softmax over the modalities that are present in the row.

    Examples:

    >>> fused, gates = keras_mm.fusion.MixtureOfExperts(units=32)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask],
    ...     return_weights=True)

    Args:
        units: int, length of the vector, and of the experts' hidden layer.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_weights: bool, whether to return the gates, too.

    Returns:
        Tensor `(batch, units)`; with `return_weights` also a tensor `(batch,
        modalities)` that sums to 1 over the modalities that are present.

    Reference:
        Jacobs et al. 1991, "Adaptive Mixtures of Local Experts".
    """

    weights_kind = "modalities"

    def build(self, tokens_shape, masks_shape):
        """Creates experts, and a gate of `modalities * sum of the dims` weights."""
        self.hidden = self.projections(tokens_shape, use_bias=True, name="hidden")
        inner = [(None, None, self.units)] * len(tokens_shape)
        self.experts = self.projections(inner, use_bias=True, name="expert")
        self.gate = keras.layers.Dense(
            len(tokens_shape), use_bias=False, dtype=self.dtype_policy, name="gate"
        )
        self.gate.build((None, sum(shape[-1] for shape in tokens_shape)))

    def call(self, tokens, masks, return_weights=False):
        """Mixes the experts' outputs."""
        means = [masked_mean(token, mask) for token, mask in zip(tokens, masks)]
        outputs = ops.stack(
            [
                expert(ops.relu(hidden(mean)))
                for expert, hidden, mean in zip(self.experts, self.hidden, means)
            ],
            axis=1,
        )
        logits = self.gate(ops.concatenate(means, axis=-1))
        gates = masked_softmax(logits, presence(masks))
        fused = ops.sum(ops.expand_dims(gates, -1) * outputs, axis=1)
        return (fused, gates) if return_weights else fused
