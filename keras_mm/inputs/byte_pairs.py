"""Byte-pair tokens inside a TensorFlow graph, by core operations alone.

A served model must not need operations that only tensorflow-text has.

Reference:
    - Sennrich et al. 2016, "Neural Machine Translation of Rare Words with
      Subword Units".
    - Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"
      (GPT-2), for byte pairs and how texts become words.
    - Radford et al. 2021, "Learning Transferable Visual Models From Natural
      Language Supervision" (CLIP), for words whose last piece is marked.
"""

import functools

# What ends a word in the vocabularies that mark it, such as CLIP's.
WORD_END = "</w>"
# White space as Unicode has it; RE2's own class is that of ASCII.
_SPACE = (
    r"\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}"
    r"\x{3000}"
)
_CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d"
_WORDS = rf" ?\p{{L}}+| ?\p{{N}}+| ?[^{_SPACE}\p{{L}}\p{{N}}]+"
_MARKED_WORDS = rf"\p{{L}}+|\p{{N}}|[^{_SPACE}\p{{L}}\p{{N}}]+"
# Separates words; a Unicode noncharacter, which no text contains.
_CUT = "\ufdd0"


def split_words(texts, word_ends=False):
    """Strings `(batch,)` -> ragged words `(batch, None)`, as GPT-2 splits them.

    A space belongs to the word that follows it. With `word_ends` spaces are left
    out, and each digit is a word, as in CLIP.

    Args:
        texts: string tensor of valid UTF-8.
        word_ends: bool, whether the vocabulary marks the ends of words.
    """
    import tensorflow as tf

    texts = tf.strings.regex_replace(texts, _CUT, "")
    alone = rf"{_CUT}\1{_CUT}"
    if word_ends:
        pattern = f"({_CONTRACTIONS}|{_MARKED_WORDS})"
        texts = tf.strings.regex_replace(texts, pattern, alone)
        texts = tf.strings.regex_replace(texts, f"[{_SPACE}]+", "")
    else:
        pattern = f"({_CONTRACTIONS}|{_WORDS})"
        texts = tf.strings.regex_replace(texts, pattern, alone)
        # What is left is white space: of several characters in front of a word
        # that has no space of its own, the last one stands alone.
        texts = tf.strings.regex_replace(
            texts, rf"([{_SPACE}]){_CUT}([^{_SPACE}{_CUT}])", rf"{_CUT}\1{_CUT}\2"
        )
    words = tf.strings.split(texts, sep=_CUT)
    return tf.ragged.boolean_mask(words, words != "")


