import collections
import math

import keras
import numpy as np

from . import byte_pairs
from .cells import NAME_PARTS, SPELLED_OUT, to_strings
from .input import Input
from .items import check_count, flat_items, items_to_raw
from .ngrams import (
    beginnings,
    chunks_of,
    count_ngrams,
    most_frequent,
    ngrams_of,
    standardized,
    unique_in_row,
    words_of,
)
from .word_pieces import (
    accent_table,
    learn_word_pieces,
    split_words,
    word_pieces,
)

# Token forms that keep the order of a text.
_IN_ORDER = ("words", "characters", "word_pieces", "byte_pairs")


@keras.saving.register_keras_serializable(package="keras_mm")
class Text(Input):
    """A column of texts.

    Two tensor forms are learned at once, and the encoder says which one it
    reads:

    - `"words"`: the text's words in order, for LSTM and its kin.
    - `"ngrams"`: the set of its words, pairs of neighbouring words and
      character n-grams, which copes with small tables, rare words and typing
      errors; for the default encoder.

    Two more are learned where they are asked for, and read by whatever reads
    words in order:

    - `"characters"`: for languages without spaces, and for codes.
    - `"word_pieces"`: frequent words whole, rare ones in pieces.

    And one only comes with a pretrained vocabulary:

    - `"byte_pairs"`: pieces of words and spaces, down to single bytes.

    In all, 0 is padding (a missing text is all 0), 1 is out of vocabulary,
    and a text that is there always has at least one id above 0. Of a text the
    first 100,000 characters are read.

    Examples:

    >>> text = keras_mm.Text(sequence_length=4)
    >>> text = text.adapt(pandas.Series(["a red bird", "a bird"]))
    >>> text.with_tokens("words").preprocess(["red bird", ""]).numpy().tolist()
    [[4, 3, 0, 0], [0, 0, 0, 0]]

    Args:
        sequence_length: int, how many words of a text are read.
        vocabulary_size: int, ids to keep at the most, the most frequent ones;
            padding and out-of-vocabulary included.
        tokens: `"words"`, `"ngrams"`, `"characters"`, `"word_pieces"`,
            `"byte_pairs"`, or None: what the encoder asks for.
        standardize: `"lower"` (case is folded), `"lower_and_strip_accents"`,
            or None.
        vocabulary: list of words, learned by `adapt` if not given.
        special_tokens: dict with the ids `"unknown"`, `"start"` and `"end"` of
            a pretrained vocabulary of pieces, in which a piece's place is its
            id and 0 is padding; or None. With `"padding"` another place is
            padding, or none, and the tensor's ids are the places plus 1.
        merges: list of strings, the joined pairs of a pretrained vocabulary of
            byte pairs, or None.
        ngram_vocabulary: list of n-grams, learned by `adapt`.
        ngram_weights: list of floats, the inverse document frequency of each
            n-gram, learned by `adapt`.
        ngram_length: int, how many n-grams of a text are read, learned by
            `adapt`.
        num_texts: int, how many texts a cell may hold. If it is more than 1,
            cells are lists, in a CSV file JSON lists; a text alone is a list of
            one. The tensor is `(num_texts, length)`, one encoder reads each of
            the texts, and pooled fusions see the mean of those that are there.
            Cells of more are refused.

    Reference:
        - n-grams with inverse document frequency: Sparck Jones 1972, "A
          statistical interpretation of term specificity"; weight =
          `log((1 + texts) / (1 + texts that contain it)) + 1`.
        - character n-grams of words with boundary marks: Bojanowski et al.
          2017, "Enriching word vectors with subword information".
    """

    kind = "text"
    dtype = "int32"

    def __init__(
        self,
        sequence_length=64,
        vocabulary_size=20_000,
        tokens=None,
        standardize="lower",
        vocabulary=None,
        special_tokens=None,
        merges=None,
        ngram_vocabulary=None,
        ngram_weights=None,
        ngram_length=None,
        num_texts=1,
    ):
        for name, value, allowed in (
            ("tokens", tokens, (None, "ngrams", *_IN_ORDER)),
            (
                "standardize",
                standardize,
                (None, "lower", "lower_and_strip_accents"),
            ),
        ):
            if value not in allowed:
                raise ValueError(
                    f"`{name}` must be one of {allowed}. Received: {name}={value!r}"
                )
        if int(sequence_length) < 1:
            raise ValueError(
                "`sequence_length` must be at least 1. "
                f"Received: sequence_length={sequence_length}"
            )
        if int(vocabulary_size) < 2:
            raise ValueError(
                "`vocabulary_size` must be at least 2: padding and "
                f"out-of-vocabulary. Received: vocabulary_size={vocabulary_size}"
            )
        if tokens == "byte_pairs" and not (vocabulary and merges and special_tokens):
            raise ValueError(
                "Byte pairs need a pretrained vocabulary with its merges and special "
                "tokens; keras_mm.encoders.Hub brings them. To learn pieces from "
                "texts choose tokens='word_pieces'. Received: tokens='byte_pairs'"
            )
        self.sequence_length = int(sequence_length)
        self.vocabulary_size = int(vocabulary_size)
        self.tokens = tokens
        self.standardize = standardize
        self.vocabulary = None if vocabulary is None else list(vocabulary)
        self.special_tokens = special_tokens
        self.merges = merges
        self.ngram_vocabulary = ngram_vocabulary
        self.ngram_weights = ngram_weights
        self.ngram_length = ngram_length
        self.num_texts = check_count("num_texts", num_texts)
        self._tables = {}
        self._rules = None

    @property
    def num_items(self):
        """How many texts a cell may hold, or None for a text alone."""
        return self.num_texts if self.num_texts > 1 else None

    @property
    def raw_shape(self):
        """Shape of one row's raw form."""
        return (None,) if self.num_items else ()

    def one_item(self):
        """The input of one of several texts."""
        return self.from_config({**self.get_config(), "num_texts": 1})

    @property
    def default_encoder(self):
        """`"ngrams"`, unless tokens are in order or come as arrays, not adapted."""
        in_order = self.tokens in _IN_ORDER or not self.is_adapted
        return "lstm" if in_order else "ngrams"

    def with_tokens(self, tokens):
        """A copy of this input, of the given tensor form."""
        config = self.get_config()
        if tokens == "words" and self.tokens in _IN_ORDER:
            tokens = self.tokens
        if tokens == "ngrams" and not self.is_adapted:
            raise ValueError(
                "An encoder of n-grams needs a text input that has seen texts. "
                "Call schema.adapt(train) first, or choose encoders={...: 'lstm'} "
                f"for ids of your own. Received: input={self!r}"
            )
        if config["tokens"] not in (None, tokens):
            raise ValueError(
                f"This encoder reads {tokens!r}, but the text input was fixed "
                "to another form. Leave `tokens` out of keras_mm.Text(...). "
                f"Received: tokens={config['tokens']!r}"
            )
        return type(self)(**{**config, "tokens": tokens})

    def with_vocabulary(self, vocabulary, standardize, special_tokens, merges=None):
        """A copy that reads the pieces of a pretrained vocabulary.

        Args:
            vocabulary: list of pieces; the place of each is its id.
            standardize: as in the constructor.
            special_tokens: as in the constructor.
            merges: as in the constructor; None: word pieces.
        """
        return type(self)(
            sequence_length=self.sequence_length,
            vocabulary_size=len(vocabulary),
            tokens="byte_pairs" if merges else "word_pieces",
            standardize=standardize,
            vocabulary=vocabulary,
            special_tokens=special_tokens,
            merges=merges,
            num_texts=self.num_texts,
        )

    def adapt(self, column, name="column"):
        """Learns both vocabularies from a column of texts; returns `self`."""

        texts = [text for text in self.to_raw(column, name).ravel() if text]
        if not texts:
            raise ValueError(
                f"Column {name!r} has no text in it. Leave it out of the "
                f"inputs. Received: {name} with {len(column)} missing values"
            )
        if self.special_tokens:
            # A pretrained vocabulary stays.
            return self
        if self.tokens in ("characters", "word_pieces"):
            self._adapt_in_order(texts)
            return self
        words, counts, longest = count_ngrams(texts, self.standardize)
        room = self.vocabulary_size - 2
        self.vocabulary = most_frequent(words, room)
        self.ngram_vocabulary = most_frequent(counts, room)
        self.ngram_weights = [
            round(
                math.log((1 + len(texts)) / (1 + counts[gram.encode("utf-8")])) + 1,
                4,
            )
            for gram in self.ngram_vocabulary
        ]
        # Long texts are cut; 16 n-grams a word is more than a word has.
        self.ngram_length = min(longest, 16 * self.sequence_length)
        self._tables = {}
        return self

    def _adapt_in_order(self, texts):
        """Learns characters or word pieces."""

        counts = collections.Counter()
        for chunk in chunks_of(texts):
            counts.update(self._units(chunk).flat_values.numpy().tolist())
        room = self.vocabulary_size - 2
        if self.tokens == "characters":
            self.vocabulary = most_frequent(counts, room)
        else:
            words = {word.decode("utf-8"): count for word, count in counts.items()}
            self.vocabulary = learn_word_pieces(words, room)
        self._tables = {}

    @property
    def is_adapted(self):
        """Whether the vocabulary is known."""
        return self.vocabulary is not None

    @property
    def num_ids(self):
        """Number of different ids in the tensor."""
        if self.tokens == "ngrams":
            return len(self.ngram_vocabulary) + 2
        if self.is_adapted:
            return len(self.vocabulary) + self._first_id
        return self.vocabulary_size

    @property
    def _first_id(self):
        """The id of what stands first in the vocabulary."""
        if not self.special_tokens:
            return 2
        return 1 if "padding" in self.special_tokens else 0

    @property
    def length(self):
        """Length of one text's tensor."""
        return self.ngram_length if self.tokens == "ngrams" else self.sequence_length

    @property
    def shape(self):
        """Shape of one row's tensor."""
        if self.num_items:
            return (self.num_items, self.length)
        return (self.length,)

    def to_raw(self, column, name="column", base_dir=None, bad="error"):
        """Column -> object array of UTF-8 bytes, `b""` where missing.

        Several texts a row make an array `(rows, num_texts)`.
        """

        def read(cells, rows=None):
            return to_strings(cells, name, bad, rows)

        if self.num_items:
            return items_to_raw(column, name, self.num_items, "num_texts", read)
        return read(column)

    def decode(self, raw):
        """Strings `(batch,)` -> ids `(batch, length)`, `int32`.

        Several texts a row, `(batch, texts)`, give `(batch, num_texts, length)`.
        """
        import tensorflow as tf

        if self.num_items:
            ids = self._decode_texts(flat_items(raw, self.num_items))
            return tf.reshape(ids, [-1, *self.shape])
        return self._decode_texts(raw)

    def _decode_texts(self, raw):
        """Strings `(texts,)` -> ids `(texts, length)`, `int32`."""
        import tensorflow as tf

        from .vocabulary import drop_invalid

        raw = tf.convert_to_tensor(raw, tf.string)
        # Regular expressions end where UTF-8 does, and take no memory.
        raw = tf.where(tf.strings.regex_full_match(raw, "(?s).*"), raw, "")
        raw = drop_invalid(beginnings(raw))
        raw = tf.strings.regex_replace(raw, SPELLED_OUT, NAME_PARTS)
        if self.tokens == "ngrams":
            ids = self._ngram_ids(raw)
        else:
            ids = self._ids_in_order(raw)
            ids = ids[:, : self.length].to_tensor(shape=[None, self.length])
        first = tf.cast(tf.range(self.length) == 0, tf.int32)[tf.newaxis]
        wordless = tf.reduce_all(ids == 0, axis=1, keepdims=True)
        ids = tf.where(wordless, first, ids)
        ids = tf.where((raw == "")[:, tf.newaxis], 0, ids)
        return tf.ensure_shape(ids, [None, self.length])

    def _table(self, tokens):
        from .vocabulary import lookup_table

        if tokens not in self._tables:
            if tokens == "ngrams":
                table = lookup_table(self.ngram_vocabulary)
            elif tokens == "word_pieces":
                table = lookup_table(self.vocabulary, self._first_id, unknown=-1)
            else:
                table = lookup_table(self.vocabulary)
            self._tables[tokens] = table
        return self._tables[tokens]

    def _ids_in_order(self, raw):
        """Strings `(batch,)` -> ragged ids `(batch, None)`."""
        import tensorflow as tf

        tokens, units = self.tokens or "words", self._units(raw)
        if tokens in ("words", "characters"):
            table = self._table(tokens)
            return units.with_flat_values(table.lookup(units.flat_values))
        special, first = self.special_tokens or {"unknown": -1}, self._first_id
        if tokens == "byte_pairs":
            ids = first + byte_pairs.byte_pairs(units, self._byte_pair_rules())
        else:
            table, unknown = self._table(tokens), first + special["unknown"]
            longest = max(len(piece.removeprefix("##")) for piece in self.vocabulary)
            ids = word_pieces(units, table, longest, unknown)
        if "start" not in special:
            return ids
        rows = tf.size(raw)
        return tf.concat(
            [
                tf.fill([rows, 1], first + special["start"]),
                ids[:, : self.length - 2],
                tf.fill([rows, 1], first + special["end"]),
            ],
            axis=1,
        )

    def _byte_pair_rules(self):
        if self._rules is None:
            unknown = self.special_tokens.get("unknown")
            self._rules = byte_pairs.Rules(self.vocabulary, self.merges, unknown)
        return self._rules

    def _units(self, texts):
        """Strings `(batch,)` -> ragged words or characters `(batch, None)`."""
        import tensorflow as tf

        lower = self.standardize is not None
        strip_accents = self.standardize == "lower_and_strip_accents"
        if self.tokens == "word_pieces":
            return split_words(texts, lower, strip_accents)
        if self.tokens == "byte_pairs":
            word_ends = byte_pairs.has_word_ends(self.vocabulary)
            return byte_pairs.split_words(
                standardized(texts, self.standardize), word_ends
            )
        if self.tokens != "characters":
            return words_of(texts, self.standardize)
        texts = tf.strings.strip(tf.strings.regex_replace(texts, r"[\pZ\pC]+", " "))
        return tf.strings.unicode_split(standardized(texts, self.standardize), "UTF-8")

    def _ngram_ids(self, raw):
        """Strings `(batch,)` -> ids `(batch, length)`."""
        import tensorflow as tf

        grams = tf.concat(ngrams_of(words_of(raw, self.standardize)), axis=1)
        ids = self._table("ngrams").lookup(grams.values)
        ids = grams.with_values(ids).to_tensor()
        ids = unique_in_row(tf.where(ids == 1, 0, ids))
        # One place is kept for the id that says: there is a text.
        ids = ids[:, : self.length - 1]
        ids = tf.pad(ids, [[0, 0], [0, self.length - 1 - tf.shape(ids)[1]]])
        return tf.pad(ids, [[0, 0], [1, 0]], constant_values=1)

    @property
    def tables(self):
        """The lookup tables that `decode` has made."""
        strips = self.standardize == "lower_and_strip_accents"
        return [
            *self._tables.values(),
            *([self._rules.ranks] if self._rules else []),
            *([accent_table()] if strips else []),
        ]

    def sample(self, random, bad=False):
        """A few words of the vocabulary; no UTF-8 when `bad`.

        Of several texts a row, the first one is bad.
        """
        if self.num_items:
            text, count = self.one_item(), random.integers(1, self.num_items + 1)
            items = [text.sample(random, bad and not n) for n in range(count)]
            return np.array(items, dtype=object)
        if bad:
            return b"\xff\xfe broken \x00"
        words = self.vocabulary or ["text"]
        if self.tokens == "word_pieces":
            words = [word for word in words if word[0] not in "#["]
        if self.tokens == "byte_pairs":
            words = [word for word in words if word.isascii() and word.isalpha()]
        return " ".join(
            str(word) for word in random.choice(words, size=random.integers(1, 9))
        ).encode("utf-8")

    def describe(self):
        """One line for people."""
        several = f"up to {self.num_items} of " if self.num_items else ""
        if not self.is_adapted:
            return f"Text, {several}{self.sequence_length} words"
        if self.tokens in ("characters", "word_pieces", "byte_pairs"):
            kind = self.tokens.replace("_", " ")
            known = f"{len(self.vocabulary):,} known {kind}"
            return f"Text, {several}{self.sequence_length} {kind}, {known}"
        return (
            f"Text, {several}{self.sequence_length} words, "
            f"{len(self.vocabulary):,} known words, "
            f"{len(self.ngram_vocabulary or []):,} known n-grams"
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            "sequence_length": self.sequence_length,
            "vocabulary_size": self.vocabulary_size,
            "tokens": self.tokens,
            "standardize": self.standardize,
            "vocabulary": self.vocabulary,
            "special_tokens": self.special_tokens,
            "merges": self.merges,
            "ngram_vocabulary": self.ngram_vocabulary,
            "ngram_weights": self.ngram_weights,
            "ngram_length": self.ngram_length,
            "num_texts": self.num_texts,
        }
