from keras import layers

from .recurrent import Recurrent


class GRU(Recurrent):
    """A GRU over a sequence, or over embedded words.

    Examples:

    >>> encoder = keras_mm.encoders.GRU(64, bidirectional=True)
    >>> model = keras_mm.build_classifier(schema, encoders={"text": encoder})

    Args:
        units: int, length of the GRU's state.
        embedding_dim: int, length of a word's vector.
        bidirectional: bool, whether a second GRU reads backwards; the token is
            then `2 * units` long.
        dropout: float, dropout rate of the word vectors.

    Reference:
        Cho et al. 2014, "Learning Phrase Representations using RNN
        Encoder-Decoder for Statistical Machine Translation".
    """

    def layer(self, **kwargs):
        """`keras.layers.GRU`."""
        # Without cuDNN for the reasons that lstm.py gives.
        return layers.GRU(self.units, use_cudnn=False, **kwargs)
