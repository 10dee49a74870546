"""Encoded images -> pixels, in the TensorFlow graph, the same for training and
serving. JPEG, which can be downscaled as it is decoded, is in `Image`.
"""

import functools

from .bmp import decode_bmp
from .chunks import contains, find_chunk, number, of_file, part
from .gif import decode_gif
from .orientation import png_orientation, upright, webp_orientation
from .picture_limits import limited, on_white

# The first bytes of the formats that the graph decodes; anything else is tried as BMP.
STARTS = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG", "GIF": b"GIF8", "WEBP": b"RIFF"}
FORMATS = (*STARTS, "BMP")


def formats_of(raw):
    """The formats that some files may have, a tuple in the order of `FORMATS`.

    Args:
        raw: list of the bytes or paths (`str`) of files; `b""` is missing.
    """
    present = set()
    for value in raw:
        if isinstance(value, str) and value:
            with open(value, "rb") as file:
                value = file.read(4)
        if value:
            starts = STARTS.items()
            present.add(
                next((n for n, start in starts if value.startswith(start)), "BMP")
            )
    return tuple(name for name in FORMATS if name in present)


def decode_picture(encoded, formats):
    """A file of some formats -> `uint8` pixels `(height, width, 3)`.

    The pixels are upright, and white where the image is transparent.

    Raises `tf.errors.InvalidArgumentError` if the file has another format, is broken,
    or is larger than `picture_limits` allows.

    Args:
        encoded: scalar string tensor.
        formats: tuple, those of `FORMATS` that may come, without `"JPEG"`.
    """
    import tensorflow as tf

    decoders = {
        name: functools.partial(decode, encoded)
        for name, decode in (
            ("PNG", _decode_png),
            ("GIF", decode_gif),
            ("WEBP", _decode_webp),
            ("BMP", decode_bmp),
        )
    }
    if len(formats) == 1:
        return decoders[formats[0]]()
    # The last decoder gets everything else, and refuses it.
    starts = [STARTS.get(name, b"BM") for name in formats[:-1]]
    is_start = [tf.strings.substr(encoded, 0, len(start)) == start for start in starts]
    kind = tf.argmax([*is_start, True], output_type=tf.int32)
    return tf.switch_case(kind, [decoders[name] for name in formats])


@of_file
def _decode_png(encoded):
    """Takes up to 3 bytes per pixel, 7 with transparency."""
    import tensorflow as tf

    width, height = (number(encoded, at, 4, is_big=True) for at in (16, 20))
    encoded = limited(encoded, width, height)
    colour = number(encoded, 25, 1)

    # Colours or palette entries that are transparent.
    has_hole = tf.cond(
        contains(encoded, b"tRNS"),
        lambda: find_chunk(encoded, b"tRNS", 8, is_png=True)[1] > 0,
        lambda: tf.constant(False),
    )
    pixels = tf.cond(
        has_hole | (colour >= 4),
        lambda: on_white(tf.io.decode_png(encoded, channels=4)),
        lambda: tf.io.decode_png(encoded, channels=3),
    )
    return upright(pixels, png_orientation(encoded))


@of_file
def _decode_webp(encoded):
    import tensorflow as tf

    # Lossy (VP8), lossless (VP8L) and extended (VP8X).
    kind = tf.strings.substr(encoded, 12, 4)
    head = tf.strings.join([part(encoded, 0, 32), b"\0" * 32])
    sides = [
        number(head, 26, 4) % 2**14,
        number(head, 28, 2) % 2**14,
    ]
    packed = number(head, 21, 4)
    sides = tf.where(kind == b"VP8L", [packed % 2**14, packed // 2**14 % 2**14], sides)
    is_extended = kind == b"VP8X"
    sides = tf.where(is_extended, [number(head, 24, 3), number(head, 27, 3)], sides)
    sides += tf.cast(kind != b"VP8 ", tf.int64)
    is_animated = is_extended & (number(head, 20, 1) // 2 % 2 == 1)
    check = tf.debugging.Assert(
        (tf.strings.substr(encoded, 8, 4) == b"WEBP") & ~is_animated,
        ["no WebP image, or an animated one"],
    )
    with tf.control_dependencies([check]):
        encoded = limited(encoded, sides[0], sides[1])
    pixels = tf.io.decode_webp(encoded)
    pixels = on_white(tf.reshape(pixels, tf.shape(pixels)[1:]))
    return upright(pixels, webp_orientation(encoded))
