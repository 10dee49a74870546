"""Words and numbers that stand for a missing cell, besides the empty one."""

import numbers

import numpy as np

from .cells import (
    NUMBER,
    cells_in,
    only_item,
    to_name,
    to_number,
)
from .vocabulary import as_names

# Longer texts are no words.
_LONGEST = 1000


def words_of(missing):
    """A value or a list of them, as a user gives it -> sorted list of their names."""
    several = isinstance(missing, (list, tuple, set, frozenset))
    words = {_name(word) for word in (missing if several else [missing])}
    if None in words:
        raise ValueError(
            "`missing` is a list of texts or numbers that stand for a missing cell, "
            f"such as ['?', -999]. Received: missing={missing!r}"
        )
    return sorted(words)


def without_words(column, words, as_numbers=False):
    """A column whose cells that hold one of the words are None; others stay.

    Args:
        column: pandas Series.
        words: what `words_of` gave.
        as_numbers: bool, whether `"-999.00"` is -999, too.
    """
    import pandas as pd

    if not words:
        return column
    words = set(words)
    cells = [only_item(cell) for cell in cells_in(column)]
    wrong = [_name(cell) in words for cell in cells]
    if as_numbers:
        sizes = _sizes(words)
        wrong = [bad or _number(cell) in sizes for bad, cell in zip(wrong, cells)]
    if not any(wrong):
        return column
    cells = [None if bad else cell for bad, cell in zip(wrong, column)]
    return pd.Series(cells, dtype=object)


def raw_without_words(raw, value, words):
    """A raw batch in which the words are missing: what a request's cells go through.

    Numbers are compared as numbers, strings as the names that they are. TensorFlow
    graph ops.

    Args:
        raw: tensor, the raw form of an input.
        value: the `Input`.
        words: what `words_of` gave.
    """
    import tensorflow as tf

    if value.is_file or not words:
        # A file is no word: one that cannot be read is missing.
        return raw
    if value.raw_dtype == "string":
        raw = tf.convert_to_tensor(raw)
        is_short = tf.strings.length(raw) <= _LONGEST
        names = as_names(tf.strings.strip(tf.where(is_short, raw, "")))
        is_word = tf.reduce_any(names[..., None] == tf.constant(words), axis=-1)
        return tf.where(is_word & is_short, "", raw)
    if value.raw_shape or not _sizes(words):
        return raw
    # What has been float32 before is the word, too.
    sizes = _sizes(words)
    sizes = np.array([*sizes, *np.float32(sizes)], "float64")
    is_word = tf.reduce_any(tf.cast(raw, tf.float64)[..., None] == sizes, axis=-1)
    return tf.where(is_word, tf.constant(np.nan, raw.dtype), raw)


def raw_words(value, words):
    """The words that a request to an input may hold, as raw values of one cell.

    Args:
        value: the `Input`.
        words: what `words_of` gave.
    """
    if value.is_file:
        return []
    if value.raw_dtype == "string":
        return [word.encode("utf-8") for word in words]
    return [] if value.raw_shape else _sizes(words)


def _name(cell):
    """How a cell is written, without spaces around; None if it is no single value."""
    kinds = (str, bytes, numbers.Number, np.generic)
    if not isinstance(cell, kinds):
        return None
    if isinstance(cell, (str, bytes)) and len(cell) > _LONGEST:
        return None
    try:
        return to_name(to_name(cell).strip())
    except UnicodeDecodeError:
        return None


def _number(cell):
    try:
        return to_number(cell)
    except (TypeError, ValueError, OverflowError):
        return None


def _sizes(words):
    """The words that are numbers, as floats."""
    return [float(word) for word in sorted(words) if NUMBER.fullmatch(word)]
