"""Numbers and chunks in the bytes of a file, by TensorFlow graph operations.

What a file does not have raises `tf.errors.InvalidArgumentError`.
"""

import functools

# No file of interest has more; walking further would only cost time.
_MOST_CHUNKS = 10_000


def of_file(read):
    """Decorates a function of one encoded file: its graph is made once for all.

    Nor is it put into the graphs that call it: even in a branch that is not
    taken operations cost time.
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
    """Unsigned integers that follow each other -> `int64` tensor `(count,)`.

    Args:
        encoded: scalar string tensor.
        at: integer scalar, where the first byte is.
        count: int.
        size: int, bytes of each.
        is_big: bool, whether the highest byte comes first.
    """
    import tensorflow as tf

    values = tf.io.decode_raw(part(encoded, at, count * size), tf.uint8)
    # Raises where the file ends before.
    values = tf.cast(tf.reshape(values, [count, size]), tf.int64)
    powers = [256**power for power in range(size)]
    powers = tf.constant(powers[::-1] if is_big else powers, tf.int64)
    return tf.reduce_sum(values * powers, axis=1)


def number(encoded, at, size, is_big=False):
    """One unsigned integer of `size` bytes at a place, an `int64` scalar."""
    return numbers(encoded, at, 1, size, is_big)[0]


def byte_string(value, size=1):
    """An integer scalar -> a string of `size` bytes, the lowest first."""
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
    """Some bytes of a string; fewer where it ends before."""
    import tensorflow as tf

    # Their dtypes must be the same.
    at, length = tf.cast(at, tf.int64), tf.cast(length, tf.int64)
    return tf.strings.substr(encoded, at, length)


def contains(encoded, text):
    """Whether a scalar string holds some bytes anywhere; much quicker than a walk."""
    import tensorflow as tf

    parts = tf.raw_ops.StringSplitV2(input=encoded[tf.newaxis], sep=text, maxsplit=1)
    return parts.shape[1] > 1


def find_chunk(encoded, name, start, is_png=False):
    """Where the data of a file's first chunk of some name begin, and their length.

    Chunks are those of RIFF files, name and length in front of the data and an
    even length in all, or those of PNG files.

    Args:
        encoded: scalar string tensor.
        name: bytes, four of them.
        start: int, where the first chunk begins.
        is_png: bool, whether chunks are those of PNG files.

    Returns:
        Two `int64` scalars. Without such a chunk the second is 0.
    """
    import tensorflow as tf

    end = tf.cast(tf.strings.length(encoded), tf.int64)

    def chunk(at):
        """Its place, name and length; no name where the file ends before."""
        at = tf.minimum(at, end)
        head = tf.strings.join([part(encoded, at, 8), b"\0" * 8])
        if is_png:
            return at, part(head, 4, 4), number(head, 0, 4, is_big=True)
        return at, part(head, 0, 4), number(head, 4, 4)

    def goes_on(at, found, length, steps):
        return (at < end) & (found != name) & (steps < _MOST_CHUNKS)

    def following(at, found, length, steps):
        length += 12 if is_png else 8 + length % 2
        return *chunk(at + length), steps + 1

    start = tf.constant(start, tf.int64)
    at, found, length, _ = tf.while_loop(goes_on, following, [*chunk(start), 0])
    return at + 8, length * tf.cast(found == name, tf.int64)
