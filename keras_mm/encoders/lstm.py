from keras import layers

from .recurrent import Recurrent


class LSTM(Recurrent):
    """The textbook's text encoder, Embedding -> LSTM; for sequences, LSTM alone.

    Examples:

    >>> encoder = keras_mm.encoders.LSTM(64, bidirectional=True)
    >>> model = keras_mm.build_classifier(schema, encoders={"text": encoder})

    Args:
        units: int, length of the LSTM's state.
        embedding_dim: int, length of a word's vector.
        bidirectional: bool, whether a second LSTM reads backwards; the token is
            then `2 * units` long.
        dropout: float, share of the word vectors' entries dropped in training.

    Reference:
        Hochreiter and Schmidhuber 1997, "Long Short-Term Memory".
    """

    def layer(self, **kwargs):
        """`keras.layers.LSTM`."""
        # The cuDNN kernel fails on a text without words, and what is exported
        # with it does not load on a machine without a GPU.
        return layers.LSTM(self.units, use_cudnn=False, **kwargs)
