import keras
from keras import ops

from .fusion import Fusion


@keras.saving.register_keras_serializable(package="keras_mm")
class Sum(Fusion):
    """Sum of the modalities that are present: `sum_m W_m z_m`.

    Like `Concat` with units, written as a sum: an absent modality adds 0.

    Examples:

    >>> fused = keras_mm.fusion.Sum(units=32)(
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
        """Adds up."""
        # A projection without bias maps an absent modality's 0 to 0.
        return ops.sum(self.projected(tokens, masks), axis=1)
