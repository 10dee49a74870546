"""WordPiece tokens inside a TensorFlow graph, by core operations alone.

A served model must not need operations that only tensorflow-text has.

Reference:
    - Schuster and Nakajima 2012, "Japanese and Korean Voice Search".
    - Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers
      for Language Understanding", for how texts become words.
"""

import collections
import functools
import heapq
import unicodedata

# Longer words are out of vocabulary as a whole, as in BERT.
_LONGEST_WORD = 100
_SPACES = r"[\t\n\r\p{Zs}\x{2028}\x{2029}]+"
_CONTROLS = r"[\x{fffd}\p{C}]"
_PUNCTUATION = r"[\p{P}$+<=>^`|~]"
_IDEOGRAPHS = (
    r"[\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{20000}-\x{2a6df}\x{2a700}-\x{2b73f}"
    r"\x{2b740}-\x{2b81f}\x{2b820}-\x{2ceaf}\x{f900}-\x{faff}\x{2f800}-\x{2fa1f}]"
)


def split_words(texts, lower=True, strip_accents=False):
    """Strings `(batch,)` -> ragged words `(batch, None)`, as BERT splits them.

    Punctuation marks and ideographs are words of their own.

    Args:
        texts: string tensor of valid UTF-8.
        lower: bool, whether case is folded.
        strip_accents: bool, whether letters lose their accents.
    """
    import tensorflow as tf

    texts = tf.strings.regex_replace(texts, _SPACES, " ")
    texts = tf.strings.regex_replace(texts, _CONTROLS, "")
    if strip_accents:
        texts = without_accents(texts)
    if lower:
        texts = tf.strings.lower(texts, encoding="utf-8")
    alone = f"({_PUNCTUATION}|{_IDEOGRAPHS})"
    return tf.strings.split(tf.strings.regex_replace(texts, alone, r" \1 "))


def without_accents(texts):
    """Strings without the accents of their letters: `é` becomes `e`."""
    import tensorflow as tf

    characters = tf.strings.unicode_split(texts, "UTF-8")
    replaced = accent_table().lookup(characters.flat_values)
    kept = tf.where(replaced == _KEEP, characters.flat_values, replaced)
    return tf.strings.reduce_join(characters.with_flat_values(kept), axis=-1)


def word_pieces(words, table, longest, unknown):
    """Ragged words `(batch, None)` -> ragged ids of their pieces `(batch, None)`.

    From left to right, the longest matching piece of the vocabulary is taken;
    pieces within a word start with `##`. A word with a part that no piece covers
    is `unknown` as a whole.

    Args:
        words: ragged string tensor.
        table: lookup table from pieces to ids, -1 for anything else.
        longest: int, length of the longest piece in characters, without `##`.
        unknown: int, the id of unknown words.
    """
    import tensorflow as tf

    unique, places = tf.unique(words.flat_values)
    length = tf.strings.length(unique, unit="UTF8_CHAR")
    sizes = tf.range(longest, 0, -1)

    def cond(start, failed, ids):
        return tf.reduce_any((start < length) & ~failed)

    def body(start, failed, ids):
        rows = tf.where((start < length) & ~failed)[:, 0]
        at, end = tf.gather(start, rows), tf.gather(length, rows)
        parts = tf.strings.substr(
            tf.repeat(tf.gather(unique, rows)[:, tf.newaxis], longest, axis=1),
            tf.repeat(at[:, tf.newaxis], longest, axis=1),
            tf.repeat(sizes[tf.newaxis], tf.size(rows), axis=0),
            unit="UTF8_CHAR",
        )
        marks = tf.where(at > 0, "##", "")[:, tf.newaxis]
        candidates = table.lookup(marks + parts)
        # `substr` has cut longer candidates to the rest of the word.
        fits = (candidates >= 0) & (sizes <= (end - at)[:, tf.newaxis])
        best = tf.argmax(fits, axis=1)
        fits = tf.reduce_any(fits, axis=1)
        chosen = tf.gather(candidates, best, batch_dims=1)
        rows = rows[:, tf.newaxis]
        step = tf.fill([tf.size(unique)], -1)
        step = tf.tensor_scatter_nd_update(step, rows, chosen)
        start = tf.tensor_scatter_nd_add(start, rows, tf.gather(sizes, best))
        failed = tf.tensor_scatter_nd_update(failed, rows, ~fits)
        return start, failed, tf.concat([ids, step[:, tf.newaxis]], axis=1)

    start = tf.zeros_like(length)
    ids = tf.zeros([tf.size(unique), 0], tf.int32)
    _, failed, ids = tf.while_loop(
        cond,
        body,
        [start, length > _LONGEST_WORD, ids],
        shape_invariants=[
            start.shape,
            start.shape,
            tf.TensorShape([None, None]),
        ],
    )
    # One column is enough for an unknown word, and there may be none.
    ids = tf.pad(ids, [[0, 0], [0, 1]], constant_values=-1)
    first = tf.range(tf.shape(ids)[1]) == 0
    ids = tf.where(failed[:, tf.newaxis], tf.where(first, unknown, -1), ids)
    pieces = tf.ragged.boolean_mask(ids, ids >= 0)
    return words.with_flat_values(tf.gather(pieces, places)).merge_dims(1, 2)


