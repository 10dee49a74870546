import keras
from keras import ops

from .fusion import Fusion, presence


@keras.saving.register_keras_serializable(package="keras_mm")
class LowRank(Fusion):
    """Low-rank tensor fusion: `sum_r w_r prod_m W_mr [1; z_m] + b`.

    It approximates `Tensor` by a `W` of few factors, which is never materialised:
    its size grows with the sum of the dims and not with their product.

    Examples:

    >>> fused = keras_mm.fusion.LowRank(units=32, rank=4)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of the vector.
        rank: int, number of products that are summed.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        Tensor `(batch, units)`.

    Reference:
        Liu et al. 2018, "Efficient Low-rank Multimodal Fusion with
        Modality-Specific Factors".
    """

    def __init__(self, units=64, rank=4, **kwargs):
        super().__init__(units=units, **kwargs)
        self.rank = rank

    def build(self, tokens_shape, masks_shape):
        """Creates `rank * units * (dim + 1)` weights per modality, `w` and `b`."""
        # The bias is what the 1 is multiplied by. Factors near 1 keep the product
        # of many of them from vanishing.
        self.dense = self.projections(
            tokens_shape, use_bias=True, units=self.rank * self.units, bias="ones"
        )
        self.rank_weights = self.add_weight(
            name="rank_weights",
            shape=(self.rank,),
            initializer=keras.initializers.RandomNormal(stddev=self.rank**-0.5),
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.units,), initializer="zeros"
        )

    def call(self, tokens, masks):
        """Multiplies, then sums over the ranks."""
        x = ops.prod(self.projected(tokens, masks), axis=1)
        x = ops.reshape(x, (-1, self.rank, self.units))
        weights = ops.cast(self.rank_weights, x.dtype)[None, :, None]
        x = ops.sum(weights * x, axis=1) + ops.cast(self.bias, x.dtype)
        has_any = ops.any(presence(masks), axis=1, keepdims=True)
        return ops.where(has_any, x, ops.zeros_like(x))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "rank": self.rank}
