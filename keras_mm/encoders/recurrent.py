from keras import layers, ops

from .encoder import Encoder, one_token, read_steps


class Recurrent(Encoder):
    """Base class of `RNN`, `LSTM` and `GRU`, over steps or embedded words.

    Subclasses provide the recurrent layer.

    Args:
        units: int, length of the state.
        embedding_dim: int, length of a word's vector.
        bidirectional: bool, whether a second layer reads backwards; the token
            is then `2 * units` long.
        dropout: float, dropout rate of the word vectors.
    """

    reads = ("text", "sequence")
    tokens = "words"

    def __init__(self, units=64, embedding_dim=64, bidirectional=False, dropout=0.0):
        self.units = units
        self.embedding_dim = embedding_dim
        self.bidirectional = bidirectional
        self.dropout = dropout

    def layer(self, **kwargs):
        """The recurrent Keras layer."""
        raise NotImplementedError

    def encode(self, tensors, inputs, sequences):
        """Ids `(batch, length)`, or steps -> one token, or one per step."""
        x, mask = read_steps(tensors[0], inputs[0], self.embedding_dim, self.dropout)
        recurrent = self.layer(return_sequences=sequences)
        if self.bidirectional:
            recurrent = layers.Bidirectional(recurrent)
        x = recurrent(x, mask=mask)
        if sequences:
            return x, mask
        return one_token(x), ops.any(mask, axis=1, keepdims=True)
