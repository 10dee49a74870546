import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class TransformerBlock(keras.layers.Layer):
    """Attention, then two Dense layers; each with a residual connection.

    Fusions of tokens are made of these. Both parts read normalised tokens, as in
    the encoders' blocks. With a context, tokens attend to it instead of to each
    other (cross-attention).

    Args:
        num_heads: int, attention heads; must divide the tokens' length.
        hidden_units: int, width of the inner Dense layer.
        dropout: float, share of each part's results dropped in training.

    Call arguments:
        tokens: float tensor `(batch, length, dim)`.
        mask: bool tensor `(batch, length)`, which tokens (of the context, if
            there is one) may be attended to.
        context: float tensor `(batch, other length, dim)`, or None.

    Returns:
        Tensor `(batch, length, dim)`.

    Reference:
        Xiong et al. 2020, "On Layer Normalization in the Transformer
        Architecture".
    """

    def __init__(self, num_heads, hidden_units, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.hidden_units = hidden_units
        self.dropout = dropout

    def build(self, tokens_shape, *args, **kwargs):
        """Creates the parts."""
        dim = tokens_shape[-1]
        shape = (None, None, dim)
        policy = {"dtype": self.dtype_policy}
        self.first_norm = keras.layers.LayerNormalization(name="first_norm", **policy)
        self.attention = keras.layers.MultiHeadAttention(
            self.num_heads, dim // self.num_heads, name="attention", **policy
        )
        self.second_norm = keras.layers.LayerNormalization(name="second_norm", **policy)
        self.inner = keras.layers.Dense(self.hidden_units, name="inner", **policy)
        self.outer = keras.layers.Dense(dim, name="outer", **policy)
        self.drop = keras.layers.Dropout(self.dropout, **policy)
        self.attention.build(shape, shape)
        for layer in (self.first_norm, self.second_norm, self.inner):
            layer.build(shape)
        self.outer.build((None, None, self.hidden_units))

    def call(self, tokens, mask, context=None, training=False):
        """Attends, then computes token by token."""
        y = self.first_norm(tokens)
        context = y if context is None else self.first_norm(context)
        y = self.attention(y, context, attention_mask=ops.expand_dims(mask, 1))
        x = tokens + self.drop(y, training=training)
        y = ops.gelu(self.inner(self.second_norm(x)), approximate=True)
        return x + self.drop(self.outer(y), training=training)

    def cross_attend(self, tokens, mask, context, training=False):
        """The block; rows without any token of the context stay as they are."""
        x = self(tokens, mask, context=context, training=training)
        return ops.where(ops.any(mask, axis=1)[:, None, None], x, tokens)

    def compute_output_shape(self, tokens_shape, *args, **kwargs):
        """The tokens' shape."""
        return tokens_shape

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "hidden_units": self.hidden_units,
            "dropout": self.dropout,
        }
