import keras
from keras import layers, ops

from .encoder import Encoder, known, one_token, repeat_mask


class ResidualCNN(Encoder):
    """A small residual convolutional network, for pictures and no pretraining.

    Examples:

    >>> encoder = keras_mm.encoders.ResidualCNN(filters=(32, 64))
    >>> model = keras_mm.build_classifier(schema, encoders={"image": encoder})

    Args:
        filters: sequence of ints, the channels of each stage; every stage
            halves the picture.
        units: int, length of a token.
        dropout: float, share of the pooled features dropped in training.

    Reference:
        He et al. 2016, "Deep Residual Learning for Image Recognition".
    """

    def __init__(self, filters=(32, 64, 128), units=128, dropout=0.3):
        self.filters = tuple(filters)
        self.units = units
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """`(batch, height, width, channels)` -> one token, or one a place."""
        (image,) = tensors
        x = ops.nan_to_num(image)
        if inputs[0].augmentation is not None:
            x = augmentation(inputs[0].augmentation)(x)
        x = layers.Conv2D(
            self.filters[0], 3, strides=2, padding="same", use_bias=False
        )(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        for filters in self.filters:
            shortcut = layers.Conv2D(filters, 1, strides=2, use_bias=False)(x)
            shortcut = layers.BatchNormalization()(shortcut)
            x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization()(x)
            x = layers.Activation("relu")(x)
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization()(x)
            x = layers.Activation("relu")(layers.Add()([x, shortcut]))
        if sequences:
            tokens = layers.Reshape((-1, x.shape[-1]))(x)
        else:
            tokens = one_token(layers.GlobalAveragePooling2D()(x))
        tokens = layers.Dropout(self.dropout)(tokens)
        tokens = layers.Dense(self.units)(tokens)
        return tokens, repeat_mask(known(image), tokens)


def augmentation(choice):
    """`"light"` or a layer of the user's -> a layer, active in training only."""
    if isinstance(choice, keras.layers.Layer):
        return choice
    fill = {"fill_mode": "nearest"}
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.04, **fill),
            layers.RandomTranslation(0.08, 0.08, **fill),
            layers.RandomZoom((-0.15, 0.1), **fill),
            layers.RandomContrast(0.2, value_range=(0, 1)),
        ],
        name="augmentation",
    )
