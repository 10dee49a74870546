import keras
from keras import ops

from .fusion import Fusion, masked_mean


@keras.saving.register_keras_serializable(package="keras_mm")
class FiLM(Fusion):
    """One modality scales and shifts the features of the others: `gamma * y + beta`.

    `y` is the sum of the other modalities' projections; `gamma` is 1 plus a
    projection of the conditioning modality, `beta` another. If that is absent
    from a row, nothing is changed.

    Examples:

    >>> fused = keras_mm.fusion.FiLM(units=32, condition=1)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of the vector.
        condition: int, the place of the conditioning modality, in the order of
            the model's modalities; -1: the last one.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        Tensor `(batch, units)`.

    Reference:
        Perez et al. 2018, "FiLM: Visual Reasoning with a General Conditioning
        Layer".
    """

    def __init__(self, units=64, condition=-1, **kwargs):
        super().__init__(units=units, **kwargs)
        self.condition = condition

    def build(self, tokens_shape, masks_shape):
        """Creates `units * dim` weights per modality, twice for the condition."""
        count = len(tokens_shape)
        if not -count <= self.condition < count or count < 2:
            raise ValueError(
                "FiLM needs two modalities or more, and `condition` must be the "
                f"index of one. Received: condition={self.condition} with {count} "
                "modalities"
            )
        place = self.condition % count
        others = [shape for index, shape in enumerate(tokens_shape) if index != place]
        self.dense = self.projections(others)
        (self.modulation,) = self.projections(
            [tokens_shape[place]], units=2 * self.units, name="modulation"
        )

    def call(self, tokens, masks):
        """Scales and shifts."""
        means = [masked_mean(token, mask) for token, mask in zip(tokens, masks)]
        condition = means.pop(self.condition)
        content = sum(dense(mean) for dense, mean in zip(self.dense, means))
        gamma, beta = ops.split(self.modulation(condition), 2, axis=-1)
        # Projections without bias: of an absent modality both are 0.
        return (1.0 + gamma) * content + beta

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "condition": self.condition}
