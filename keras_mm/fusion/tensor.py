import math

import keras
from keras import ops

from .fusion import Fusion, masked_mean, presence


@keras.saving.register_keras_serializable(package="keras_mm")
class Tensor(Fusion):
    """Tensor fusion: all products of the modalities' entries, with a 1 each.

    `W ([1; z1] x ... x [1; zM])`: the 1 keeps the linear terms and all
    products of fewer modalities. An absent modality is `[1; 0]`. The size is
    the product of all dims.

    Examples:

    >>> fused = keras_mm.fusion.Tensor(units=32, dim=8)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of the vector.
        dim: int, length that each modality is projected to first; None: they
            are multiplied as they are.
        max_size: int, largest number of entries of the product.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        Tensor `(batch, units)`.

    Raises:
        ValueError: if the product has more than `max_size` entries.

    Reference:
        Zadeh et al. 2017, "Tensor Fusion Network for Multimodal Sentiment
        Analysis".
    """

    def __init__(self, units=64, dim=None, max_size=2**16, **kwargs):
        super().__init__(units=units, **kwargs)
        self.dim = dim
        self.max_size = max_size

    def build(self, tokens_shape, masks_shape):
        """Creates `W`, of `units * product of (dim + 1)` weights."""
        dims = [self.dim or shape[-1] for shape in tokens_shape]
        size = math.prod(dim + 1 for dim in dims)
        if size > self.max_size:
            raise ValueError(
                f"The product of modalities of {dims} entries has {size:,}, with "
                f"{size * self.units:,} weights behind it. Project them to fewer "
                "with dim=8, or choose fusion='low_rank'. "
                f"Received: max_size={self.max_size}, dim={self.dim}"
            )
        self.dense = None
        if self.dim is not None:
            self.dense = self.projections(tokens_shape, units=self.dim)
        self.output_projection = keras.layers.Dense(
            self.units, use_bias=False, dtype=self.dtype_policy, name="output"
        )
        self.output_projection.build((None, size))

    def call(self, tokens, masks):
        """Multiplies everything with everything."""
        means = [masked_mean(token, mask) for token, mask in zip(tokens, masks)]
        if self.dense is not None:
            means = [dense(mean) for dense, mean in zip(self.dense, means)]
        # Without any modality even the 1s are 0.
        one = ops.cast(ops.any(presence(masks), axis=1, keepdims=True), means[0].dtype)
        x = one
        for mean in means:
            extended = ops.concatenate([ops.ones_like(one), mean], axis=-1)
            x = ops.expand_dims(x, 2) * ops.expand_dims(extended, 1)
            x = ops.reshape(x, (-1, x.shape[1] * x.shape[2]))
        return self.output_projection(x)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "dim": self.dim, "max_size": self.max_size}
