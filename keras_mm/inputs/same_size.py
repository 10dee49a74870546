"""Layers that change pictures, and not their size."""

import keras


def check_same_size(layer, shape):
    """Raises a `ValueError` if a layer gives pictures of another size.

    Args:
        layer: Keras layer that takes pictures. One that does not say what it gives
            passes.
        shape: `(height, width, channels)` of the pictures.
    """
    try:
        given = tuple(layer.compute_output_shape((None, *shape)))
    except NotImplementedError:
        # Keras finds out by calling it, as far as it can be called yet.
        try:
            given = layer.compute_output_spec(keras.KerasTensor((None, *shape))).shape
        except Exception:
            return
    if given != (None, *shape):
        raise other_size(layer, shape, given[1:])


def other_size(layer, shape, given):
    """The error: an augmentation that gives pictures of another size."""
    return ValueError(
        "Augmentation acts in training only, so it must keep the size of pictures. "
        "Choose Image(size) as they are wanted, and layers such as RandomTranslation "
        "and RandomZoom in place of crops. Received: layer="
        f"{type(layer).__name__}, which makes {tuple(given)} of {tuple(shape)}"
    )
