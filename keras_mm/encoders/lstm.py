from keras import layers

from .recurrent import Recurrent


class LSTM(Recurrent):
    """An LSTM over a sequence, or over embedded words: the textbook's text encoder.

    Examples:

    >>> encoder = keras_mm.encoders.LSTM(64, bidirectional=True)
    >>> model = keras_mm.build_classifier(schema, encoders={"text": encoder})

    Args:
        units: int, length of the LSTM's state.
        embedding_dim: int, length of a word's vector.
        bidirectional: bool, whether a second LSTM reads backwards; the token is
            then `2 * units` long.
        dropout: float, dropout rate of the word vectors.

    Reference:
        Hochreiter and Schmidhuber 1997, "Long Short-Term Memory".
    """

    def layer(self, **kwargs):
        """`keras.layers.LSTM`."""
        # The cuDNN kernel fails on an empty text, and an export that uses it does
        # not load on a machine without a GPU.
        return layers.LSTM(self.units, use_cudnn=False, **kwargs)
