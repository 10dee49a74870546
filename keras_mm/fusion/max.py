import keras
from keras import ops

from .fusion import Fusion, presence


@keras.saving.register_keras_serializable(package="keras_mm")
class Max(Fusion):
    """The largest value of any modality that is present: `max_m W_m z_m`.

    Each unit is taken from the modality where it is largest.

    Examples:

    >>> fused = keras_mm.fusion.Max(units=32)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of the vector.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        Tensor `(batch, units)`.
    """

    def build(self, tokens_shape, masks_shape):
        """Creates the `W_m`, of `units * dim` weights each."""
        self.dense = self.projections(tokens_shape)

    def call(self, tokens, masks):
        """Takes the largest."""
        parts = self.projected(tokens, masks)
        present = ops.expand_dims(presence(masks), -1)
        # No greater than any present value, and finite in half precision, too.
        lowest = ops.min(parts, axis=1, keepdims=True)
        largest = ops.max(ops.where(present, parts, lowest), axis=1)
        return ops.where(ops.any(present, axis=1), largest, ops.zeros_like(largest))
