"""Steps of a sequence -> the tokens that a fusion reads."""

from keras import layers, ops

from .encoder import one_token


def pooled_tokens(x, mask, sequences, units, dropout):
    """Features of steps -> one token of their mean and maximum, or one per step.

    Args:
        x: float tensor `(batch, length, dim)`, not negative, 0 where padded.
        mask: bool tensor `(batch, length)`.
        sequences: bool, whether to keep the steps.
        units: int, length of a token.
        dropout: float.

    Returns:
        Tokens and mask.
    """
    if not sequences:
        weights = ops.expand_dims(ops.cast(mask, x.dtype), 2)
        mean = ops.divide_no_nan(ops.sum(x, axis=1), ops.sum(weights, axis=1))
        # Activations are not negative, so padding is never the maximum.
        x = one_token(ops.concatenate([mean, ops.max(x, axis=1)], axis=-1))
        mask = ops.any(mask, axis=1, keepdims=True)
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(units, use_bias=False)(x)
    # Small tables have few training steps: statistics must adapt quickly.
    x = layers.BatchNormalization(momentum=0.9)(x, mask=mask)
    return layers.Activation("relu")(x), mask
