import keras
from keras import ops

from .fusion import Fusion, masked_softmax, presence


@keras.saving.register_keras_serializable(package="keras_mm")
class Weighted(Fusion):
    """One learned weight a modality: `sum_m softmax(a)_m W_m z_m`.

    The weights are the same for all rows, but for those of absent modalities,
    which go to the others.

    Examples:

    >>> fused, weights = keras_mm.fusion.Weighted(units=32)(
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
        """Creates the `W_m` and one weight per modality."""
        self.dense = self.projections(tokens_shape)
        self.logits = self.add_weight(
            name="logits", shape=(len(tokens_shape),), initializer="zeros"
        )

    def call(self, tokens, masks, return_weights=False):
        """Averages with weights."""
        parts = self.projected(tokens, masks)
        logits = ops.cast(self.logits, parts.dtype)[None]
        weights = masked_softmax(logits, presence(masks))
        fused = ops.sum(ops.expand_dims(weights, -1) * parts, axis=1)
        return (fused, weights) if return_weights else fused
