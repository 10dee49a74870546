from keras import layers, ops

from .encoder import Encoder, known, one_token, without_nan


class Dense(Encoder):
    """Numbers, dates or a vector -> one token; each with a flag that it is known.

    Examples:

    >>> encoder = keras_mm.encoders.Dense(units=32)
    >>> model = keras_mm.build_classifier(schema, encoders={"numbers": encoder})

    Args:
        units: int, length of the token.
        activation: string.
        dropout: float, share of the token's entries dropped in training.
    """

    reads = ("number", "vector")

    def __init__(self, units=32, activation="relu", dropout=0.0):
        self.units = units
        self.activation = activation
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """`(batch, width)` each, 1 wide for a number -> one token."""
        # What is missing is NaN all over: one flag a column says it.
        flags = [known(tensor) for tensor in tensors]
        is_known = flags[0] if len(flags) == 1 else ops.concatenate(flags, axis=-1)
        numbers = [without_nan(tensor) for tensor in tensors]
        x = ops.concatenate([*numbers, ops.cast(is_known, numbers[0].dtype)], axis=-1)
        x = layers.Dense(self.units, activation=self.activation)(x)
        if self.dropout:
            x = layers.Dropout(self.dropout)(x)
        return one_token(x), ops.any(is_known, axis=1, keepdims=True)
