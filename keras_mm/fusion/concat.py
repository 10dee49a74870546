import keras
from keras import ops

from .fusion import Fusion, masked_mean


@keras.saving.register_keras_serializable(package="keras_mm")
class Concat(Fusion):
    """Concatenates the modalities' mean tokens: `W [z1; ...; zM]`.

    The simplest fusion, and a strong baseline: the layers after it learn how to
    combine them. An absent modality's part is 0.

    Examples:

    >>> fused = keras_mm.fusion.Concat(units=32)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of the vector, or None: no `W`, only the
            concatenation.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        Tensor `(batch, units)`; without units, `(batch, sum of the dims)`.
    """

    def __init__(self, units=None, **kwargs):
        super().__init__(units=units, **kwargs)

    def build(self, tokens_shape, masks_shape):
        """Creates `W`, of `units * sum of the dims` weights."""
        self.projection = None
        if self.units is not None:
            self.projection = keras.layers.Dense(
                self.units,
                use_bias=False,
                dtype=self.dtype_policy,
                name="projection",
            )
            self.projection.build((None, sum(shape[-1] for shape in tokens_shape)))

    def call(self, tokens, masks):
        """Concatenates."""
        parts = [masked_mean(token, mask) for token, mask in zip(tokens, masks)]
        fused = ops.concatenate(parts, axis=-1)
        return fused if self.projection is None else self.projection(fused)

    def compute_output_shape(self, tokens_shape, masks_shape):
        """`(batch, units)`."""
        width = self.units or sum(shape[-1] for shape in tokens_shape)
        return (tokens_shape[0][0], width)
