import keras
from keras import layers, ops

from ..inputs.same_size import check_same_size, other_size


@keras.saving.register_keras_serializable(package="keras_mm")
class Augmentation(layers.Layer):
    """Augments images at random, in training only.

    Keras's own random layers default to `training=True` when they are called alone.
    This layer defaults to inference.

    Examples:

    >>> layer = keras_mm.encoders.Augmentation("light")
    >>> pictures = np.random.rand(2, 8, 8, 3).astype("float32")
    >>> bool((np.array(layer(pictures)) == pictures).all())
    True

    Args:
        layer: `"light"` (mirroring, small shifts, rotations and zooms; padded with
            white), or a Keras layer that takes images and returns images of the
            same size.

    Call arguments:
        images: float tensor `(batch, height, width, channels)` of 0 to 1; a missing
            image is all NaN, and remains so.
    """

    def __init__(self, layer="light", **kwargs):
        super().__init__(**kwargs)
        if isinstance(layer, dict):
            layer = keras.saving.deserialize_keras_object(layer)
        self.layer = _light() if layer == "light" else layer

    def build(self, images_shape):
        """Builds the inner layer; refuses one that changes the images' size."""
        check_same_size(self.layer, images_shape[1:])
        if not self.layer.built:
            self.layer.build(images_shape)

    def call(self, images, training=False):
        """The images, augmented in training."""
        if not training:
            return images
        is_nan = ops.isnan(images)
        absent = ops.all(is_nan, axis=(1, 2, 3), keepdims=True)
        pixels = ops.where(is_nan, ops.zeros_like(images), images)
        changed = self.layer(pixels, training=True)
        if changed.shape[1:] != pixels.shape[1:]:
            raise other_size(self.layer, pixels.shape[1:], changed.shape[1:])
        return ops.where(absent, images, ops.cast(changed, images.dtype))

    def compute_output_shape(self, images_shape):
        """The same shape."""
        return images_shape

    def get_config(self):
        """The constructor's arguments."""
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}


def augmented(image, value):
    """An image's symbolic tensor, with the augmentation of its `Input`."""
    choice = getattr(value, "augmentation", None)
    # In half precision, pixels would be rounded in inference, too.
    return image if choice is None else Augmentation(choice, dtype="float32")(image)


def _light():
    fill = {"fill_mode": "constant", "fill_value": 1.0}
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.03, **fill),
            layers.RandomTranslation(0.08, 0.08, **fill),
            layers.RandomZoom((-0.1, 0.1), (-0.1, 0.1), **fill),
        ],
        name="light",
    )
