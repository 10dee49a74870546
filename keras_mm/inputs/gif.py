"""GIF files -> pixels of the first frame, in the TensorFlow graph.

`tf.io.decode_gif` unpacks all frames, each as large as its header claims, and
turns transparent pixels black.
"""

from .chunks import byte_string, number, numbers, of_file, part
from .picture_limits import limited

# Blocks have up to 255 bytes: enough for 30 MB. Each takes time, and requests may
# come from strangers.
_MOST_BLOCKS = 2**17


@of_file
def decode_gif(encoded):
    """A GIF file, scalar string -> `uint8` pixels `(height, width, 3)`.

    Transparent pixels, and those that the frame does not cover, become white;
    without transparency the latter have the first colour of the palette.
    """
    import tensorflow as tf

    def byte(at):
        return number(encoded, at, 1)

    def table(flags, at):
        """The colour table whose size a byte of flags gives."""
        size = 3 * 2 ** (flags % 8 + 1)
        return part(encoded, at, size * tf.cast(flags >= 128, tf.int64))

    def skip(at, steps):
        """The offset after a chain of blocks, each with its length in front.

        Also the number of blocks so far, counting on from `steps`.
        """
        at, length, steps = tf.while_loop(
            lambda at, length, steps: (length > 0) & (steps < _MOST_BLOCKS),
            lambda at, length, steps: (
                at + 1 + length,
                byte(at + 1 + length),
                steps + 1,
            ),
            [at, byte(at), steps + 1],
        )
        fine = (length == 0) & (steps <= _MOST_BLOCKS)
        check = tf.debugging.Assert(fine, ["a GIF with too many blocks"])
        with tf.control_dependencies([check]):
            return at + 1, tf.identity(steps)

    def extension(at, transparent, steps):
        # The graphic control extension gives the transparent colour.
        head = numbers(encoded, at, 7, 1)
        has_transparency = (head[1] == 0xF9) & (head[3] % 2 == 1)
        at, steps = skip(at + 2, steps)
        return at, tf.where(has_transparency, head[6], transparent), steps

    canvas = numbers(encoded, 6, 2, 2)
    flags = byte(10)
    shared = table(flags, 13)
    at = 13 + tf.cast(tf.strings.length(shared), tf.int64)
    at, transparent, steps = tf.while_loop(
        lambda at, transparent, steps: byte(at) == 0x21,
        extension,
        [at, tf.constant(-1, tf.int64), 0],
    )
    corner_and_size = numbers(encoded, at + 1, 4, 2)
    corner, size = corner_and_size[:2], corner_and_size[2:]
    own_flags = byte(at + 9)
    # A frame that is larger than the canvas makes it larger.
    whole = tf.maximum(canvas, corner + size)
    own = table(own_flags, at + 10)
    colours = tf.where(own == "", shared, own)
    check = tf.debugging.Assert(
        (byte(at) == 0x2C) & (colours != ""),
        ["a GIF without a frame, or without colours"],
    )
    with tf.control_dependencies([check]):
        encoded = limited(encoded, whole[0], whole[1])
    start = at + 10 + tf.cast(tf.strings.length(own), tf.int64)
    end, _ = skip(start + 1, steps)
    length = tf.cast(tf.strings.length(colours), tf.int64)
    has_hole = (transparent >= 0) & (3 * transparent < length)
    hole = 3 * transparent * tf.cast(has_hole, tf.int64)
    holed = tf.strings.join(
        [part(colours, 0, hole), b"\xff\xff\xff", part(colours, hole + 3, length)]
    )
    colours = tf.where(has_hole, holed, colours)
    outside = tf.where(transparent >= 0, b"\xff\xff\xff", part(colours, 0, 3))
    flags = tf.where(own == "", flags, own_flags) % 8
    interlaced = own_flags // 64 % 2 * 64
    box = part(encoded, at + 5, 4)
    frame = tf.strings.join(
        [
            *(b"GIF89a", box, byte_string(128 + flags), b"\0\0", colours),
            *(b",\0\0\0\0", box, byte_string(interlaced)),
            *(part(encoded, start, end - start), b";"),
        ]
    )
    pixels = tf.io.decode_gif(frame)
    pixels = tf.reshape(pixels, tf.shape(pixels)[1:])

    def on_canvas():
        colour = tf.io.decode_raw(outside, tf.uint8)
        before, after = corner[::-1], (whole - corner - size)[::-1]
        padding = tf.pad(tf.stack([before, after], axis=1), [[0, 1], [0, 0]])
        # Unsigned bytes wrap around, and back again.
        return colour + tf.pad(pixels - colour, padding)

    fills = tf.reduce_all(whole == size)
    return tf.cond(fills, lambda: pixels, on_canvas)
