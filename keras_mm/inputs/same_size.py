"""Augmentation layers must keep the size of pictures."""

import keras


def check_same_size(layer, shape):
    """Raises a `ValueError` if a layer returns pictures of another size.

    Args:
        layer: Keras layer that takes pictures. It passes if its output shape cannot
            be told.
        shape: `(height, width, channels)` of the pictures.
    """
    try:
        given = _shape_of(layer, (None, *shape))
    except Exception:
        return
    if given != (None, *shape):
        raise other_size(layer, shape, given[1:])


def _shape_of(layer, shape):
    """The shape of what a layer makes of a tensor, without a call where possible."""
    if isinstance(layer, keras.layers.Pipeline):
        # It does not say; on jax its symbolic call fails where crops are in it.
        for part in layer.layers:
            shape = _shape_of(part, shape)
        return shape
    try:
        return tuple(layer.compute_output_shape(shape))
    except NotImplementedError:
        # Keras infers it by a symbolic call, where that is possible yet.
        return tuple(layer.compute_output_spec(keras.KerasTensor(shape)).shape)


def other_size(layer, shape, given):
    """The error for an augmentation that returns pictures of another size."""
    return ValueError(
        "Augmentation acts in training only, so it must keep the size of pictures. "
        "Choose Image(size) as they are wanted, and layers such as RandomTranslation "
        "and RandomZoom in place of crops. Received: layer="
        f"{type(layer).__name__}, which makes {tuple(given)} of {tuple(shape)}"
    )
