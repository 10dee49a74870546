import keras
from keras import layers, ops

from ..inputs import Text
from .encoder import Encoder, one_token, repeat_mask, row_mask, step_mask, without_nan


class Custom(Encoder):
    """The user's own layer, model or function as an encoder.

    It takes the modality's tensor with missing values set to 0, and returns
    `(batch, dim)`, tokens `(batch, length, dim)`, a feature map `(batch,
    height, width, dim)`, or a pair of tokens and mask.

    Examples:

    >>> encoder = keras.applications.MobileNetV3Small(
    ...     include_top=False, weights=None, input_shape=(96, 96, 3))
    >>> model = keras_mm.build_classifier(schema, encoders={"image": encoder})

    Args:
        function: the layer, model or function.
    """

    tokens = "words"

    def __init__(self, function):
        self.function = function

    def encode(self, tensors, inputs, sequences):
        """Calls the function, and derives the mask."""
        (tensor,) = tensors
        if isinstance(inputs[0], Text) or "int" in tensor.dtype:
            mask = ops.not_equal(tensor, 0)
            result = self.function(tensor)
        else:
            has_steps = inputs[0].kind in ("sequence", "graph", "video")
            mask = step_mask(tensor) if has_steps else row_mask(tensor)
            result = self.function(without_nan(tensor))
        if isinstance(result, (tuple, list)) and len(result) == 2:
            return result[0], result[1]
        if not isinstance(result, keras.KerasTensor) or not 2 <= result.ndim <= 4:
            raise ValueError(
                "An encoder must give (batch, dim), (batch, length, dim), "
                "(batch, height, width, dim) or [tokens, mask]. "
                f"Received: {getattr(result, 'shape', result)}"
            )
        if result.ndim == 4:
            result = layers.Reshape((-1, result.shape[-1]))(result)
        present = ops.any(mask, axis=1, keepdims=True)
        if result.ndim == 2:
            return one_token(result), present
        if result.shape[1] == mask.shape[1]:
            return result, mask
        return result, repeat_mask(present, result)
