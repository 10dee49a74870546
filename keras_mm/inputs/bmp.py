"""BMP files -> pixels, in the TensorFlow graph.

`tf.io.decode_bmp` reads the indices into a palette as grey values.
"""

from .chunks import number, numbers, of_file, part
from .picture_limits import limited, on_white

# Bits per pixel of the uncompressed files that are decoded; up to 8 bits are
# indices into a palette.
BMP_BITS = (1, 4, 8, 24, 32)
# Of the files with colour masks, only those with the usual order of colours.
_ALPHA_MASK = b"\0\0\0\xff"
BMP_MASKS = b"\0\0\xff\0\0\xff\0\0\xff\0\0\0"


@of_file
def decode_bmp(encoded):
    """A BMP file, scalar string -> `uint8` pixels `(height, width, 3)`."""
    import tensorflow as tf

    start, header, width, height = tf.unstack(numbers(encoded, 10, 4, 4))
    height = tf.where(height < 2**31, height, height - 2**32)
    bits, compression = number(encoded, 28, 2), number(encoded, 30, 4)
    has_masks = compression == 3
    # Padded: the smallest files are shorter than this.
    head = tf.strings.join([part(encoded, 0, 70), b"\0" * 70])
    is_supported = (
        (part(encoded, 0, 2) == b"BM")
        & (header >= 40)
        & tf.reduce_any(bits == tf.constant(BMP_BITS, tf.int64))
        & ((compression == 0) | (has_masks & (bits == 32)))
        & (~has_masks | (part(head, 54, 12) == BMP_MASKS))
    )
    check = tf.debugging.Assert(is_supported, ["an unsupported kind of BMP"])
    with tf.control_dependencies([check]):
        encoded = limited(encoded, width, tf.abs(height))
    step = tf.where(height > 0, -1, 1)  # the lowest row comes first, usually
    height = tf.abs(height)
    # Rows are padded to multiples of four bytes.
    stride = (width * bits + 31) // 32 * 4
    rows = tf.io.decode_raw(part(encoded, start, stride * height), tf.uint8)
    rows = tf.reshape(rows, [height, stride])[::step]

    def from_palette():
        used, most = number(encoded, 46, 4), 2**bits
        used = tf.where(used == 0, most, tf.minimum(used, most))
        colours = tf.io.decode_raw(part(encoded, 14 + header, 4 * used), tf.uint8)
        colours = tf.reshape(colours, [-1, 4])[:, 2::-1]
        # Indices beyond the palette are black, as in other decoders.
        colours = tf.pad(colours, [[0, 256 - tf.shape(colours)[0]], [0, 0]])
        shifts = tf.cast(tf.range(8 - bits, -1, -bits), tf.uint8)
        places = tf.bitwise.right_shift(rows[..., tf.newaxis], shifts)
        places = tf.bitwise.bitwise_and(places, tf.cast(most - 1, tf.uint8))
        places = tf.reshape(places, [height, -1])[:, :width]
        return tf.gather(colours, tf.cast(places, tf.int32))

    def from_colours():
        size = bits // 8
        pixels = tf.reshape(rows[:, : width * size], [height, width, size])
        # Short headers have no mask for transparency.
        has_alpha = has_masks & (header >= 56) & (part(head, 66, 4) == _ALPHA_MASK)
        # Blue comes first.
        places = tf.constant([2, 1, 0, 3])[: tf.where(has_alpha, 4, 3)]
        return tf.gather(pixels, places, axis=2)

    return on_white(tf.cond(bits <= 8, from_palette, from_colours))
