"""WAV files -> samples, in the TensorFlow graph."""

from .chunks import byte_string, find_chunk, number, of_file, part

# Programs that write into a pipe do not know the length: FFmpeg writes 2**32 - 1
# bytes, others a little less than 2**31, or 0.
_UNKNOWN = 2**31 - 2**16


def is_unknown(length, riff, start):
    """Whether a WAV file's header leaves the length open: samples go on to its end.

    Args:
        length: int, or tensor, bytes of samples in the header.
        riff: the same, of the whole file.
        start: the same, offset of the samples.
    """
    # 0 means open if the length of the whole file ends before the samples, too.
    return (length >= _UNKNOWN) | ((length == 0) & (riff + 8 <= start))


@of_file
def decode_wav(encoded):
    """A WAV file of 16 bits, scalar string -> samples and rate.

    `tf.audio.decode_wav` trusts the lengths in a header, and does not know that
    chunks of odd lengths are padded.

    Returns:
        `float32` tensor `(samples, channels)`, and an `int32` scalar.
    """
    import tensorflow as tf

    form, form_length = find_chunk(encoded, b"fmt ", 12)
    start, length = find_chunk(encoded, b"data", 12)
    left = tf.cast(tf.strings.length(encoded), tf.int64) - start
    block = number(encoded, form + 12, 2)
    unknown = is_unknown(length, number(encoded, 4, 4), start)
    length = tf.where(unknown, left, length)
    check = tf.debugging.Assert(
        (part(encoded, 0, 4) == b"RIFF")
        & (part(encoded, 8, 4) == b"WAVE")
        & (form_length >= 16)
        & (block > 0)
        & (length <= left),
        ["not a WAV file, or a truncated one"],
    )
    with tf.control_dependencies([check]):
        length -= length % tf.maximum(block, 1)
    plain = tf.strings.join(
        [
            *(b"RIFF", byte_string(36 + length, 4), b"WAVEfmt \x10\0\0\0"),
            *(part(encoded, form, 16), b"data", byte_string(length, 4)),
            part(encoded, start, length),
        ]
    )
    return tf.audio.decode_wav(plain)


def resample(samples, ratio):
    """Samples `(samples, channels)` -> `ratio` times as many, in the graph.

    The spectrum is cut off or filled up with zeros (the Fourier method), as
    `scipy.signal.resample` does.

    Args:
        samples: `float32` tensor `(samples, channels)`.
        ratio: `float64` scalar tensor.
    """
    import tensorflow as tf

    old = tf.shape(samples)[0]
    new = tf.cast(tf.round(tf.cast(old, tf.float64) * ratio), tf.int32)
    new = tf.maximum(new, 1)
    spectrum = tf.signal.rfft(tf.transpose(samples))
    # The highest frequency of an even length stands for itself and its mirror
    # image: one of them is lost in a shorter sound, or halves in a longer one.
    shorter = tf.minimum(old, new)
    spectrum = spectrum[:, : shorter // 2 + 1]
    highest = tf.where(new < old, 2.0, tf.where(new > old, 0.5, 1.0))
    highest = tf.where(shorter % 2 == 0, highest, 1.0)
    scale = tf.concat([tf.ones([shorter // 2]), highest[tf.newaxis]], 0)
    spectrum *= tf.cast(scale, tf.complex64)
    resampled = tf.transpose(tf.signal.irfft(spectrum, [new]))
    return resampled * tf.cast(new, tf.float32) / tf.cast(old, tf.float32)
