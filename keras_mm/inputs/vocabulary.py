"""Strings to ids in a TensorFlow graph."""

from .cells import EXPONENT, SPELLINGS

# White space, as `str.strip` removes it.
_SPACE = r"[\pZ\x09-\x0d\x1c-\x1f\x{85}]+"


def lookup_table(vocabulary, first=2, unknown=1):
    """A table from strings to ids: the first word is 2, unknown ones are 1.

    The vocabulary becomes part of the graph, so that an exported model needs no
    other files.
    """
    import numpy as np
    import tensorflow as tf

    # A table must not be empty; no word is.
    words = list(vocabulary) or [""]
    keys = np.array([word.encode("utf-8") for word in words], dtype=object)
    # A graph that is being traced must not own the table.
    with tf.init_scope():
        return tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(keys, dtype=tf.string, shape=[len(keys)]),
                tf.range(first, len(keys) + first, dtype=tf.int32),
            ),
            default_value=unknown,
        )


def as_names(raw):
    """Strings normalised as names, as `to_name` does it in Python.

    Args:
        raw: string tensor.
    """
    import tensorflow as tf

    for pattern, rest in SPELLINGS:
        raw = tf.strings.regex_replace(raw, pattern, rest)
    is_large = tf.strings.regex_full_match(raw, EXPONENT)
    size = tf.strings.to_number(tf.where(is_large, raw, "0"), tf.float64)
    return tf.where(is_large, tf.strings.as_string(size, precision=0), raw)


def strip(raw):
    """Strings without leading and trailing white space, like `str.strip` in Python.

    Args:
        raw: string tensor.
    """
    import tensorflow as tf

    return tf.strings.regex_replace(raw, f"^{_SPACE}|{_SPACE}$", "")


def drop_invalid(raw):
    """Strings that are not UTF-8 become `""`, which is missing, as in a table.

    Args:
        raw: string tensor.
    """
    import tensorflow as tf

    # Decoding leaves out what is invalid.
    decoded = tf.strings.unicode_transcode(raw, "UTF-8", "UTF-8", errors="ignore")
    return tf.where(raw == decoded, raw, "")
