"""GIF files -> pixels of the first frame, in the TensorFlow graph.

`tf.io.decode_gif` unpacks all frames, each as large as it claims to be, and
makes black what is transparent.
"""

from .chunks import byte_string, number, numbers, of_file, part
from .picture_sizes import limited

# Blocks have up to 255 bytes, so that this is enough for 30 MB. Each takes time,
# and strangers may send as many as they like.
_MOST_BLOCKS = 2**17


@of_file
def decode_gif(encoded):
    """A GIF file, scalar string -> `uint8` pixels `(height, width, 3)`.

    What is transparent, and what the frame leaves out, becomes white; without
    transparency the latter has the first colour.
    """
    import tensorflow as tf

    def byte(at):
        return number(encoded, at, 1)

    def table(flags, at):
        """The colour table that a byte of flags announces."""
        size = 3 * 2 ** (flags % 8 + 1)
        return part(encoded, at, size * tf.cast(flags >= 128, tf.int64))

    def skip(at, steps):
        """The place behind a chain of blocks, each with its length in front.

        Also how many steps have been taken, `steps` of them before.
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
        check = tf.debugging.Assert(fine, ["a GIF of too many blocks"])
        with tf.control_dependencies([check]):
            return at + 1, tf.identity(steps)

    def extension(at, transparent, steps):
        # One kind of them says which colour stands for nothing.
        head = numbers(encoded, at, 7, 1)
        says = (head[1] == 0xF9) & (head[3] % 2 == 1)
        at, steps = skip(at + 2, steps)
        return at, tf.where(says, head[6], transparent), steps

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
        (byte(at) == 0x2C) & (colours != ""), ["a GIF without a frame, or colours"]
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
        # Numbers of 8 bits run over, and back again.
        return colour + tf.pad(pixels - colour, padding)

    fills = tf.reduce_all(whole == size)
    return tf.cond(fills, lambda: pixels, on_canvas)