def byte_pairs(words, rules):
    """Ragged words `(batch, None)` -> ragged ids of their pieces `(batch, None)`.

    A word starts as its bytes. Pairs of neighbours are merged in the order in
    which they were merged when the vocabulary was learned, until no known pair
    is left.

    Args:
        words: ragged string tensor.
        rules: `Rules`.
    """
    import tensorflow as tf

    unique, places = tf.unique(words.flat_values)
    count = tf.size(unique)
    values = tf.strings.bytes_split(unique)
    rows = tf.cast(values.value_rowids(), tf.int32)
    last = tf.pad(rows[1:] != rows[:-1], [[0, 1]], constant_values=True)
    last = tf.where(last[: tf.size(rows)], 256, 0)
    values = tf.reshape(tf.io.decode_raw(values.flat_values, tf.uint8), [-1])
    ids = tf.gather(rules.byte_ids, last + tf.cast(values, tf.int32))
    # A byte that the vocabulary lacks is left out.
    ids, rows = tf.boolean_mask(ids, ids >= 0), tf.boolean_mask(rows, ids >= 0)

    def ranks_of(ids, rows):
        """How early each id was joined with the next one."""
        pairs = tf.cast(ids, tf.int64) * rules.size
        pairs = pairs[:-1] + tf.cast(ids[1:], tf.int64)
        ranks = rules.ranks.lookup(pairs)
        ranks = tf.where(rows[:-1] == rows[1:], ranks, rules.never)
        return tf.pad(ranks, [[0, 1]], constant_values=rules.never)[: tf.size(ids)]

    def cond(ids, rows, ranks):
        return tf.reduce_any(ranks < rules.never)

    def body(ids, rows, ranks):
        best = tf.math.unsorted_segment_min(ranks, rows, count)
        chosen = (ranks < rules.never) & (ranks == tf.gather(best, rows))
        # Of `aaa`, the first two are joined: every other one of a run.
        before = tf.pad(chosen[:-1], [[1, 0]])
        starts = tf.where(chosen & ~before)[:, 0]
        run = tf.cumsum(tf.cast(chosen & ~before, tf.int32)) - 1
        at = tf.range(tf.size(ids, tf.int64), dtype=tf.int64)
        odd = (at - tf.gather(starts, tf.maximum(run, 0))) % 2 == 1
        chosen &= ~odd
        joined = tf.gather(rules.joined, tf.where(chosen, ranks, 0))
        ids = tf.where(chosen, joined, ids)
        kept = ~tf.pad(chosen[:-1], [[1, 0]])
        ids, rows = tf.boolean_mask(ids, kept), tf.boolean_mask(rows, kept)
        return ids, rows, ranks_of(ids, rows)

    shape = tf.TensorShape([None])
    ids, rows, _ = tf.while_loop(
        cond,
        body,
        [ids, rows, ranks_of(ids, rows)],
        shape_invariants=[shape, shape, shape],
    )
    pieces = tf.RaggedTensor.from_value_rowids(ids, rows, tf.cast(count, tf.int32))
    places = tf.cast(places, pieces.row_splits.dtype)
    pieces = tf.gather(pieces, places)
    splits = tf.cast(words.row_splits, pieces.row_splits.dtype)
    return tf.RaggedTensor.from_row_splits(pieces, splits).merge_dims(1, 2)


class Rules:
    """The ids of bytes and of merged pairs in a vocabulary.

    Args:
        vocabulary: list of pieces in GPT-2's characters for bytes; the index of
            each is its id.
        merges: list of strings `"left right"`, in the order of merging.
        unknown: int, the id of bytes that are not in the vocabulary; None:
            they are left out.
    """

    def __init__(self, vocabulary, merges, unknown=None):
        import tensorflow as tf

        ids = {piece: place for place, piece in enumerate(vocabulary)}
        absent = -1 if unknown is None else unknown
        characters = byte_characters()
        end = WORD_END if has_word_ends(vocabulary) else ""
        within = [ids.get(character, absent) for character in characters]
        ends = [ids.get(character + end, absent) for character in characters]
        pairs = [merge.split(" ") for merge in merges]
        pairs = [pair for pair in pairs if len(pair) == 2 and pair[0] != "#version:"]
        # Where two pairs give the same piece, the first merge counts.
        ranks = {}
        for left, right in pairs:
            if left in ids and right in ids and left + right in ids:
                key = ids[left] * len(ids) + ids[right]
                ranks.setdefault(key, (len(ranks), ids[left + right]))
        self.size = len(ids)
        self.never = len(ranks)
        # Constants belong to the graph that is being traced, tables must not.
        self.byte_ids = within + ends
        self.joined = [joined for _, joined in ranks.values()] or [0]
        # A table must not be empty; no pair is -1.
        keys = list(ranks) or [-1]
        with tf.init_scope():
            self.ranks = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(
                    tf.constant(keys, tf.int64), tf.range(len(keys))
                ),
                default_value=self.never,
            )


def has_word_ends(vocabulary):
    """Whether the last piece of a word is marked, as in CLIP's vocabulary."""
    return any(piece.endswith(WORD_END) for piece in vocabulary)


@functools.cache
def byte_characters():
    """The character that stands for each byte in GPT-2's vocabularies.

    Printable characters stand for themselves.
    """
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in seen]
    characters = {byte: chr(byte) for byte in seen}
    characters |= {byte: chr(256 + place) for place, byte in enumerate(others)}
    return [characters[byte] for byte in range(256)]
