from keras import layers

from .recurrent import Recurrent


class RNN(Recurrent):
    """A simple RNN over a sequence, or over embedded words.

    It forgets within about ten steps; `GRU` and `LSTM` suit longer sequences.

    Examples:

    >>> encoder = keras_mm.encoders.RNN(64)
    >>> model = keras_mm.build_classifier(schema, encoders={"text": encoder})

    Args:
        units: int, length of the state.
        embedding_dim: int, length of a word's vector.
        bidirectional: bool, whether a second RNN reads backwards; the token is
            then `2 * units` long.
        dropout: float, dropout rate of the word vectors.

    Reference:
        Elman 1990, "Finding Structure in Time".
    """

    def layer(self, **kwargs):
        """`keras.layers.SimpleRNN`."""
        return layers.SimpleRNN(self.units, **kwargs)
