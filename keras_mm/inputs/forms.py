import math

import keras
import numpy as np
from keras import ops

from .input import Input


@keras.saving.register_keras_serializable(package="keras_mm")
class Forms(Input):
    """One column in several tensor forms, for several encoders.

    Words, n-grams and the pieces of a pretrained vocabulary are different ids of one
    text. A model has one tensor per column: that of `Forms` holds each form's values,
    flattened, one after the other. A missing cell is missing in each of them. The
    builders make it; see `encoders` of `keras_mm.build_model`.

    Examples:

    >>> text = keras_mm.Text(sequence_length=3).adapt(pandas.Series(["a bird", "a dog"]))
    >>> forms = keras_mm.inputs.Forms(
    ...     {"words": text.with_tokens("words"), "grams": text.with_tokens("ngrams")})
    >>> tensor = forms.preprocess(["a bird"])
    >>> tensor.shape[1] == sum(form.shape[0] for form in forms.forms.values())
    True
    >>> forms.take(tensor, "words").numpy().tolist()
    [[2, 3, 0]]

    Args:
        forms: dict from a modality to the `Input` in the form that its encoder reads,
            all of one type.

    Raises:
        ValueError: if the forms' tensors have different types of numbers.
    """

    def __init__(self, forms):
        self.forms = dict(forms)
        # Modalities with equal forms share the values.
        self._places, self._distinct = {}, []
        for name, form in self.forms.items():
            same = [n for n, one in enumerate(self._distinct) if is_same(one, form)]
            self._places[name] = same[0] if same else len(self._distinct)
            if not same:
                self._distinct.append(form)
        first = self._distinct[0]
        self._first = first
        if {form.dtype for form in self._distinct} != {first.dtype}:
            kinds = {name: form.dtype for name, form in self.forms.items()}
            raise ValueError(
                "Encoders that read one column must take tensors of the same type, "
                f"ids or floats. Received: forms={kinds}"
            )
        self.kind, self.group, self.dtype = first.kind, first.group, first.dtype
        self.is_file, self.num_items = first.is_file, first.num_items
        self.raw_dtype, self.raw_shape = first.raw_dtype, first.raw_shape
        sizes = [math.prod(form.shape) for form in self._distinct]
        ends = np.cumsum(sizes).tolist()
        self._bounds = list(zip([0, *ends], ends))
        self.shape = (ends[-1],)

    def form_of(self, modality):
        """The `Input` in the form that a modality's encoder reads."""
        if modality not in self.forms:
            raise ValueError(
                "The column was prepared for several encoders. Pass the encoders that "
                "the model was built with, or a schema that no model was built with "
                "yet. "
                f"Received: modality={modality!r}, prepared for {list(self.forms)}"
            )
        return self.forms[modality]

    def take(self, tensor, modality):
        """The values of a modality's form `(batch, *shape)` in the column's tensor."""
        shape = self.form_of(modality).shape
        start, end = self._bounds[self._places[modality]]
        return ops.reshape(tensor[:, start:end], (-1, *shape))

    def split(self, array):
        """Array of the column's tensor -> list of arrays of each distinct form."""
        return [
            array[:, start:end].reshape(-1, *form.shape)
            for form, (start, end) in zip(self._distinct, self._bounds)
        ]

    def map(self, function, array):
        """Applies a function of form and array to each form of the column's array."""
        parts = map(function, self._distinct, self.split(array))
        return np.concatenate([part.reshape(len(array), -1) for part in parts], axis=1)

    def adapt(self, column, name="column"):
        """Adapts the forms that are not adapted yet."""
        for form in self._distinct:
            if not form.is_adapted:
                form.adapt(column, name)
        return self

    @property
    def is_adapted(self):
        """Whether raw values can be turned into each form."""
        return all(form.is_adapted for form in self._distinct)

    @property
    def ok_suffix(self):
        """As of the input."""
        return self._first.ok_suffix

    def readable(self, compact):
        """As of the input."""
        return compact[1] if self.is_file else self._first.readable(compact[0])

    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """As of the input."""
        return self._first.to_raw(column, name, base_dir, on_unreadable)

    def decode(self, raw):
        """Raw batch -> the compact batches of each form."""
        import tensorflow as tf

        compact = [form.decode(raw) for form in self._distinct]
        if not self.is_file:
            return tuple(compact)
        values, oks = zip(*compact)
        return tuple(values), tf.reduce_all(tf.stack(oks), axis=0)

    def decode_one(self, raw):
        """One file -> the values of each form."""
        return tuple(form.decode_one(raw) for form in self._distinct)

    def finish(self, compact):
        """The compact batches of each form -> one tensor `(batch, values)`."""
        import tensorflow as tf

        if self.is_file:
            values, ok = compact
            compact = [(value, ok) for value in values]
        tensors = [form.finish(one) for form, one in zip(self._distinct, compact)]
        sizes = [end - start for start, end in self._bounds]
        flat = [tf.reshape(one, [-1, size]) for one, size in zip(tensors, sizes)]
        return tf.concat(flat, axis=1)

    @property
    def compact_bytes(self):
        """Bytes that one row of the compact forms takes in memory."""
        return sum(form.compact_bytes for form in self._distinct)

    @property
    def tables(self):
        """The lookup tables of each form."""
        tables = [table for form in self._distinct for table in form.tables]
        return list({id(table): table for table in tables}.values())

    def sample(self, random, bad=False):
        """As of the input."""
        return self._first.sample(random, bad)

    def json_schema(self):
        """As of the input."""
        return self._first.json_schema()

    def to_json(self, value):
        """As of the input."""
        return self._first.to_json(value)

    def request_value(self):
        """As of the input."""
        return self._first.request_value()

    def answers(self, name):
        """As of the input."""
        return self._first.answers(name)

    def describe(self):
        """A one-line description."""
        described = {}
        for name, form in self.forms.items():
            described.setdefault(form.describe(), []).append(name)
        return "; ".join(
            f"{text} (for {', '.join(names)})" for text, names in described.items()
        )

    def get_config(self):
        """The forms."""
        serialize = keras.saving.serialize_keras_object
        return {"forms": [[n, serialize(form)] for n, form in self.forms.items()]}

    @classmethod
    def from_config(cls, config):
        """Creates the forms again from `get_config()`."""
        deserialize = keras.saving.deserialize_keras_object
        return cls({name: deserialize(form) for name, form in config["forms"]})


def is_same(one, other):
    """Whether two inputs make the same tensors."""
    return type(one) is type(other) and one.get_config() == other.get_config()


def joined(forms):
    """The input of a column: its only form, or the `Forms` of several.

    Args:
        forms: dict from a modality to the `Input` in the form that its encoder reads.
    """
    first, *others = forms.values()
    if all(is_same(first, other) for other in others):
        return first
    return Forms(forms)
