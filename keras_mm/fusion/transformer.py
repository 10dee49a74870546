import keras
from keras import ops

from ..encoders.transformer_block import check_heads
from .fusion import Fusion, masked_mean


@keras.saving.register_keras_serializable(package="keras_mm")
class Transformer(Fusion):
    """One Transformer over the tokens of all modalities.

    The tokens of each modality are projected to `units` and told apart by a
    learned vector; then every token looks at every other one that is there.
    The vector is the mean of all tokens.

    Examples:

    >>> fused = keras_mm.fusion.Transformer(units=64, num_layers=1)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of a token.
        num_layers: int, number of blocks.
        num_heads: int, attention heads; must divide `units`.
        hidden_units: int, width of the blocks' inner Dense layer; None: four
            times `units`.
        dropout: float, share of each block's results dropped in training.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one a modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        Tensor `(batch, units)`.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need"; Xiong et al. 2020, "On
        Layer Normalization in the Transformer Architecture"; Li et al. 2019,
        "VisualBERT: A Simple and Performant Baseline for Vision and Language".
    """

    uses_tokens = True

    def __init__(
        self,
        units=64,
        num_layers=1,
        num_heads=4,
        hidden_units=None,
        dropout=0.1,
        **kwargs,
    ):
        super().__init__(units=units, **kwargs)
        check_heads(units, num_heads)
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.hidden_units = hidden_units
        self.dropout = dropout

    def build(self, tokens_shape, masks_shape):
        """Creates projections, one vector a modality, blocks, a normalisation."""
        self.dense = self.projections(tokens_shape)
        self.embeddings = self.add_weight(
            name="modalities",
            shape=(len(tokens_shape), self.units),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        shape = (None, None, self.units)
        self.blocks = []
        for index in range(self.num_layers):
            parts = {
                "first_norm": self._normalization(f"first_norm_{index}"),
                "attention": keras.layers.MultiHeadAttention(
                    self.num_heads,
                    self.units // self.num_heads,
                    dtype=self.dtype_policy,
                    name=f"attention_{index}",
                ),
                "second_norm": self._normalization(f"second_norm_{index}"),
                "inner": keras.layers.Dense(
                    self.hidden_units or 4 * self.units,
                    dtype=self.dtype_policy,
                    name=f"inner_{index}",
                ),
                "outer": keras.layers.Dense(
                    self.units, dtype=self.dtype_policy, name=f"outer_{index}"
                ),
                "drop": keras.layers.Dropout(self.dropout, dtype=self.dtype_policy),
            }
            parts["attention"].build(shape, shape)
            parts["inner"].build(shape)
            parts["outer"].build((*shape[:-1], parts["inner"].units))
            self.blocks.append(parts)
        self.last_norm = self._normalization("last_norm")

    def _normalization(self, name):
        layer = keras.layers.LayerNormalization(dtype=self.dtype_policy, name=name)
        layer.build((None, None, self.units))
        return layer

    def call(self, tokens, masks, training=False):
        """Attends, block by block."""
        parts = []
        for index, (dense, token, mask) in enumerate(zip(self.dense, tokens, masks)):
            token = dense(token) + ops.cast(self.embeddings[index], token.dtype)
            # Hidden tokens may hold anything, even what would overflow.
            shown = ops.expand_dims(mask, -1)
            parts.append(ops.where(shown, token, ops.zeros_like(token)))
        x, mask = ops.concatenate(parts, axis=1), ops.concatenate(masks, axis=1)
        for block in self.blocks:
            y = block["first_norm"](x)
            y = block["attention"](y, y, attention_mask=ops.expand_dims(mask, 1))
            x = x + block["drop"](y, training=training)
            y = ops.gelu(block["inner"](block["second_norm"](x)), approximate=True)
            x = x + block["drop"](block["outer"](y), training=training)
        return masked_mean(self.last_norm(x), mask)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "hidden_units": self.hidden_units,
            "dropout": self.dropout,
        }
