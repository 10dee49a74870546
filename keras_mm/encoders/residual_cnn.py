import keras
from keras import layers, ops

from .augmentation import augmented
from .encoder import Encoder, one_token, repeat_mask, row_mask, without_nan
from .oriented_gradients import OrientedGradients


class ResidualCNN(Encoder):
    """A small residual convolutional network for images, without pretraining.

    The stem needs little training data: fixed edge filters in 16 directions, and
    learned colour filters beside them, both pooled to cells. One residual block
    for each entry of `filters` follows, and the spatial layout is kept to the end
    (Flatten, not global pooling).

    Examples:

    >>> encoder = keras_mm.encoders.ResidualCNN(filters=(32, 64))
    >>> model = keras_mm.build_classifier(schema, encoders={"image": encoder})

    Args:
        filters: sequence of ints, the channels of each residual block; every
            block halves the number of cells per side.
        units: int, length of a token.
        dropout: float, dropout rate of the features.

    Reference:
        He et al. 2016, "Deep Residual Learning for Image Recognition"; Dalal
        and Triggs 2005, "Histograms of Oriented Gradients for Human Detection".
    """

    reads = ("image",)
    # After downscaling, where it takes less time.
    augments = True

    def __init__(self, filters=(64,), units=128, dropout=0.3):
        self.filters = tuple(filters)
        self.units = units
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """`(batch, height, width, channels)` -> one token, or one per position."""
        (image,) = tensors
        x = image
        shrink = max(1, min(image.shape[1:3]) // 48)
        if shrink > 1:
            x = layers.AveragePooling2D(shrink)(x)
        x = augmented(x, inputs[0])
        present = row_mask(x)
        # White becomes 0, like the zero padding of convolutions.
        x = without_nan(layers.Rescaling(-1.0, offset=1.0)(x))
        x = _stem(x)
        for filters in self.filters:
            x = _residual_block(x, filters)
            if min(x.shape[1:3]) > 1:
                x = layers.AveragePooling2D(2)(x)
        if sequences:
            tokens = layers.Reshape((-1, x.shape[-1]))(x)
        else:
            tokens = one_token(layers.Flatten()(x))
        tokens = layers.Dropout(self.dropout)(tokens)
        tokens = layers.Dense(self.units, use_bias=False)(tokens)
        tokens = layers.Activation("relu")(_normalization()(tokens))
        return tokens, repeat_mask(present, tokens)


def _normalization():
    # Small tables have few training steps: statistics must adapt quickly.
    return layers.BatchNormalization(momentum=0.9)


def _stem(x):
    """Edges and colours, pooled to about 12 cells per side."""
    cell = max(1, min(x.shape[1:3]) // 12)
    edges = layers.Conv2D(
        16,
        3,
        padding="same",
        use_bias=False,
        activation="relu",
        kernel_initializer=OrientedGradients(),
        trainable=False,
        name="oriented_gradients",
    )(x)
    colours = layers.Conv2D(
        16,
        1,
        activation="relu",
        bias_initializer=keras.initializers.RandomUniform(-0.5, 0.5),
        name="colours",
    )(x)
    edges = layers.AveragePooling2D(cell)(edges)
    edges = ops.sqrt(edges + 1e-4)
    colours = layers.AveragePooling2D(cell)(colours)
    return _normalization()(layers.Concatenate()([edges, colours]))


def _residual_block(x, filters):
    shortcut = layers.Conv2D(filters, 1, use_bias=False)(x)
    for activation in ("relu", "linear"):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
        )(x)
        x = layers.Activation(activation)(_normalization()(x))
    return layers.Activation("relu")(layers.Add()([shortcut, x]))
