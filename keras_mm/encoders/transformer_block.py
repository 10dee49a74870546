"""Parts that encoders with self-attention share."""

from keras import layers, ops


def check_heads(units, num_heads):
    """Raises a `ValueError` unless `num_heads` divides `units`."""
    if units % num_heads:
        raise ValueError(
            "`num_heads` must divide `units`: every head gets an equal share. "
            f"Received: units={units}, num_heads={num_heads}"
        )


def transformer_block(x, num_heads, hidden_units, dropout=0.0, mask=None):
    """A pre-norm Transformer block: self-attention, then two Dense layers.

    `x + attention(norm(x))`, then `x + feed_forward(norm(x))`.

    Args:
        x: tokens `(batch, length, dim)`.
        num_heads: int, divides `dim`.
        hidden_units: int, width of the first Dense layer.
        dropout: float, dropout rate of each sublayer's result.
        mask: bool tensor `(batch, length or 1, length)`, which token (second
            axis) may attend to which (third).

    Reference:
        Xiong et al. 2020, "On Layer Normalization in the Transformer
        Architecture".
    """

    def drop(y):
        return layers.Dropout(dropout)(y) if dropout else y

    dim = x.shape[-1]
    y = layers.LayerNormalization()(x)
    y = layers.MultiHeadAttention(num_heads, dim // num_heads)(
        y, y, attention_mask=mask
    )
    x = layers.Add()([x, drop(y)])
    y = layers.LayerNormalization()(x)
    # The approximate form also works in exports to ONNX.
    y = ops.gelu(layers.Dense(hidden_units)(y), approximate=True)
    return layers.Add()([x, drop(layers.Dense(dim)(y))])
