import keras
import numpy as np
from keras import layers, ops

from .encoder import Encoder, one_token


class NGrams(Encoder):
    """A bag of word and character n-grams: weighted sum of their embeddings.

    The encoder to beat on short texts and small tables: no order, but nothing
    that a few hundred rows cannot teach.

    Examples:

    >>> encoder = keras_mm.encoders.NGrams(units=64, dropout=0.3)
    >>> model = keras_mm.build_classifier(schema, encoders={"text": encoder})

    Args:
        units: int, length of the token.
        dropout: float, share of the token's entries dropped in training.

    Reference:
        Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification".
    """

    tokens = "ngrams"

    def __init__(self, units=128, dropout=0.5):
        self.units = units
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """Ids `(batch, length)` -> one token."""
        (ids,) = tensors
        text = inputs[0]
        weights = np.concatenate([[0.0, 1.0], text.ngram_weights])[:, None]
        weight = layers.Embedding(
            text.num_ids,
            1,
            embeddings_initializer=keras.initializers.Constant(0.0),
            trainable=False,
            name="inverse_document_frequency",
        )
        scale = weight(ids)
        weight.set_weights([weights])
        norm = ops.sqrt(ops.sum(ops.square(scale), axis=1, keepdims=True))
        scale = ops.divide_no_nan(scale, norm)
        x = layers.Embedding(
            text.num_ids,
            self.units,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.1),
        )(ids)
        x = ops.sum(x * scale, axis=1)
        x = layers.Dropout(self.dropout)(x)
        present = ops.any(ops.not_equal(ids, 0), axis=1, keepdims=True)
        return one_token(x), present
