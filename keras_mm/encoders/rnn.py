from keras import layers

from .recurrent import Recurrent


class RNN(Recurrent):
    """Sequences, or words through an Embedding -> SimpleRNN, the textbook's first.

    It forgets within some ten steps; `GRU` and `LSTM` are for longer ones.

    Examples:

    >>> encoder = keras_mm.encoders.RNN(64)
    >>> model = keras_mm.build_classifier(schema, encoders={"text": encoder})

    Args:
        units: int, length of the state.
        embedding_dim: int, length of a word's vector.
        bidirectional: bool, whether a second RNN reads backwards; the token is
            then `2 * units` long.
        dropout: float, share of the word vectors' entries dropped in training.

    Reference:
        Elman 1990, "Finding Structure in Time".
    """

    def layer(self, **kwargs):
        """`keras.layers.SimpleRNN`."""
        return layers.SimpleRNN(self.units, **kwargs)
