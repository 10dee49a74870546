import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class MissingToken(keras.layers.Layer):
    """Puts a learned token where a modality is absent from a row.

    Examples:

    >>> tokens, masks = keras_mm.fusion.MissingToken()(tokens, masks)

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.

    Returns:
        list of tokens and list of masks, of the same shapes. An absent
        modality has one token, in the first place; the others are as before.
    """

    def build(self, tokens_shape, masks_shape):
        """Creates one token of `dim` weights per modality."""
        self.tokens = [
            self.add_weight(
                name=f"token_{index}", shape=(shape[-1],), initializer="zeros"
            )
            for index, shape in enumerate(tokens_shape)
        ]

    def call(self, tokens, masks):
        """Fills in the tokens of absent modalities."""
        tokens_after, masks_after = [], []
        for learned, token, mask in zip(self.tokens, tokens, masks):
            absent = ops.logical_not(ops.any(mask, axis=1, keepdims=True))
            first = ops.arange(ops.shape(mask)[1]) == 0
            filled_in = ops.logical_and(absent, first[None])
            tokens_after.append(
                ops.where(
                    ops.expand_dims(filled_in, -1),
                    ops.cast(learned, token.dtype),
                    token,
                )
            )
            masks_after.append(ops.logical_or(mask, filled_in))
        return tokens_after, masks_after

    def compute_output_shape(self, tokens_shape, masks_shape):
        """The same shapes."""
        return tokens_shape, masks_shape

    def compute_output_spec(self, tokens, masks):
        """The same shapes and dtypes."""
        return (
            [keras.KerasTensor(token.shape, self.compute_dtype) for token in tokens],
            [keras.KerasTensor(mask.shape, "bool") for mask in masks],
        )
