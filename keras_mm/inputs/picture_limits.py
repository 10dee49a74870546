"""What decoders of images share: the size limit, and transparency.

A header can claim far more than its file holds. Larger images are unreadable, in a table
and in a served model. They are rejected before they are decoded.
"""

# 64 million pixels are 192 MB of RGB.
MAX_PIXELS = 64 * 2**20
# The maximum of JPEG. Resizing takes memory for each column.
MAX_SIDE = 2**16 - 1
# Pixels that are blended at a time.
_BLOCK = 2**17


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


def on_white(pixels):
    """`uint8` pixels with or without an alpha channel -> `(height, width, 3)`.

    A few rows at a time: floats of a whole image would take 16 bytes per pixel.
    """
    import tensorflow as tf

    def laid():
        shape = tf.shape(pixels)
        step = tf.maximum(_BLOCK // shape[1], 1)

        def blend(row, blended):
            rows = tf.cast(pixels[row : row + step], tf.float32)
            alpha = rows[..., 3:] / 255.0
            rows = rows[..., :3] * alpha + 255.0 * (1.0 - alpha)
            rows = tf.cast(tf.round(rows), tf.uint8)
            places = tf.range(row, tf.minimum(row + step, shape[0]))
            # Other operations would copy the whole image each time.
            blended = tf.raw_ops.InplaceUpdate(x=blended, i=places, v=rows)
            return row + step, blended

        return tf.while_loop(
            lambda row, _: row < shape[0],
            blend,
            [0, tf.zeros([shape[0], shape[1], 3], tf.uint8)],
            shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, None, 3])],
            parallel_iterations=1,
        )[1]

    if pixels.shape[2] is not None:
        return laid() if pixels.shape[2] == 4 else pixels
    # With some decoders the number of channels is known only at run time.
    return tf.cond(tf.shape(pixels)[2] == 4, laid, lambda: pixels)
