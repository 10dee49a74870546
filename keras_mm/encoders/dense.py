from keras import layers, ops

from .encoder import Encoder, one_token, row_mask, without_nan


class Dense(Encoder):
    """Numbers, dates or a vector -> one token, from the values and presence flags.

    Examples:

    >>> encoder = keras_mm.encoders.Dense(units=32)
    >>> model = keras_mm.build_classifier(schema, encoders={"numbers": encoder})

    Args:
        units: int, length of the token.
        activation: string.
        dropout: float, dropout rate of the token.
    """

    reads = ("number", "vector")

    def __init__(self, units=32, activation="relu", dropout=0.0):
        self.units = units
        self.activation = activation
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """`(batch, width)` each, of width 1 for numbers -> one token."""
        # A missing column is all NaN: one flag for each.
        flags = [row_mask(tensor) for tensor in tensors]
        present = flags[0] if len(flags) == 1 else ops.concatenate(flags, axis=-1)
        numbers = [without_nan(tensor) for tensor in tensors]
        x = ops.concatenate([*numbers, ops.cast(present, numbers[0].dtype)], axis=-1)
        x = layers.Dense(self.units, activation=self.activation)(x)
        if self.dropout:
            x = layers.Dropout(self.dropout)(x)
        return one_token(x), ops.any(present, axis=1, keepdims=True)
