import keras
from keras import ops

from .fusion import Fusion, masked_mean, presence, product


@keras.saving.register_keras_serializable(package="keras_mm")
class MLB(Fusion):
    """Multimodal low-rank bilinear pooling: `P (tanh(W_1 z1) * ... * tanh(W_M zM))`.

    The modalities are multiplied, unit by unit, so that one can reverse the effect
    of another. An absent modality is a factor of 1.

    Examples:

    >>> fused = keras_mm.fusion.MLB(units=32)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of the vector.
        rank: int, length of the product; None: `units`.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        Tensor `(batch, units)`.

    Reference:
        Kim et al. 2017, "Hadamard Product for Low-rank Bilinear Pooling".
    """

    def __init__(self, units=64, rank=None, **kwargs):
        super().__init__(units=units, **kwargs)
        self.rank = rank

    def build(self, tokens_shape, masks_shape):
        """Creates the `W_m`, of `rank * dim` weights each, and `P`."""
        rank = self.rank or self.units
        self.dense = self.projections(tokens_shape, units=rank)
        self.output_projection = keras.layers.Dense(
            self.units, use_bias=False, dtype=self.dtype_policy, name="output"
        )
        self.output_projection.build((None, rank))

    def call(self, tokens, masks):
        """Multiplies."""
        factors = [
            ops.tanh(dense(masked_mean(token, mask)))
            for dense, token, mask in zip(self.dense, tokens, masks)
        ]
        return self.output_projection(product(factors, presence(masks)))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "rank": self.rank}
