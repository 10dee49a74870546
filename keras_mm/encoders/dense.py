from keras import layers, ops

from .encoder import Encoder, one_token, without_nan


class Dense(Encoder):
    """Numbers -> one token; each number comes with a flag that it is known.

    Examples:

    >>> encoder = keras_mm.encoders.Dense(units=32)
    >>> model = keras_mm.build_classifier(schema, encoders={"numbers": encoder})

    Args:
        units: int, length of the token.
        activation: string.
        dropout: float, share of the token's entries dropped in training.
    """

    reads = ("number",)

    def __init__(self, units=32, activation="relu", dropout=0.0):
        self.units = units
        self.activation = activation
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """Numbers `(batch, 1)` each -> one token."""
        numbers = ops.concatenate(tensors, axis=-1) if len(tensors) > 1 else tensors[0]
        is_known = ops.logical_not(ops.isnan(numbers))
        flags = ops.cast(is_known, numbers.dtype)
        x = ops.concatenate([without_nan(numbers), flags], axis=-1)
        x = layers.Dense(self.units, activation=self.activation)(x)
        if self.dropout:
            x = layers.Dropout(self.dropout)(x)
        return one_token(x), ops.any(is_known, axis=1, keepdims=True)
