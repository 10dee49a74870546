"""Texts -> words, and the n-grams of words and characters, by TensorFlow operations."""

import collections

from .word_pieces import without_accents

# Letters, marks, digits and symbols make words; everything else separates them.
# In scripts written without spaces, each character is a word; so is an emoji.
_SEPARATORS = r"[^\p{L}\p{M}\p{N}\p{So}]+"
_SINGLE = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{So}])"
_CHUNK = 512
# The rest of a text is not read: as n-grams, a request of megabytes would take
# gigabytes.
_MOST_CHARACTERS = 100_000
_WIDTHS = (3, 4, 5)


def beginnings(texts):
    """Strings `(batch,)`, cut to the number of characters that are read."""
    import tensorflow as tf

    return tf.strings.substr(texts, 0, _MOST_CHARACTERS, unit="UTF8_CHAR")


def chunks_of(texts):
    """Yields tensors of the beginnings of some texts, a chunk at a time."""
    for start in range(0, len(texts), _CHUNK):
        yield beginnings(texts[start : start + _CHUNK])


def standardized(texts, standardize):
    """Strings normalised by the rule `standardize` of `Text`."""
    import tensorflow as tf

    if standardize == "lower_and_strip_accents":
        texts = without_accents(texts)
    if standardize is not None:
        texts = tf.strings.lower(texts, encoding="utf-8")
    return texts


def words_of(texts, standardize):
    """Strings `(batch,)` -> ragged words `(batch, None)`."""
    import tensorflow as tf

    texts = tf.strings.unicode_transcode(
        texts, "UTF-8", "UTF-8", replace_control_characters=True
    )
    texts = standardized(texts, standardize)
    texts = tf.strings.regex_replace(texts, _SINGLE, r" \1 ")
    texts = tf.strings.regex_replace(texts, _SEPARATORS, " ")
    return tf.strings.split(texts)


def ngrams_of(words):
    """Ragged words -> ragged word n-grams, ragged character n-grams."""
    import tensorflow as tf

    pairs = tf.strings.ngrams(words, [1, 2], separator=" ")
    # "#" marks character n-grams, and no word contains it.
    characters = tf.strings.unicode_split(
        tf.strings.join(["<", words.flat_values, ">"]), "UTF-8"
    )
    grams = tf.strings.ngrams(characters, _WIDTHS, separator="")
    grams = grams.with_flat_values(tf.strings.join(["#", grams.flat_values]))
    grams = words.with_values(grams).merge_dims(1, 2)
    return pairs, grams


def count_ngrams(texts, standardize):
    """Word counts, document frequencies of n-grams, and the largest number of n-grams of a text.

    Args:
        texts: list of UTF-8 bytes.
        standardize: as in `Text`.

    Returns:
        `Counter` of words; dict from n-gram to the number of texts that contain
        it; int.
    """
    words = collections.Counter()
    word_grams, character_grams = collections.Counter(), collections.Counter()
    longest = 0
    for chunk in chunks_of(texts):
        split = words_of(chunk, standardize)
        words.update(split.flat_values.numpy().tolist())
        rows = [[set(row) for row in grams.to_list()] for grams in ngrams_of(split)]
        for word_row, character_row in zip(*rows):
            word_grams.update(word_row)
            character_grams.update(character_row)
            longest = max(longest, len(word_row) + len(character_row) + 1)
    # A character n-gram of one text only cannot generalise; a word can
    # (it will be regularised), and it is needed where texts are few.
    character_grams = {
        gram: count for gram, count in character_grams.items() if count > 1
    }
    return words, {**word_grams, **character_grams}, longest


def most_frequent(counts, size):
    """The `size` most frequent keys, as text, ties in alphabetical order."""
    keys = sorted(counts, key=lambda key: (-counts[key], key))[:size]
    return [key.decode("utf-8") for key in keys]


def unique_in_row(ids):
    """Each row's distinct ids in descending order, padded with zeros."""
    import tensorflow as tf

    ids = tf.sort(ids, axis=1, direction="DESCENDING")
    again = tf.pad(ids[:, 1:] == ids[:, :-1], [[0, 0], [1, 0]])
    return tf.sort(tf.where(again, 0, ids), axis=1, direction="DESCENDING")
