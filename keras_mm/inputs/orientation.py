"""The Exif orientation of an image, read in the TensorFlow graph.

An orientation is a number from 1 (upright) to 8, as Exif defines them. Broken Exif
data, and those without an orientation, give 1: no image is unreadable for it.
"""

from .chunks import contains, find_chunk, of_file, part

_EXIF = b"Exif\0\0"
# The first directory lies within one JPEG segment.
_MOST_BYTES = 2**16
_MOST_SEGMENTS = 1000


@of_file
def jpeg_orientation(encoded):
    """The orientation of a JPEG file, scalar string -> `int32` scalar.

    It is read from the first Exif segment before the pixels.
    """
    import tensorflow as tf

    end = tf.cast(tf.strings.length(encoded), tf.int64)

    def segment(at):
        """The first 10 bytes of a segment, and four of them as numbers."""
        at = tf.minimum(at, end)
        head = part(encoded, at, 10)
        # Padded, so that the end of a file is no special case.
        values = tf.io.decode_raw(tf.strings.join([head, b"\0" * 4]), tf.uint8)
        return at, head, tf.cast(values[:4], tf.int64)

    def is_exif(head, values):
        marks = (values[0] == 0xFF) & (values[1] == 0xE1)
        return marks & (tf.strings.substr(head, 4, 6) == _EXIF)

    def continues(at, head, values, steps):
        # Until the scan begins, the file ends, or no further segment follows.
        is_other = (values[1] != 0xDA) & (values[1] != 0xD9) & ~is_exif(head, values)
        return (values[0] == 0xFF) & is_other & (steps < _MOST_SEGMENTS)

    def following(at, head, values, steps):
        # A marker may be preceded by any number of 0xff.
        length = tf.where(values[1] == 0xFF, one, 2 + 256 * values[2] + values[3])
        return *segment(at + length), steps + 1

    start, one = tf.constant(2, tf.int64), tf.constant(1, tf.int64)
    at, head, values, _ = tf.while_loop(continues, following, [*segment(start), 0])
    length = (256 * values[2] + values[3] - 2) * tf.cast(
        is_exif(head, values), tf.int64
    )
    return _of_exif(part(encoded, at + 4, length))


def has_exif(encoded):
    """Whether a JPEG file, scalar string, may have Exif data; a fast check."""
    return contains(encoded, _EXIF)


def png_orientation(encoded):
    """The orientation of a PNG file, scalar string -> `int32` scalar."""
    return _if_contained(encoded, b"eXIf", _in_png)


def webp_orientation(encoded):
    """The orientation of a WebP file, scalar string -> `int32` scalar."""
    return _if_contained(encoded, b"EXIF", _in_webp)


def is_turned(orientation):
    """Whether width and height of the file's pixels are exchanged."""
    return orientation >= 5


def upright(pixels, orientation):
    """Pixels `(height, width, channels)` as the file has them -> upright."""
    import tensorflow as tf

    def step(mirrored):
        mirrored = tf.reduce_any(orientation == tf.constant(mirrored))
        return tf.where(mirrored, -1, 1)

    def turned():
        turned = tf.cond(
            is_turned(orientation),
            lambda: tf.transpose(pixels, [1, 0, 2]),
            lambda: pixels,
        )
        return turned[:: step([3, 4, 7, 8]), :: step([2, 3, 6, 7])]

    return tf.cond(orientation > 1, turned, lambda: pixels)


def _if_contained(encoded, text, read):
    """`read(encoded)` if the file contains `text` at all, else 1."""
    import tensorflow as tf

    return tf.cond(
        contains(encoded, text), lambda: read(encoded), lambda: tf.constant(1)
    )


@of_file
def _in_png(encoded):
    return _of_exif(part(encoded, *find_chunk(encoded, b"eXIf", 8, is_png=True)))


@of_file
def _in_webp(encoded):
    return _of_exif(part(encoded, *find_chunk(encoded, b"EXIF", 12)))


@of_file
def _of_exif(data):
    """The orientation in Exif data."""
    import tensorflow as tf

    has_mark = tf.strings.substr(data, 0, 6) == _EXIF
    data = tf.strings.substr(data, tf.where(has_mark, 6, 0), _MOST_BYTES)
    order = tf.strings.substr(data, 0, 4)
    is_big = order == b"MM\0*"
    values = tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int32)
    size = tf.size(values)
    values = tf.pad(values, [[0, 16]])

    def short(pair):
        """Two bytes, `(..., 2)` -> the number."""
        high, low = pair[..., 0], pair[..., 1]
        return tf.where(is_big, 256 * high + low, high + 256 * low)

    # Offsets beyond 64 kB are not followed.
    start = tf.where(is_big, short(values[6:8]), short(values[4:6]))
    start = tf.where((start >= 8) & (start < size), start, size)
    count = tf.minimum(short(values[start : start + 2]), (size - start - 2) // 12)
    count = tf.maximum(count, 0)
    entries = values[start + 2 : start + 2 + 12 * count]
    entries = tf.reshape(entries, [-1, 12])
    kind = short(entries[:, 2:4])
    # A number of two bytes, or the lower half of one of four.
    is_long = is_big & (kind == 4)
    value = tf.where(is_long, short(entries[:, 10:12]), short(entries[:, 8:10]))
    is_orientation = (short(entries[:, :2]) == 0x0112) & ((kind == 3) | (kind == 4))
    result = tf.concat([[1], tf.boolean_mask(value, is_orientation)], 0)[-1]
    is_valid = (result >= 1) & (result <= 8) & (is_big | (order == b"II*\0"))
    return tf.where(is_valid, result, 1)
