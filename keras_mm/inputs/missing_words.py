"""Words and numbers that stand for a missing cell, such as `"?"` and -999."""

import datetime
import numbers

import numpy as np

from .cells import (
    NUMBER,
    cells_in,
    only_item,
    to_name,
    to_number,
)
from .items import items_of
from .vocabulary import as_names, strip

# Longer texts, in bytes of UTF-8, are never words.
_LONGEST = 1000
_TEXTS = (str, bytes, bytearray, memoryview)


def words_of(missing):
    """A value or a list of them, as the user gives it -> sorted list of their names."""
    several = isinstance(missing, (list, tuple, set, frozenset))
    words = {_name(word) for word in (missing if several else [missing])}
    if None in words:
        raise ValueError(
            "`missing` is a list of texts or numbers that stand for a missing cell, "
            f"such as ['?', -999]. Received: missing={missing!r}"
        )
    return sorted(words)


def without_words(column, words, value=None):
    """A column in which cells that hold one of the words are replaced by None.

    In columns of numbers and dates, words that are numbers are compared as numbers
    (`"-999.00"` is -999); everything else is compared as names. In lists of texts,
    files or labels, items that are words become None; lists of numbers are left
    alone.

    Args:
        column: pandas Series.
        words: the result of `words_of`.
        value: the `Input` or target that reads the column; None: not known.
    """
    import pandas as pd

    if not words:
        return column
    cells, is_word = list(cells_in(column)), _Words(words, value)
    kept = [None if is_word(cell) else cell for cell in cells]
    items = _reader_of_items(value)
    if items:
        kept = [_without_items(cell, items, is_word) for cell in kept]
    if all(new is old for new, old in zip(kept, cells)):
        return column
    return pd.Series(kept, dtype=object, index=column.index)


def raw_without_words(raw, value, words):
    """A raw batch in which the words are missing values, for requests.

    Numbers are compared as numbers, strings as names. TensorFlow graph ops.

    Args:
        raw: tensor, the raw form of an input.
        value: the `Input`.
        words: the result of `words_of`.
    """
    import tensorflow as tf

    if value.is_file or not words:
        # A file cannot be a word, and an unreadable one is missing anyway.
        return raw
    if value.raw_dtype == "string":
        raw = tf.convert_to_tensor(raw)
        is_short = tf.strings.length(raw) <= _LONGEST
        names = as_names(strip(tf.where(is_short, raw, "")))
        is_word = tf.reduce_any(names[..., None] == tf.constant(words), axis=-1)
        return tf.where(is_word & is_short, "", raw)
    sizes = _with_narrow(_sizes(words))
    if value.raw_shape or not sizes:
        return raw
    raw = raw if tf.is_tensor(raw) else tf.convert_to_tensor(np.asarray(raw))
    if not raw.dtype.is_floating:
        raw = tf.cast(raw, tf.float64)
    is_word = tf.reduce_any(tf.cast(raw, tf.float64)[..., None] == sizes, axis=-1)
    return tf.where(is_word, tf.constant(np.nan, raw.dtype), raw)


def raw_words(value, words):
    """The words that a request may hold for an input, as raw values of one cell.

    Args:
        value: the `Input`.
        words: the result of `words_of`.
    """
    if value.is_file:
        return []
    if value.raw_dtype == "string":
        return [word.encode("utf-8") for word in words]
    return [] if value.raw_shape else _sizes(words)


def _name(cell):
    """A cell's name without spaces around it; None if it is not a single value."""
    kinds = (numbers.Number, np.generic, datetime.date)
    if not isinstance(cell, (*_TEXTS, *kinds)):
        return None
    if isinstance(cell, _TEXTS) and len(cell) > _LONGEST:
        return None
    try:
        text = to_name(cell)
        if not text.isascii() and len(text.encode("utf-8")) > _LONGEST:
            return None
        return to_name(text.strip())
    except UnicodeError:
        return None


def _number(cell):
    try:
        return to_number(cell)
    except (TypeError, ValueError, OverflowError):
        return None


def _sizes(words):
    """The words that are numbers, as floats."""
    return [float(word) for word in sorted(words) if NUMBER.fullmatch(word)]


def _with_narrow(sizes):
    """Numbers, and their `float32` values, which files and requests may hold.

    -99.9 is -99.90000152587890625 in `float32`. Integers only match themselves:
    100000000 is not 99999999, though both are one number in `float32`.
    """
    with np.errstate(over="ignore"):
        narrow = [float(np.float32(size)) for size in sizes]
    return sizes + [size for size in narrow if not size.is_integer()]


class _Words:
    """Whether a cell of a column is one of some words."""

    def __init__(self, words, value):
        self.sizes, self.words = (), set(words)
        if getattr(value, "kind", None) == "number":
            self.sizes = set(_with_narrow(_sizes(words)))
            self.words = {word for word in words if not NUMBER.fullmatch(word)}
        # A list of one is its item where a cell is one value.
        is_list = getattr(value, "raw_shape", ()) or _reader_of_items(value)
        self.is_single = not is_list

    def __call__(self, cell):
        cell = only_item(cell) if self.is_single else cell
        is_word = bool(self.words) and _name(cell) in self.words
        return is_word or (bool(self.sizes) and _number(cell) in self.sizes)


def _reader_of_items(value):
    """The function from a cell to its list of items; None if cells are not lists."""
    if value is None:
        return _items_of_texts
    if getattr(value, "num_items", None):
        return items_of
    return getattr(value, "items_of", None)


def _items_of_texts(cell):
    items = items_of(cell)
    has_numbers = any(isinstance(item, numbers.Number) for item in items)
    return [] if has_numbers else items


def _without_items(cell, items, is_word):
    """A cell that is a list, with None in place of the items that are words."""
    try:
        held = items(cell)
    except UnicodeError:
        return cell
    kept = [None if is_word(item) else item for item in held]
    return cell if all(new is old for new, old in zip(kept, held)) else kept
