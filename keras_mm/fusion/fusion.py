import itertools

import keras
from keras import ops

from ..encoders.encoder import masked_mean  # noqa: F401  # for all fusions


class Fusion(keras.layers.Layer):
    """Base class: the tokens and masks of all modalities -> one vector.

    A fusion never reads what a mask hides: padding, or the content of a
    modality that is absent from a row. A row without any modality gives 0.

    Subclasses have `units`, and return their weights where they have some.

    Args:
        units: int, length of the vector.
    """

    # Whether the fusion looks at single tokens; others pool each modality to
    # its mean first, and encoders may do so cheaply.
    uses_tokens = False
    # What `return_weights=True` gives: None, "modalities" or "pairs".
    weights_kind = None

    def __init__(self, units=64, **kwargs):
        super().__init__(**kwargs)
        if units is not None and units < 1:
            raise ValueError(f"`units` must be positive. Received: units={units}")
        self.units = units
        self.supports_masking = True

    def compute_output_shape(self, tokens_shape, masks_shape):
        """`(batch, units)`."""
        return (tokens_shape[0][0], self.units)

    def compute_output_spec(self, tokens, masks, return_weights=False, **kwargs):
        """Symbolic outputs; Keras cannot know of `return_weights` by itself."""
        shapes = [token.shape for token in tokens], [mask.shape for mask in masks]
        fused = keras.KerasTensor(
            self.compute_output_shape(*shapes), self.compute_dtype
        )
        if not return_weights:
            return fused
        batch, dtype = fused.shape[0], self.compute_dtype
        if self.weights_kind == "modalities":
            return fused, keras.KerasTensor((batch, len(tokens)), dtype)
        pairs = itertools.permutations(tokens, 2)
        return fused, [
            keras.KerasTensor((batch, query.shape[1], value.shape[1]), dtype)
            for query, value in pairs
        ]

    def compute_mask(self, *args, **kwargs):
        """None: the vector has no padding."""
        return None

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units}

    def projections(
        self,
        tokens_shape,
        use_bias=False,
        units=None,
        bias="zeros",
        name="projection",
    ):
        """One built Dense layer for each modality, to `units` (the fusion's own)."""
        layers = []
        for index, shape in enumerate(tokens_shape):
            layer = keras.layers.Dense(
                units or self.units,
                use_bias=use_bias,
                bias_initializer=bias,
                dtype=self.dtype_policy,
                name=f"{name}_{index}",
            )
            layer.build((*shape[:-2], shape[-1]))
            layers.append(layer)
        return layers

    def projected(self, tokens, masks):
        """Each modality's mean token through its own layer of `self.dense`.

        Returns:
            Tensor `(batch, modalities, units)`. Without a bias, what is absent is
            0.
        """
        return ops.stack(
            [
                dense(masked_mean(token, mask))
                for dense, token, mask in zip(self.dense, tokens, masks)
            ],
            axis=1,
        )


def presence(masks):
    """Masks of all modalities -> bool tensor `(batch, modalities)`."""
    return ops.stack([ops.any(mask, axis=1) for mask in masks], axis=1)


def product(factors, present):
    """Product of the factors that are present; 0 where none is.

    Args:
        factors: list of float tensors `(batch, dim)`, one a modality.
        present: bool tensor `(batch, modalities)`.

    Returns:
        Tensor `(batch, dim)`.
    """
    result = ops.cast(ops.any(present, axis=1, keepdims=True), factors[0].dtype)
    for index, factor in enumerate(factors):
        shown = present[:, index : index + 1]
        result = result * ops.where(shown, factor, ops.ones_like(factor))
    return result


def masked_softmax(logits, present, axis=1):
    """Softmax over the entries that are present; 0 where none is.

    Args:
        logits: float tensor.
        present: bool tensor, broadcast against the logits.
        axis: int.
    """
    present = ops.cast(present, logits.dtype)
    # Finite in half precision, too.
    logits = logits - (1.0 - present) * 1e4
    weights = ops.softmax(logits, axis=axis) * present
    return ops.divide_no_nan(weights, ops.sum(weights, axis=axis, keepdims=True))
