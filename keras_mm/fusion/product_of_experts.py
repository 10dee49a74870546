import keras
from keras import ops

from .fusion import Fusion, presence

# Precisions from e^-6 to e^6: finite in half precision, too.
_CLAMP = 6.0


@keras.saving.register_keras_serializable(package="keras_mm")
class ProductOfExperts(Fusion):
    """Each modality predicts a mean and a precision; precise ones count more.

    For each unit a modality is an expert with a Gaussian of mean `mu_m` and
    precision `t_m`; the vector is the mean of the product of them all and of a
    prior of mean 0 and precision 1: `sum_m t_m mu_m / (1 + sum_m t_m)`. An
    absent expert is left out.

    Examples:

    >>> fused, weights = keras_mm.fusion.ProductOfExperts(units=32)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask],
    ...     return_weights=True)

    Args:
        units: int, length of the vector.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_weights: bool, whether to return the shares, too.

    Returns:
        Tensor `(batch, units)`; with `return_weights` also a tensor `(batch,
        modalities)`: each one's share of the precision without the prior's,
        the mean over the units, which sums to 1 over those that are present.

    Reference:
        Hinton 2002, "Training Products of Experts by Minimizing Contrastive
        Divergence"; Wu and Goodman 2018, "Multimodal Generative Models for
        Scalable Weakly-Supervised Learning".
    """

    weights_kind = "modalities"

    def build(self, tokens_shape, masks_shape):
        """Creates `2 * units * (dim + 1)` weights per modality."""
        self.dense = self.projections(tokens_shape, use_bias=True, units=2 * self.units)

    def call(self, tokens, masks, return_weights=False):
        """Averages with precisions."""
        experts = self.projected(tokens, masks)
        means, logs = ops.split(experts, 2, axis=-1)
        # A soft clamp: a hard one would stop the gradient.
        precisions = ops.exp(_CLAMP * ops.tanh(logs / _CLAMP))
        present = ops.expand_dims(presence(masks), -1)
        precisions = precisions * ops.cast(present, precisions.dtype)
        total = ops.sum(precisions, axis=1)
        fused = ops.sum(precisions * means, axis=1) / (1.0 + total)
        if not return_weights:
            return fused
        shares = ops.divide_no_nan(precisions, ops.expand_dims(total, 1))
        return fused, ops.mean(shares, axis=-1)
