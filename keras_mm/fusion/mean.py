import keras
from keras import ops

from .fusion import Fusion, presence


@keras.saving.register_keras_serializable(package="keras_mm")
class Mean(Fusion):
    """Mean of the modalities that are present: `mean_m W_m z_m`.

    Examples:

    >>> fused = keras_mm.fusion.Mean(units=32)(
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
        """Averages."""
        parts = self.projected(tokens, masks)
        # A projection without bias maps an absent modality's 0 to 0.
        count = ops.sum(ops.cast(presence(masks), parts.dtype), axis=1, keepdims=True)
        return ops.divide_no_nan(ops.sum(parts, axis=1), count)
