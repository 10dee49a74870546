from keras import layers

from .encoder import Encoder, pooled, read_steps


class Average(Encoder):
    """The mean of word vectors, or of projected steps; ignores their order.

    Words go through an Embedding, steps of a sequence through a Dense layer with
    ReLU. A baseline that shows whether order matters.

    Examples:

    >>> encoder = keras_mm.encoders.Average(units=64, dropout=0.3)
    >>> model = keras_mm.build_classifier(schema, encoders={"text": encoder})

    Args:
        units: int, length of the token.
        dropout: float, dropout rate of the vectors.

    Reference:
        Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods
        for Text Classification".
    """

    reads = ("text", "sequence")
    tokens = "words"

    def __init__(self, units=64, dropout=0.0):
        self.units = units
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """Ids `(batch, length)`, or steps -> one token, or one per step."""
        x, mask = read_steps(tensors[0], inputs[0], self.units)
        if inputs[0].kind == "sequence":
            x = layers.Dense(self.units, activation="relu")(x)
        if self.dropout:
            x = layers.Dropout(self.dropout)(x)
        return (x, mask) if sequences else pooled(x, mask)
