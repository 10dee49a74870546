from keras import layers

from .encoder import Encoder, one_token, repeat_mask, row_mask, without_nan


class CNN(Encoder):
    """The textbook's convolutional network: Conv2D -> MaxPooling2D -> Flatten.

    Examples:

    >>> model = keras_mm.build_classifier(schema, encoders={"image": "cnn"})

    Args:
        filters: int or list of ints, one convolution and pooling for each.
        kernel_size: int.
        activation: string.

    Reference:
        LeCun et al. 1998, "Gradient-based learning applied to document
        recognition".
    """

    reads = ("image",)

    def __init__(self, filters=64, kernel_size=3, activation="relu"):
        self.filters = [filters] if isinstance(filters, int) else list(filters)
        self.kernel_size = kernel_size
        self.activation = activation

    def encode(self, tensors, inputs, sequences):
        """`(batch, height, width, channels)` -> one token, or one per position."""
        (image,) = tensors
        x = without_nan(image)
        for filters in self.filters:
            x = layers.Conv2D(filters, self.kernel_size, activation=self.activation)(x)
            x = layers.MaxPooling2D()(x)
        if sequences:
            tokens = layers.Reshape((-1, x.shape[-1]))(x)
        else:
            tokens = one_token(layers.Flatten()(x))
        return tokens, repeat_mask(row_mask(image), tokens)
