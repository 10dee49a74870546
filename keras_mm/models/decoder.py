"""Decoders from a code to an image, a sequence or a vector."""

import math

import keras
from keras import layers


def build_decoder(value, units, name):
    """Builds the second half of an autoencoder.

    Args:
        value: the `Input` whose tensor is reconstructed.
        units: int, length of the code.
        name: string, the model's name.

    Returns:
        `keras.Model` from `(batch, units)` to `(batch, *value.shape)`, in
        `float32`.

    Reference:
        Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep
        learning" (transposed convolutions); Odena et al. 2016, "Deconvolution
        and Checkerboard Artifacts" (why a kernel's size is a multiple of its
        stride).
    """
    code = keras.Input((units,), name="code")
    decode = {"image": _picture, "sequence": _sequence, "vector": _vector}[value.kind]
    return keras.Model(code, decode(code, value.shape), name=name)


def _picture(code, shape):
    height, width, channels = shape
    # Starts with 6 to 12 cells on the shorter side and doubles them in each step.
    doublings = max(0, int(math.log2(min(height, width) / 6)))
    rows, columns = (-(-side // 2**doublings) for side in (height, width))
    x = layers.Dense(rows * columns * 64, activation="relu")(code)
    x = layers.Reshape((rows, columns, 64))(x)
    for index in range(doublings):
        x = layers.Conv2DTranspose(
            max(16, 32 >> index), 4, strides=2, padding="same", activation="relu"
        )(x)
    down, right = x.shape[1] - height, x.shape[2] - width
    if down or right:
        x = layers.Cropping2D(((0, down), (0, right)))(x)
    # Pixels lie between 0 and 1.
    return layers.Conv2D(
        channels, 3, padding="same", activation="sigmoid", dtype="float32"
    )(x)


def _sequence(code, shape):
    length, channels = shape
    doublings = max(0, math.ceil(math.log2(length / 16)))
    steps = -(-length // 2**doublings)
    x = layers.Dense(steps * 64, activation="relu")(code)
    x = layers.Reshape((steps, 64))(x)
    for _ in range(doublings):
        x = layers.UpSampling1D(2)(x)
        x = layers.Conv1D(32, 5, padding="same", activation="relu")(x)
    if x.shape[1] > length:
        x = layers.Cropping1D((0, x.shape[1] - length))(x)
    return layers.Conv1D(channels, 5, padding="same", dtype="float32")(x)


def _vector(code, shape):
    x = layers.Dense(128, activation="relu")(code)
    return layers.Dense(*shape, dtype="float32")(x)
