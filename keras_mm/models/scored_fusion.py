import keras
from keras import layers, ops

from ..encoders.encoder import masked_mean
from ..fusion import Fusion


@keras.saving.register_keras_serializable(package="keras_mm")
class ScoredFusion(Fusion):
    """Fuses all modalities but the last, and concatenates the last one's mean token.

    A linear layer follows. So the last modality, the retriever's score, is added to
    the logits of the others, and score differences count equally whether a query's
    scores are high or low.

    Args:
        fusion: `Fusion` of the modalities before the last.
        hidden_units: int, units of a Dense layer after it, or None.
        dropout: float, dropout rate of the fused vector.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        Tensor `(batch, hidden units or the fusion's, plus the last one's dim)`.
    """

    def __init__(self, fusion, hidden_units=None, dropout=0.0, **kwargs):
        super().__init__(units=None, **kwargs)
        if isinstance(fusion, dict):
            fusion = keras.saving.deserialize_keras_object(fusion)
        self.fusion = fusion
        self.hidden_units = hidden_units
        self.dropout = dropout
        self.uses_tokens = fusion.uses_tokens

    def build(self, tokens_shape, masks_shape):
        """Creates the fusion and the Dense layer."""
        shapes = tokens_shape[:-1], masks_shape[:-1]
        self.fusion.build(*shapes)
        self.hidden = None
        if self.hidden_units:
            self.hidden = layers.Dense(
                self.hidden_units,
                activation="relu",
                dtype=self.dtype_policy,
                name="hidden",
            )
            self.hidden.build(self.fusion.compute_output_shape(*shapes))
        self.drop = layers.Dropout(self.dropout, dtype=self.dtype_policy)

    def call(self, tokens, masks, training=False):
        """Fuses, and concatenates the mean of the last modality."""
        fused = self.fusion(tokens[:-1], masks[:-1])
        if self.hidden is not None:
            fused = self.hidden(fused)
        fused = self.drop(fused, training=training)
        return ops.concatenate([fused, masked_mean(tokens[-1], masks[-1])], axis=-1)

    def compute_output_shape(self, tokens_shape, masks_shape):
        """`(batch, hidden units or the fusion's, plus the last one's dim)`."""
        fused = self.fusion.compute_output_shape(tokens_shape[:-1], masks_shape[:-1])
        width = self.hidden_units or fused[-1]
        return (fused[0], width + tokens_shape[-1][-1])

    def get_config(self):
        """The constructor's arguments."""
        fusion = keras.saving.serialize_keras_object(self.fusion)
        # `build` builds it, for the modalities of that model.
        fusion.pop("build_config", None)
        config = {**super().get_config(), "fusion": fusion}
        del config["units"]
        return {
            **config,
            "hidden_units": self.hidden_units,
            "dropout": self.dropout,
        }
