import collections

import keras

from ..deprecated import renamed
from .cells import names_of, to_strings
from .input import Input, refuse_in_use


@keras.saving.register_keras_serializable(package="keras_mm")
class Category(Input):
    """A categorical column: one of a few names per row, such as a colour or a country.

    Names are compared by spelling, except that 3, 3.0, `"3"` and `"3.0"` are one
    category, since pandas turns integers into floats where one is missing.

    The tensor holds one id per row: 0 = missing, 1 = a category that `adapt` did
    not see, 2 and more = the vocabulary in order.

    Examples:

    >>> colour = keras_mm.Category().adapt(pandas.Series(["red", "blue", "red"]))
    >>> colour.vocabulary
    ['red', 'blue']

    Args:
        vocabulary: list of strings, learned by `adapt` if not given, most
            frequent first.
        vocabulary_size: int, largest number of categories to keep.
    """

    kind = "category"
    group = "categories"
    dtype = "int32"
    default_encoder = "tabular"

    def __init__(self, vocabulary=None, vocabulary_size=10_000):
        self.vocabulary = names_of(vocabulary, "vocabulary")
        self.vocabulary_size = vocabulary_size
        self._table = None

    def adapt(self, column, name="column"):
        """Learns the vocabulary from a column; returns `self`."""
        refuse_in_use(self, name)
        counts = collections.Counter(
            value.decode("utf-8") for value in self.to_raw(column, name) if value
        )
        if not counts:
            raise ValueError(
                f"Column {name!r} has no value in it. Leave it out of the "
                f"inputs. Received: {name} with {len(column)} missing values"
            )
        names = sorted(counts, key=lambda value: (-counts[value], value))
        self.vocabulary = names[: self.vocabulary_size]
        self._table = None
        return self

    @property
    def is_adapted(self):
        """Whether the vocabulary is known."""
        return self.vocabulary is not None

    @property
    def num_ids(self):
        """Number of different ids: the vocabulary, missing and unknown."""
        size = len(self.vocabulary) if self.is_adapted else self.vocabulary_size
        return size + 2

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """Column -> object array of UTF-8 bytes, `b""` where missing."""
        return to_strings(column, name, on_unreadable)

    def decode(self, raw):
        """Strings `(batch,)` -> ids `(batch, 1)`, `int32`."""
        import tensorflow as tf

        from .vocabulary import as_names, drop_invalid, lookup_table

        if self._table is None:
            self._table = lookup_table(self.vocabulary)
        raw = as_names(drop_invalid(raw))
        ids = tf.cast(self._table.lookup(raw), tf.int32)
        return tf.reshape(tf.where(raw == "", 0, ids), [-1, 1])

    @property
    def tables(self):
        """The lookup table that `decode` has made."""
        return [] if self._table is None else [self._table]

    def sample(self, random, bad=False):
        """A name of the vocabulary; an unknown one when `bad`."""
        if bad or not self.vocabulary:
            return b"no such category"
        return str(random.choice(self.vocabulary)).encode("utf-8")

    def describe(self):
        """A one-line description."""
        if not self.is_adapted:
            return "Category"
        first = ", ".join(self.vocabulary[:3])
        more = ", ..." if len(self.vocabulary) > 3 else ""
        return f"Category, {len(self.vocabulary)} known ({first}{more})"

    def get_config(self):
        """The constructor's arguments."""
        return {
            "vocabulary": self.vocabulary,
            "vocabulary_size": self.vocabulary_size,
        }
