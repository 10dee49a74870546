"""Augmentation layers must keep the size of images."""

import keras


def check_same_size(layer, shape):
    """Raises a `ValueError` if a layer returns images of another size.

    Args:
        layer: Keras layer that takes images. It passes if its output shape cannot
            be inferred.
        shape: `(height, width, channels)` of the images.
    """
    try:
        given = _shape_of(layer, (None, *shape))
    except Exception:
        return
    if given != (None, *shape):
        raise other_size(layer, shape, given[1:])


def _shape_of(layer, shape):
    """A layer's output shape, without a call where possible."""
    if isinstance(layer, keras.layers.Pipeline):
        # It cannot compute its output shape; on jax a symbolic call fails with crops.
        for part in layer.layers:
            shape = _shape_of(part, shape)
        return shape
    try:
        return tuple(layer.compute_output_shape(shape))
    except NotImplementedError:
        # Keras infers it by a symbolic call, where that is possible yet.
        return tuple(layer.compute_output_spec(keras.KerasTensor(shape)).shape)


def other_size(layer, shape, given):
    """The error for an augmentation that returns images of another size."""
    return ValueError(
        "Augmentation acts in training only, so it must keep the size of images. "
        "Set the size by Image(size), and replace crops by layers such as "
        "RandomTranslation and RandomZoom. Received: layer="
        f"{type(layer).__name__}, from {tuple(shape)} to {tuple(given)}"
    )
