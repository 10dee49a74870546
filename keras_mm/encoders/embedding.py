from keras import layers, ops

from .encoder import Encoder


class Embedding(Encoder):
    """Categories -> one token for each column; a missing one is masked.

    Examples:

    >>> encoder = keras_mm.encoders.Embedding(units=8)
    >>> model = keras_mm.build_classifier(schema, encoders={"city": encoder})

    Args:
        units: int, length of a token.
    """

    reads = ("category",)

    def __init__(self, units=16):
        self.units = units

    def encode(self, tensors, inputs, sequences):
        """Ids `(batch, 1)` each -> one token each."""
        tokens = [
            layers.Embedding(value.num_ids, self.units)(ids)
            for value, ids in zip(inputs, tensors)
        ]
        if len(tensors) == 1:
            return tokens[0], ops.not_equal(tensors[0], 0)
        ids = layers.Concatenate(axis=1)(tensors)
        return layers.Concatenate(axis=1)(tokens), ops.not_equal(ids, 0)
