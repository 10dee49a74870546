"""Numbers and chunks in the bytes of a file, by TensorFlow graph operations.

Reading beyond the end of a file raises `tf.errors.InvalidArgumentError`.
"""

import functools

# No real file has more; going on would only waste time.
_MOST_CHUNKS = 10_000


def of_file(read):
    """Decorates a function of one encoded file: its graph is traced only once.

    It is not inlined into the graphs that call it: operations cost time even in a
    branch that is not taken.
    """

    @functools.cache
    def graph():
        import tensorflow as tf

        return tf.function(
            read,
            input_signature=[tf.TensorSpec([], tf.string)],
            autograph=False,
            experimental_attributes={"_noinline": True},
        )

    @functools.wraps(read)
    def call(encoded):
        return graph()(encoded)

    return call


def numbers(encoded, at, count, size, is_big=False):
    """Consecutive unsigned integers -> `int64` tensor `(count,)`.

    Args:
        encoded: scalar string tensor.
        at: integer scalar, offset of the first byte.
        count: int.
        size: int, bytes per integer.
        is_big: bool, whether they are big-endian.
    """
    import tensorflow as tf

    values = tf.io.decode_raw(part(encoded, at, count * size), tf.uint8)
    # Raises if the file is too short.
    values = tf.cast(tf.reshape(values, [count, size]), tf.int64)
    powers = [256**power for power in range(size)]
    powers = tf.constant(powers[::-1] if is_big else powers, tf.int64)
    return tf.reduce_sum(values * powers, axis=1)


def number(encoded, at, size, is_big=False):
    """One unsigned integer of `size` bytes at an offset, an `int64` scalar."""
    return numbers(encoded, at, 1, size, is_big)[0]


def byte_string(value, size=1):
    """An integer scalar -> a string of `size` bytes, little-endian."""
    import tensorflow as tf

    value, each = tf.cast(value, tf.int64), bytes(range(256))
    one = tf.constant(1, tf.int64)
    return tf.strings.join(
        [
            tf.strings.substr(each, value // 256**place % 256, one)
            for place in range(size)
        ]
    )


def part(encoded, at, length):
    """A slice of the bytes of a string; shorter at its end."""
    import tensorflow as tf

    # Their dtypes must be the same.
    at, length = tf.cast(at, tf.int64), tf.cast(length, tf.int64)
    return tf.strings.substr(encoded, at, length)


def contains(encoded, text):
    """Whether a scalar string contains some bytes; faster than a loop over chunks."""
    import tensorflow as tf

    parts = tf.raw_ops.StringSplitV2(input=encoded[tf.newaxis], sep=text, maxsplit=1)
    return parts.shape[1] > 1


def find_chunk(encoded, name, start, is_png=False):
    """Offset and length of the data of the first chunk with some name.

    RIFF chunks have name and length in front of the data and are padded to an even
    length; PNG chunks have the length first and a checksum at the end.

    Args:
        encoded: scalar string tensor.
        name: bytes, four of them.
        start: int, offset of the first chunk.
        is_png: bool, whether the chunks are those of a PNG file.

    Returns:
        Two `int64` scalars. The length is 0 if there is no such chunk.
    """
    import tensorflow as tf

    end = tf.cast(tf.strings.length(encoded), tf.int64)

    def chunk(at):
        """Its offset, name and length; no name beyond the end of the file."""
        at = tf.minimum(at, end)
        head = tf.strings.join([part(encoded, at, 8), b"\0" * 8])
        if is_png:
            return at, part(head, 4, 4), number(head, 0, 4, is_big=True)
        return at, part(head, 0, 4), number(head, 4, 4)

    def continues(at, kind, length, steps):
        return (at < end) & (kind != name) & (steps < _MOST_CHUNKS)

    def following(at, kind, length, steps):
        length += 12 if is_png else 8 + length % 2
        return *chunk(at + length), steps + 1

    start = tf.constant(start, tf.int64)
    at, kind, length, _ = tf.while_loop(continues, following, [*chunk(start), 0])
    return at + 8, length * tf.cast(kind == name, tf.int64)
