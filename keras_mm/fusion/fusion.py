import itertools

import keras
from keras import ops

from ..encoders.encoder import masked_mean  # noqa: F401  # for all fusions
from .fused import fuse


class Fusion(keras.layers.Layer):
    """Base class: the tokens and masks of all modalities -> one vector.

    A fusion never reads masked tokens: padding, or the content of a modality
    that is absent from a row. A row without any modality gives 0.

    Calling the layer returns the vector. `fuse` returns everything: also its
    weights over modalities or attention maps, and the fused tokens.

    Examples:

    >>> fused = keras_mm.fusion.Gated(units=64).fuse(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])
    >>> fused.vector.shape[-1], fused.weights.shape[-1], fused.tokens
    (64, 2, None)

    Args:
        units: int, length of the vector.
    """

    # Whether the fusion attends to single tokens; others pool each modality to
    # its mean first, and encoders may do so cheaply.
    uses_tokens = False
    # What `return_weights=True` adds: None, "modalities" (a tensor) or "pairs" (a
    # list of attention maps).
    weights_kind = None
    # What `return_tokens=True` adds, with their mask: None, "inputs" (one fused
    # token for each token of the modalities, one modality after another) or
    # "latents" (a number of its own).
    tokens_kind = None
    # Whether `return_experts=True` adds the experts' logits and their presence.
    has_experts = False

    def __init__(self, units=64, **kwargs):
        super().__init__(**kwargs)
        if units is not None and units < 1:
            raise ValueError(f"`units` must be positive. Received: units={units}")
        self.units = units
        self.supports_masking = True

    def fuse(self, tokens, masks, return_weights=True, return_tokens=True):
        """Calls the layer once, with every option that it has.

        Args:
            tokens: list of float tensors `(batch, length, dim)`, one per modality.
            masks: list of bool tensors `(batch, length)`.
            return_weights: bool, whether to ask for weights, where it has some;
                attention maps take time and memory.
            return_tokens: bool, whether to ask for fused tokens, where it has
                some.

        Returns:
            `Fused`, with the vector that calling the layer returns.
        """
        return fuse(self, tokens, masks, return_weights, return_tokens)

    def compute_output_shape(self, tokens_shape, masks_shape):
        """`(batch, units)`."""
        return (tokens_shape[0][0], self.units)

    def compute_tokens_shape(self, tokens_shape):
        """Shape of the fused tokens, of fusions that return them."""
        lengths = [shape[1] for shape in tokens_shape]
        length = None if None in lengths else sum(lengths)
        return (tokens_shape[0][0], length, self.units)

    def compute_output_spec(
        self, tokens, masks, return_weights=False, return_tokens=False, **kwargs
    ):
        """Symbolic outputs; Keras cannot infer those of the options by itself."""
        shapes = [token.shape for token in tokens], [mask.shape for mask in masks]
        results = [
            keras.KerasTensor(self.compute_output_shape(*shapes), self.compute_dtype)
        ]
        if return_weights:
            results.append(self.weights_spec(tokens))
        if return_tokens:
            results += self.tokens_spec(tokens)
        return tuple(results) if len(results) > 1 else results[0]

    def weights_spec(self, tokens):
        """Symbolic weights: a tensor, or a list of attention maps."""
        batch, dtype = tokens[0].shape[0], self.compute_dtype
        if self.weights_kind == "modalities":
            return keras.KerasTensor((batch, len(tokens)), dtype)
        return [
            keras.KerasTensor((batch, query.shape[1], value.shape[1]), dtype)
            for query, value in itertools.permutations(tokens, 2)
        ]

    def tokens_spec(self, tokens):
        """Symbolic fused tokens, and their mask."""
        shape = self.compute_tokens_shape([token.shape for token in tokens])
        return [
            keras.KerasTensor(shape, self.compute_dtype),
            keras.KerasTensor(shape[:2], "bool"),
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
            Tensor `(batch, modalities, units)`. Without a bias, an absent
            modality is 0.
        """
        return ops.stack(
            [
                dense(masked_mean(token, mask))
                for dense, token, mask in zip(self.dense, tokens, masks)
            ],
            axis=1,
        )


def side_by_side(tokens, masks):
    """All modalities' tokens, one modality after another, and their mask.

    Returns:
        Tensor `(batch, sum of the lengths, dim)`, 0 where the mask is False, and
        bool tensor `(batch, sum of the lengths)`.
    """
    mask = ops.concatenate(masks, axis=1)
    return without_masked(ops.concatenate(tokens, axis=1), mask), mask


def without_masked(tokens, mask):
    """Tokens `(batch, length, dim)`, 0 where the mask is False.

    Masked tokens may hold anything, even what would overflow.
    """
    return ops.where(ops.expand_dims(mask, -1), tokens, ops.zeros_like(tokens))


def presence(masks):
    """Masks of all modalities -> bool tensor `(batch, modalities)`."""
    return ops.stack([ops.any(mask, axis=1) for mask in masks], axis=1)


def product(factors, present):
    """Product of the factors that are present; 0 if none is.

    Args:
        factors: list of float tensors `(batch, dim)`, one per modality.
        present: bool tensor `(batch, modalities)`.

    Returns:
        Tensor `(batch, dim)`.
    """
    result = ops.cast(ops.any(present, axis=1, keepdims=True), factors[0].dtype)
    for index, factor in enumerate(factors):
        is_present = present[:, index : index + 1]
        result = result * ops.where(is_present, factor, ops.ones_like(factor))
    return result


def masked_softmax(logits, present, axis=1):
    """Softmax over the entries that are present; 0 if none is.

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
