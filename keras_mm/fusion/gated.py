import keras
from keras import ops

from .fusion import Fusion, masked_mean, masked_softmax, presence


@keras.saving.register_keras_serializable(package="keras_mm")
class Gated(Fusion):
    """Gated multimodal unit: each row weighs the modalities, unit by unit.

    `h_m = tanh(W_m z_m)`. With two modalities `g = sigmoid(W_g [z1; z2])` and
    the vector is `g * h1 + (1 - g) * h2`; with more, the gates are a softmax
    over modalities for every unit. Gates of absent modalities are 0.

    Examples:

    >>> fused, weights = keras_mm.fusion.Gated(units=64)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask],
    ...     return_weights=True)

    Args:
        units: int, length of the vector.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_weights: bool, whether to return the gates, too.

    Returns:
        Tensor `(batch, units)`; with `return_weights` also a tensor `(batch,
        modalities)`: the mean gate of each modality over the units.

    Reference:
        Arevalo et al. 2017, "Gated Multimodal Units for Information Fusion".
    """

    weights_kind = "modalities"

    def build(self, tokens_shape, masks_shape):
        """Creates the `W_m` and the gate.

        `units * sum of the dims` weights for the former; as many for the gate
        of two modalities, times the number of modalities for more.
        """
        self.dense = self.projections(tokens_shape)
        count = len(tokens_shape)
        # A softmax over two is a sigmoid of the difference: one gate is enough.
        self.num_gates = {1: 0, 2: 1}.get(count, count)
        if self.num_gates:
            self.gate = keras.layers.Dense(
                self.num_gates * self.units,
                use_bias=False,
                dtype=self.dtype_policy,
                name="gate",
            )
            self.gate.build((None, sum(shape[-1] for shape in tokens_shape)))

    def call(self, tokens, masks, return_weights=False):
        """Mixes with gates."""
        means = [masked_mean(token, mask) for token, mask in zip(tokens, masks)]
        hidden = ops.stack(
            [ops.tanh(dense(mean)) for dense, mean in zip(self.dense, means)], axis=1
        )
        if self.num_gates:
            logits = self.gate(ops.concatenate(means, axis=-1))
            logits = ops.reshape(logits, (-1, self.num_gates, self.units))
            if self.num_gates == 1:
                logits = ops.concatenate([logits, ops.zeros_like(logits)], axis=1)
        else:
            logits = ops.zeros_like(hidden)
        present = ops.expand_dims(presence(masks), -1)
        gates = masked_softmax(logits, present)
        fused = ops.sum(gates * hidden, axis=1)
        return (fused, ops.mean(gates, axis=-1)) if return_weights else fused
