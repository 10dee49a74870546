import sys

import keras
import numpy as np
from keras import layers, ops

from .encoder import Encoder, pooled, repeat_mask, row_mask, without_nan


class Application(Encoder):
    """An image network of `keras.applications`, pretrained on ImageNet.

    It includes the preprocessing that the network was trained with. The saved
    model holds the weights; they are downloaded only when the model is built.

    Examples:

    >>> model = keras_mm.build_classifier(schema, encoders={
    ...     "image": keras_mm.encoders.Application("MobileNetV2", weights=None)})

    Args:
        name: string, such as `"MobileNetV2"` or `"EfficientNetB0"`: a function
            of `keras.applications`. As an encoder's name:
            `"applications:MobileNetV2"`.
        weights: `"imagenet"`, a file of weights of the network without its top
            (`.weights.h5` or `.h5`), or None for random ones.
        trainable: bool, whether the network is trained as well. Otherwise it is
            frozen, and runs in inference mode.
        learning_rate: float, learning rate of the network, which should be small,
            such as 1e-4; None: the model's.
    """

    reads = ("image",)

    def __init__(
        self,
        name="MobileNetV2",
        weights="imagenet",
        trainable=False,
        learning_rate=None,
    ):
        names = [name for name in dir(keras.applications) if name[0].isupper()]
        if name not in names:
            raise ValueError(f"`name` must be one of {names}. Received: name={name!r}")
        self.name = name
        self.weights = weights
        self.trainable = trainable
        self.learning_rate = learning_rate

    def encode(self, tensors, inputs, sequences):
        """One token for each position of the feature map, or their mean."""
        (tensor,) = tensors
        make = getattr(keras.applications, self.name)
        network = make(
            include_top=False, weights=self.weights, input_shape=tensor.shape[1:]
        )
        if self.name.startswith("EfficientNetB"):
            _correct_variance(network)
        if not self.trainable:
            _freeze(network)
        flipped, scale, offset = _preprocessing(make)
        x = without_nan(tensor)
        if flipped:
            x = ops.flip(x, axis=-1)
        x = layers.Rescaling(scale, offset)(x)
        x = network(x)
        tokens = layers.Reshape((-1, x.shape[-1]))(x)
        mask = repeat_mask(row_mask(tensor), tokens)
        return (tokens, mask) if sequences else pooled(tokens, mask)


def _preprocessing(make):
    """The effect of `preprocess_input` of the network's module, measured by a call.

    It may swap red and blue, scale, and shift, which an image of four pixels
    reveals. For networks that begin with such layers it does nothing.

    Returns:
        Whether to flip the channels, and the scale and offset of each channel
        of pixels of 0..1.
    """
    module = sys.modules[make.__module__]
    colours = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "float32")
    black, *others = module.preprocess_input(255 * colours[None, None])[0, 0]
    scales = np.array(others) - black
    flipped = scales[0, 0] == 0
    scales = scales[::-1] if flipped else scales
    return bool(flipped), np.diag(scales).tolist(), black.tolist()


def _freeze(network):
    """Freezes weights and running statistics, and disables dropout."""
    network.trainable = False
    for layer in network.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
        if hasattr(layer, "drop_path_rate"):
            layer.drop_path_rate = 0.0


def _correct_variance(network):
    """Corrects the normalisation in a file of EfficientNet's ImageNet weights.

    The file holds standard deviations in place of variances. For
    `weights="imagenet"` Keras compensates with another layer, for a file it does
    not.
    """
    deviation = np.array([0.229, 0.224, 0.225], "float32")
    # Keras's own remedy is a second layer of this class.
    rescaled = sum(isinstance(layer, layers.Rescaling) for layer in network.layers)
    for layer in network.layers:
        if isinstance(layer, layers.Normalization) and rescaled == 1:
            variance = np.ravel(ops.convert_to_numpy(layer.adapt_variance))
            if np.allclose(variance, deviation, atol=1e-4):
                layer.adapt_variance.assign(
                    np.reshape(deviation**2, layer.adapt_variance.shape)
                )
                layer.finalize_state()
