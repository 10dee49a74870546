"""The size limit of images; a header can claim far more than its file holds.

Larger images are unreadable, in a table and in a served model. They are rejected
before they are decoded.
"""

# 64 million pixels are 192 MB of RGB.
MAX_PIXELS = 64 * 2**20
# The maximum of JPEG. Resizing takes memory for each column.
MAX_SIDE = 2**16 - 1


def check_size(width, height):
    """Raises `ValueError` if an image is too large to be decoded."""
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ValueError(f"{width} x {height} pixels are too many")


def limited(encoded, width, height):
    """`encoded`, after an assertion that its image is not too large.

    TensorFlow graph ops.

    Args:
        encoded: scalar string tensor.
        width: integer scalar tensor, or one of several frames.
        height: the same.
    """
    import tensorflow as tf

    width, height = tf.cast(width, tf.int64), tf.cast(height, tf.int64)
    fits = (
        (tf.minimum(width, height) > 0)
        & (tf.maximum(width, height) <= MAX_SIDE)
        & (width * height <= MAX_PIXELS)
    )
    # Text only: if tensors were part of the message, TensorFlow would add a branch.
    check = tf.debugging.Assert(fits, ["no pixels, or too many"])
    with tf.control_dependencies([check]):
        return tf.identity(encoded)
