import collections
import math

import keras
import numpy as np

from ..deprecated import renamed
from .cells import to_strings
from .input import Input, refuse_in_use
from .items import check_count, flat_items, items_to_raw
from .ngrams import chunks_of, count_ngrams, most_frequent
from .text_ids import TextIds
from .word_pieces import learn_word_pieces

# Token forms that keep the order of a text.
_IN_ORDER = ("words", "characters", "word_pieces", "byte_pairs")
# How many ids to keep, if nothing is said.
_LARGEST, _LARGEST_NGRAMS = 20_000, 200_000


@keras.saving.register_keras_serializable(package="keras_mm")
class Text(Input):
    """A column of texts.

    `adapt` learns two tensor forms at once; the encoder chooses which one it reads:

    - `"words"`: the words in order, for LSTM and other sequence encoders.
    - `"ngrams"`: the set of words, pairs of neighbouring words and character
      n-grams, which copes with small tables, rare words and typing errors; for
      the default encoder.

    Two more are learned on request, for encoders that read words in order:

    - `"characters"`: for languages without spaces, and for codes.
    - `"word_pieces"`: frequent words whole, rare ones in pieces.

    One more comes only with a pretrained vocabulary:

    - `"byte_pairs"`: pieces of words and spaces, down to single bytes.

    In each form, 0 is padding (a missing text is all 0), 1 is out of vocabulary,
    and a text that is not missing has at least one id above 0. Only the first
    100,000 characters of a text are read.

    Examples:

    >>> text = keras_mm.Text(sequence_length=4)
    >>> text = text.adapt(pandas.Series(["a red bird", "a bird"]))
    >>> text.with_tokens("words").preprocess(["red bird", ""]).numpy().tolist()
    [[4, 3, 0, 0], [0, 0, 0, 0]]

    Args:
        sequence_length: int, how many words of a text are read.
        vocabulary_size: int, largest number of ids to keep, those of the most frequent
            words or n-grams; padding and out-of-vocabulary included. Default: 20,000,
            of n-grams as many as occur in two texts or more, from 20,000 to 200,000.
        tokens: `"words"`, `"ngrams"`, `"characters"`, `"word_pieces"`,
            `"byte_pairs"`, or None: chosen by the encoder.
        standardize: `"lower"` (case is folded), `"lower_and_strip_accents"`,
            or None.
        vocabulary: list of words, learned by `adapt` if not given.
        special_tokens: dict with the ids `"unknown"`, `"start"` and `"end"` of
            a pretrained vocabulary of pieces, in which a piece's index is its
            id and 0 is padding; or None. With `"padding"`, the index of another
            padding piece, the tensor's ids are the indices plus 1.
        merges: list of strings, the merges of a pretrained vocabulary of byte
            pairs, or None.
        ngram_vocabulary: list of n-grams, learned by `adapt`.
        ngram_weights: list of floats, the inverse document frequency of each
            n-gram, learned by `adapt`.
        ngram_length: int, how many n-grams of a text are read, learned by
            `adapt`.
        num_texts: int, largest number of texts per cell. If it is more than 1,
            cells are lists, in a CSV file JSON lists; a single text is a list of
            one. The tensor is `(num_texts, length)`, one encoder reads each of
            the texts, and pooled fusions see the mean over those that are present.
            Cells with more are refused.

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
        vocabulary_size=None,
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
        if vocabulary_size is not None and int(vocabulary_size) < 2:
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
        self.vocabulary_size = vocabulary_size and int(vocabulary_size)
        self.tokens = tokens
        self.standardize = standardize
        self.vocabulary = None if vocabulary is None else list(vocabulary)
        self.special_tokens = special_tokens
        self.merges = merges
        self.ngram_vocabulary = ngram_vocabulary
        self.ngram_weights = ngram_weights
        self.ngram_length = ngram_length
        self.num_texts = check_count("num_texts", num_texts)
        self._ids = TextIds(self)

    @property
    def num_items(self):
        """Largest number of texts per cell, or None if cells are not lists."""
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
        """`"ngrams"`; `"lstm"` for tokens in order, or without `adapt`, for arrays."""
        in_order = self.tokens in _IN_ORDER or not self.is_adapted
        return "lstm" if in_order else "ngrams"

    def with_tokens(self, tokens):
        """A copy of this input with the given tensor form."""
        config = self.get_config()
        if tokens == "words" and self.tokens in _IN_ORDER:
            tokens = self.tokens
        if tokens == "ngrams" and not self.is_adapted:
            raise ValueError(
                "An encoder of n-grams needs an adapted text input. "
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
            vocabulary: list of pieces; the index of each is its id.
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
        refuse_in_use(self, name)
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
        self.vocabulary = most_frequent(words, self._largest - 2)
        room = self.vocabulary_size
        if room is None:
            repeated = sum(count > 1 for count in counts.values())
            room = min(max(_LARGEST, repeated + 2), _LARGEST_NGRAMS)
        self.ngram_vocabulary = most_frequent(counts, room - 2)
        self.ngram_weights = [
            round(
                math.log((1 + len(texts)) / (1 + counts[gram.encode("utf-8")])) + 1,
                4,
            )
            for gram in self.ngram_vocabulary
        ]
        # Long texts are cut; 16 n-grams a word is more than a word has.
        self.ngram_length = min(longest, 16 * self.sequence_length)
        self._ids = TextIds(self)
        return self

    def _adapt_in_order(self, texts):
        """Learns characters or word pieces."""

        counts = collections.Counter()
        for chunk in chunks_of(texts):
            counts.update(self._ids.units(chunk).flat_values.numpy().tolist())
        room = self._largest - 2
        if self.tokens == "characters":
            self.vocabulary = most_frequent(counts, room)
        else:
            words = {word.decode("utf-8"): count for word, count in counts.items()}
            self.vocabulary = learn_word_pieces(words, room)
        self._ids = TextIds(self)

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
            return len(self.vocabulary) + self._ids.first_id
        return self._largest

    @property
    def _largest(self):
        """The largest number of ids of tokens in order."""
        return self.vocabulary_size or _LARGEST

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

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """Column -> object array of UTF-8 bytes, `b""` where missing.

        Several texts per row make an array `(rows, num_texts)`.
        """

        def read(cells, rows=None):
            return to_strings(cells, name, on_unreadable, rows)

        if self.num_items:
            return items_to_raw(column, name, self.num_items, "num_texts", read)
        return read(column)

    def decode(self, raw):
        """Strings `(batch,)` -> ids `(batch, length)`, `int32`.

        Several texts per row, `(batch, texts)`, give `(batch, num_texts, length)`.
        """
        import tensorflow as tf

        if self.num_items:
            ids = self._ids(flat_items(raw, self.num_items))
            return tf.reshape(ids, [-1, *self.shape])
        return self._ids(raw)

    @property
    def tables(self):
        """The lookup tables that `decode` has created."""
        return self._ids.tables

    def sample(self, random, bad=False):
        """A few words of the vocabulary; no UTF-8 when `bad`.

        With several texts per row, the first one is bad.
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
        """A one-line description."""
        several = f"up to {self.num_items} of " if self.num_items else ""
        if not self.is_adapted:
            return f"Text, {several}{self.sequence_length} words"
        if self.tokens in ("characters", "word_pieces", "byte_pairs"):
            kind = self.tokens.replace("_", " ")
            size = f"{len(self.vocabulary):,} known {kind}"
            return f"Text, {several}{self.sequence_length} {kind}, {size}"
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