def learn_word_pieces(words, size):
    """Learns a vocabulary of word pieces.

    Starts from characters and repeatedly joins the most frequent pair of
    neighbours, as long as it occurs twice. The same words always give the same
    pieces.

    Args:
        words: dict from word to its count.
        size: int, largest number of pieces to keep.

    Returns:
        list of strings.

    Reference:
        Sennrich et al. 2016, "Neural Machine Translation of Rare Words with
        Subword Units".
    """
    splits = [[w[0], *("##" + c for c in w[1:])] for w in words]
    counts = list(words.values())
    characters = collections.Counter()
    pairs, places = collections.Counter(), collections.defaultdict(set)
    for row, pieces in enumerate(splits):
        for piece in pieces:
            characters[piece] += counts[row]
        for pair in zip(pieces, pieces[1:]):
            pairs[pair] += counts[row]
            places[pair].add(row)
    learned = sorted(characters, key=lambda piece: (-characters[piece], piece))[:size]
    vocabulary = set(learned)
    # The most frequent pair first; entries whose count has changed are stale.
    queue = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(queue)
    while queue and len(learned) < size:
        count, pair = heapq.heappop(queue)
        if -count != pairs[pair]:
            continue
        if -count < 2:
            break
        joined = pair[0] + pair[1].removeprefix("##")
        if joined not in vocabulary:
            vocabulary.add(joined)
            learned.append(joined)
        changed = set()
        for row in sorted(places[pair]):
            old = splits[row]
            new = splits[row] = _joined(old, pair, joined)
            for sign, pieces in ((-1, old), (1, new)):
                for each in zip(pieces, pieces[1:]):
                    pairs[each] += sign * counts[row]
                    changed.add(each)
                    if sign > 0:
                        places[each].add(row)
        for each in changed:
            heapq.heappush(queue, (-pairs[each], each))
    return learned


def _joined(pieces, pair, joined):
    """A word's pieces with each occurrence of `pair` joined."""
    result = []
    for piece in pieces:
        if result and (result[-1], piece) == pair:
            result[-1] = joined
        else:
            result.append(piece)
    return result


# The table's value for characters without accents.
_KEEP = "keep"


@functools.cache
def _accents():
    """dict from characters with accents to the characters without."""
    table = {}
    # Nothing above these planes decomposes; surrogates are no characters.
    for code in (*range(0xD800), *range(0xE000, 0x30000)):
        character = chr(code)
        parts = unicodedata.normalize("NFD", character)
        left = "".join(c for c in parts if unicodedata.category(c) != "Mn")
        if left != character:
            table[character] = left
    return table


@functools.cache
def accent_table():
    """A lookup table from characters with accents to those without."""
    import tensorflow as tf

    accents = _accents()
    with tf.init_scope():
        return tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(list(accents)), tf.constant(list(accents.values()))
            ),
            default_value=_KEEP,
        )
