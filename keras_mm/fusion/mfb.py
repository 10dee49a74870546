import keras
from keras import ops

from .fusion import Fusion, masked_mean, presence, product

# Where the square root's slope, which is infinite at 0, stops growing.
_EPSILON = 1e-6


@keras.saving.register_keras_serializable(package="keras_mm")
class MFB(Fusion):
    """Multimodal factorised bilinear pooling: `sum_k W_1k z1 * ... * W_Mk zM`.

    Each unit is the sum of several products, then its signed square root; the
    vector has norm 1. An absent modality is a factor of 1.

    Examples:

    >>> fused = keras_mm.fusion.MFB(units=32, num_factors=4)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of the vector.
        num_factors: int, products that are summed for each unit.
        dropout: float, share of products dropped in training.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        Tensor `(batch, units)`.

    Reference:
        Yu et al. 2017, "Multi-modal Factorized Bilinear Pooling with Co-Attention
        Learning for Visual Question Answering".
    """

    def __init__(self, units=64, num_factors=5, dropout=0.1, **kwargs):
        super().__init__(units=units, **kwargs)
        self.num_factors = num_factors
        self.dropout = dropout

    def build(self, tokens_shape, masks_shape):
        """Creates the `W_m`, of `units * num_factors * dim` weights each."""
        self.dense = self.projections(tokens_shape, units=self.units * self.num_factors)
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)

    def call(self, tokens, masks, training=False):
        """Multiplies, sums and normalises."""
        factors = [
            dense(masked_mean(token, mask))
            for dense, token, mask in zip(self.dense, tokens, masks)
        ]
        products = self.drop(product(factors, presence(masks)), training=training)
        x = ops.sum(ops.reshape(products, (-1, self.units, self.num_factors)), axis=-1)
        root = ops.sqrt(ops.abs(x) + _EPSILON) - _EPSILON**0.5
        x = ops.sign(x) * root
        norm = ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + _EPSILON)
        return x / norm

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_factors": self.num_factors,
            "dropout": self.dropout,
        }
