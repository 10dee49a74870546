import keras
import numpy as np
from keras import layers, ops

from .encoder import Encoder, one_token


class NGrams(Encoder):
    """A bag of word and character n-grams: the weighted sum of their embeddings.

    A strong default for short texts and small tables: it ignores order, and learns
    from a few hundred rows.

    Examples:

    >>> encoder = keras_mm.encoders.NGrams(units=64, dropout=0.3)
    >>> model = keras_mm.build_classifier(schema, encoders={"text": encoder})

    Every n-gram is weighted by its inverse document frequency; words and
    character n-grams are normalised separately, so that the many character n-grams
    do not outweigh the few words.

    Args:
        units: int, length of the token.
        dropout: float, dropout rate of the token.
        l2: float, penalty on the embeddings, against overfitting to rare n-grams.

    Reference:
        Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification".
    """

    reads = ("text",)
    tokens = "ngrams"

    def __init__(self, units=64, dropout=0.0, l2=1e-3):
        self.units = units
        self.dropout = dropout
        self.l2 = l2

    def encode(self, tensors, inputs, sequences):
        """Ids `(batch, length)` -> one token."""
        (ids,) = tensors
        text = inputs[0]
        # One column for words, one for character n-grams; padding and id 1 (the
        # text is not missing) have weight 0.
        weights = np.zeros((text.num_ids, 2), dtype="float32")
        for row, gram in enumerate(text.ngram_vocabulary):
            weights[row + 2, int(gram.startswith("#"))] = text.ngram_weights[row]
        frequency = layers.Embedding(
            text.num_ids, 2, trainable=False, name="inverse_document_frequency"
        )
        scale = frequency(ids)
        frequency.set_weights([weights])
        norm = ops.sqrt(ops.sum(ops.square(scale), axis=1, keepdims=True))
        scale = ops.sum(ops.divide_no_nan(scale, norm), axis=2)
        x = layers.Embedding(
            text.num_ids,
            self.units,
            # Small, because an n-gram's vector is noise until it is trained.
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.01),
            embeddings_regularizer=keras.regularizers.L2(self.l2),
        )(ids)
        x = layers.Activation("relu")(layers.Dot(axes=1)([scale, x]))
        if self.dropout:
            x = layers.Dropout(self.dropout)(x)
        present = ops.any(ops.not_equal(ids, 0), axis=1, keepdims=True)
        return one_token(x), present
