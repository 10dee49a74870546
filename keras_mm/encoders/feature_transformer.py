import keras
from keras import layers, ops

from .encoder import Encoder, one_token, row_mask, without_nan
from .transformer_block import check_heads


class FeatureTransformer(Encoder):
    """A Transformer over columns of numbers or categories (FT-Transformer).

    Each column is a token: a number is its value times a learned vector plus a
    bias vector, a category its embedding. Missing columns are masked, and a class
    token attends to the others.

    Examples:

    >>> encoder = keras_mm.encoders.FeatureTransformer(units=16, num_layers=1)
    >>> model = keras_mm.build_classifier(schema, encoders={"numbers": encoder})

    Args:
        units: int, length of a token.
        num_layers: int, number of Transformer blocks.
        num_heads: int, a divisor of `units`.
        dropout: float, dropout rate of the attention weights and in the
            feed-forward parts.

    Reference:
        Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular
        Data"; Shazeer 2020, "GLU Variants Improve Transformer", on the
        feed-forward part (ReGLU).
    """

    reads = ("number", "category")

    def __init__(self, units=32, num_layers=2, num_heads=4, dropout=0.1):
        check_heads(units, num_heads)
        self.units = units
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """Columns `(batch, 1)` each -> one token, or one per column.

        Numbers come first, then dates, then categories.
        """
        # A date is one column of several numbers.
        wide = [x for x in tensors if x.shape[1] > 1]
        numbers = [
            x
            for x, value in zip(tensors, inputs)
            if value.kind == "number" and x.shape[1] == 1
        ]
        categories = [
            (x, value) for x, value in zip(tensors, inputs) if value.kind == "category"
        ]
        tokens, present = [], []
        if numbers:
            x = ops.concatenate(numbers, axis=1) if len(numbers) > 1 else numbers[0]
            present.append(ops.logical_not(ops.isnan(x)))
            tokenizer = layers.EinsumDense(
                "bf,fd->bfd",
                output_shape=(len(numbers), self.units),
                bias_axes="fd",
                kernel_initializer=self._uniform(),
                bias_initializer=self._uniform(),
                name="number_tokens",
            )
            tokens.append(tokenizer(without_nan(x)))
        for x in wide:
            present.append(row_mask(x))
            tokens.append(one_token(layers.Dense(self.units)(without_nan(x))))
        for ids, value in categories:
            tokens.append(self._embedding(value.num_ids)(ids))
            present.append(ops.not_equal(ids, 0))
        mask = ops.concatenate(present, axis=1) if len(present) > 1 else present[0]
        one = ops.ones_like(mask[:, :1])
        first = ops.zeros_like(tensors[0][:, :1], dtype="int32")
        class_token = self._embedding(1, name="class_token")(first)
        x = layers.Concatenate(axis=1)([class_token, *tokens])
        length = x.shape[1]
        visible = ops.concatenate([one, mask], axis=1)
        visible = ops.repeat(ops.expand_dims(visible, 1), length, axis=1)
        for block in range(self.num_layers):
            # As in the paper, the first block starts without normalisation.
            y = layers.LayerNormalization()(x) if block else x
            y = layers.MultiHeadAttention(
                self.num_heads, self.units // self.num_heads, dropout=self.dropout
            )(y, y, attention_mask=visible)
            x = layers.Add()([x, y])
            x = layers.Add()([x, self._feed_forward(layers.LayerNormalization()(x))])
        x = layers.Activation("relu")(layers.LayerNormalization()(x))
        if sequences:
            return x[:, 1:], mask
        return x[:, :1], ops.any(mask, axis=1, keepdims=True)

    def _uniform(self):
        limit = self.units**-0.5
        return keras.initializers.RandomUniform(-limit, limit)

    def _embedding(self, count, name=None):
        return layers.Embedding(
            count, self.units, embeddings_initializer=self._uniform(), name=name
        )

    def _feed_forward(self, x):
        # 4/3, because the gate makes the first layer twice as wide.
        width = self.units * 4 // 3
        gate = layers.Dense(width, activation="relu")(x)
        x = layers.Multiply()([gate, layers.Dense(width)(x)])
        if self.dropout:
            x = layers.Dropout(self.dropout)(x)
        return layers.Dense(self.units)(x)
