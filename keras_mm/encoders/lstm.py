from keras import layers, ops

from .encoder import Encoder, one_token


class LSTM(Encoder):
    """The textbook's text encoder: Embedding -> LSTM.

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

    reads = ("text",)
    tokens = "words"

    def __init__(self, units=64, embedding_dim=64, bidirectional=False, dropout=0.0):
        self.units = units
        self.embedding_dim = embedding_dim
        self.bidirectional = bidirectional
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """Ids `(batch, length)` -> one token, or one a word."""
        (ids,) = tensors
        mask = ops.not_equal(ids, 0)
        x = layers.Embedding(inputs[0].num_ids, self.embedding_dim)(ids)
        if self.dropout:
            x = layers.Dropout(self.dropout)(x)
        # The cuDNN kernel fails on a text without words, and what is exported
        # with it does not load on a machine without a GPU.
        recurrent = layers.LSTM(self.units, return_sequences=sequences, use_cudnn=False)
        if self.bidirectional:
            recurrent = layers.Bidirectional(recurrent)
        x = recurrent(x, mask=mask)
        if sequences:
            return x, mask
        return one_token(x), ops.any(mask, axis=1, keepdims=True)
