import itertools

import keras
from keras import ops

from .fusion import Fusion, masked_mean, presence


@keras.saving.register_keras_serializable(package="keras_mm")
class Bilinear(Fusion):
    """Every entry of one modality times every entry of another: `z1 W_k z2`.

    Each unit k has a full matrix `W_k` for every pair of modalities; with more
    than two modalities the pairs are summed. `Tensor` has also a 1 in each
    modality, so that a part of it is linear, and multiplies all modalities at
    once: it grows with the product of all dims, this one with those of pairs.
    `MLB` and `MFB` are low-rank versions of it.

    An absent modality is a vector of 1s, so that the present one of a pair still
    counts; a pair of absent ones adds nothing.

    Examples:

    >>> fused = keras_mm.fusion.Bilinear(units=32, dim=8)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of the vector.
        dim: int, length that each modality is projected to first; None: they
            are multiplied as they are.
        max_size: int, largest number of products of two entries.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        Tensor `(batch, units)`.

    Raises:
        ValueError: if there is one modality only, or more than `max_size`
            products.

    Reference:
        Tenenbaum and Freeman 2000, "Separating Style and Content with Bilinear
        Models".
    """

    def __init__(self, units=64, dim=None, max_size=2**16, **kwargs):
        super().__init__(units=units, **kwargs)
        self.dim = dim
        self.max_size = max_size

    def build(self, tokens_shape, masks_shape):
        """Creates the `W_k`: `units * dim * dim` weights for every pair."""
        dims = [self.dim or shape[-1] for shape in tokens_shape]
        if len(dims) < 2:
            raise ValueError(
                "Bilinear needs two modalities or more. Choose fusion='concat' "
                f"for one. Received: {len(dims)} modality"
            )
        size = sum(one * two for one, two in itertools.combinations(dims, 2))
        if size > self.max_size:
            raise ValueError(
                f"Modalities of {dims} entries have {size:,} products of two, with "
                f"{size * self.units:,} weights behind them. Project them to fewer "
                "with dim=8, or choose fusion='mlb'. "
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
        """Multiplies, pair by pair."""
        means = [masked_mean(token, mask) for token, mask in zip(tokens, masks)]
        if self.dense is not None:
            means = [dense(mean) for dense, mean in zip(self.dense, means)]
        present = ops.split(presence(masks), len(masks), axis=1)
        factors = [
            ops.where(is_present, mean, ops.ones_like(mean))
            for is_present, mean in zip(present, means)
        ]
        products = []
        for one, two in itertools.combinations(range(len(factors)), 2):
            x = ops.expand_dims(factors[one], 2) * ops.expand_dims(factors[two], 1)
            x = ops.reshape(x, (-1, x.shape[1] * x.shape[2]))
            any_present = ops.logical_or(present[one], present[two])
            products.append(ops.where(any_present, x, ops.zeros_like(x)))
        return self.output_projection(ops.concatenate(products, axis=-1))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "dim": self.dim, "max_size": self.max_size}
