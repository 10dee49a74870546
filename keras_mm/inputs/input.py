"""The contract that every input of a model fulfils."""

import base64
import math

import keras
import numpy as np

from ..deprecated import renamed


class Input:
    """Base class of inputs: one column of a table, and how it becomes a tensor.

    An input defines the raw form of its column (what a request holds), the tensor
    form (what the model takes), and the TensorFlow graph functions from one to the
    other. Training, prediction and the exported model call the same functions, so
    that they cannot disagree.

    A cell becomes a tensor in three steps:

    1. `to_raw(column)`: table cells -> a NumPy array of strings or numbers,
       checked. Missing cells become `""` or NaN.
    2. `decode(raw)`: raw batch -> a compact batch that may be cached
       (`uint8` pixels and a flag, token ids, numbers). For files (see
       `is_file`) it is `(values, ok)`.
    3. `finish(compact)`: compact batch -> the tensor that the model takes.

    `preprocess(raw)` is 2 followed by 3.
    """

    # Whether a model's weights depend on what `adapt` learned.
    is_in_use = False
    # What the tensor holds, for encoders: "image", "text", "sequence", ...
    kind = None
    # The modality that the builder groups columns of this type under; None:
    # each column is a modality of its own.
    group = None
    # The encoder that is built when none is named.
    default_encoder = None
    # Whether a cell is a file, such as an image: a path stands for the file's
    # content, an unreadable file affects only its own row, and the exported model
    # has an output `<name>_ok`.
    is_file = False
    # The most items, such as images, that a cell may hold, if cells are lists;
    # each is encoded by itself. None: the cell is one value.
    num_items = None
    # The raw form of one row: its dtype, "string", "float32" or "int64", and
    # its shape, where None is a length that varies from row to row.
    raw_dtype = "string"
    raw_shape = ()
    # The tensor form of one row.
    shape = (1,)
    dtype = "float32"

    def adapt(self, column, name="column"):
        """Learns the input's properties from a column; returns `self`."""
        return self

    @property
    def is_adapted(self):
        """Whether raw values can be turned into tensors."""
        return True

    @property
    def ok_suffix(self):
        """Suffix of the exported model's output for whether a cell was present
        and could be read; None: there is no such output."""
        return "_ok" if self.is_file else None

    def readable(self, compact):
        """Compact batch -> bool mask of cells that were present and could be read."""
        return compact[1]

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """Turns a column of a table into a checked NumPy array.

        Args:
            column: pandas Series, one cell per row.
            name: string, the column's name, for messages.
            base_dir: folder that relative paths start from.
            on_unreadable: `"error"` refuses unreadable cells with their row numbers,
                `"missing"` turns them into missing ones.

        Returns:
            Array of shape `(rows, ...)`, dtype `object` (bytes or strings) or
            `float32`.
        """
        raise NotImplementedError

    def decode(self, raw):
        """Raw batch `(batch,)` -> compact batch. TensorFlow graph ops."""
        return raw

    def decode_array(self, raw):
        """`decode` of an array, eagerly; for files, by a graph that is traced once."""
        import tensorflow as tf

        raw = tf.constant(raw.tolist() if raw.dtype == object else raw, self.raw_dtype)
        if not self.is_file:
            return self.decode(raw)
        # Decoding files takes thousands of operations, which never change: `adapt`
        # affects `finish` alone.
        if not hasattr(self, "_decode_graph"):
            self._decode_graph = tf.function(
                self.decode, input_signature=[self.serving_spec("raw")], autograph=False
            )
        return self._decode_graph(raw)

    def finish(self, compact):
        """Compact batch -> tensor for the model. TensorFlow graph ops."""
        return compact

    def preprocess(self, raw):
        """Raw batch `(batch,)` -> tensor for the model. TensorFlow graph ops."""
        return self.finish(self.decode(raw))

    def decode_one(self, raw):
        """`decode` of one row, without `ok`, for files; may raise.

        Images of a large table are decoded one by one, by several threads.
        """
        raise NotImplementedError

    def row_decoder(self, raw):
        """The fastest function equivalent to `decode_one` for all of `raw`."""
        return self.decode_one

    @property
    def compact_bytes(self):
        """Bytes that one row of the compact form takes in memory."""
        return 4 * math.prod(self.shape)

    @property
    def tables(self):
        """The TensorFlow lookup tables that `decode` has created."""
        return []

    def one_item(self):
        """The input for a single item, of an input whose cells hold several."""
        raise NotImplementedError

    def form_of(self, modality):
        """The input in the form that a modality's encoder reads; see `Forms`."""
        return self

    def take(self, tensor, modality):
        """The part of the column's tensor that a modality's encoder reads."""
        return tensor

    def keras_input(self, name):
        """The symbolic Keras tensor that this input feeds."""
        return keras.Input(self.shape, dtype=self.dtype, name=name)

    def serving_spec(self, name):
        """`tf.TensorSpec` of the raw form in the exported model."""
        import tensorflow as tf

        shape = [None, *self.raw_shape]
        return tf.TensorSpec(shape, getattr(tf, self.raw_dtype), name=name)

    @property
    def missing(self):
        """The raw value that stands for a missing cell."""
        value = b"" if self.raw_dtype == "string" else math.nan
        if not self.raw_shape:
            return value
        shape = [1 if length is None else length for length in self.raw_shape]
        return np.full(shape, value, dtype=self.raw_array_dtype)

    @property
    def raw_array_dtype(self):
        """The NumPy dtype of the raw form."""
        return "object" if self.raw_dtype == "string" else self.raw_dtype

    def raw_array(self, values):
        """Raw values of some rows -> one array, padded to the longest."""
        array = np.empty(len(values), dtype="object")
        if not self.raw_shape:
            array[:] = values
            return array.astype(self.raw_array_dtype)
        values = [np.asarray(value, dtype=self.raw_array_dtype) for value in values]
        shape = np.max([value.shape for value in values], axis=0)
        padding = b"" if self.raw_dtype == "string" else math.nan
        array = np.full((len(values), *shape), padding, dtype=self.raw_array_dtype)
        for row, value in enumerate(values):
            array[(row, *map(slice, value.shape))] = value
        return array

    def sample(self, random, bad=False):
        """One raw value to test an exported model with.

        Args:
            random: a `numpy.random.Generator`.
            bad: bool, whether to return a value that cannot be read. Inputs
                whose every value can be read return a missing one.

        Returns:
            bytes, float, or an array of `raw_shape`.
        """
        raise NotImplementedError

    def json_schema(self):
        """JSON Schema of the input's value in a row of a REST request."""
        schema = {"type": "string" if self.raw_dtype == "string" else "number"}
        if self.is_file:
            encoded = {
                "type": "object",
                "required": ["b64"],
                "additionalProperties": False,
                "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
            }
            schema = {"anyOf": [encoded, {"const": ""}]}
        for length in reversed(self.raw_shape):
            schema = {"type": "array", "items": schema}
            if length is not None:
                schema |= {"minItems": length, "maxItems": length}
        if self.num_items:
            schema |= {"minItems": 1, "maxItems": self.num_items}
        return schema

    def to_json(self, value):
        """A raw value, as JSON of a REST request."""
        if np.ndim(value):
            return [self.to_json(item) for item in value]
        if self.raw_dtype != "string":
            return float(value)
        if self.is_file:
            return {"b64": base64.b64encode(value).decode("ascii")} if value else ""
        return value if isinstance(value, str) else value.decode("utf-8", "replace")

    def request_value(self):
        """The value of one row in a request, in words."""
        words = "string" if self.raw_dtype == "string" else "number"
        if self.raw_shape:
            lengths = " x ".join("n" if n is None else str(n) for n in self.raw_shape)
            words = f"array of {lengths} {words}s"
        return words

    def answers(self, name):
        """Outputs of an exported model about the input: {output name: description}."""
        if not self.ok_suffix:
            return {}
        each = f"for each of {self.num_items}: " if self.num_items else ""
        what = f"{each}whether it was present and could be read"
        return {f"{name}{self.ok_suffix}": what}

    def describe(self):
        """A one-line description."""
        return type(self).__name__

    def get_config(self):
        """The arguments of `__init__` and what `adapt` learned."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config):
        """Creates the input again from `get_config()`."""
        return cls(**config)

    def __reduce__(self):
        # Copies and pickles hold no graphs and no lookup tables.
        return type(self).from_config, (self.get_config(),)

    def __repr__(self):
        return self.describe()


def refuse_in_use(value, name):
    """Raises a `ValueError` if an input or target of a model would be adapted again.

    Args:
        value: `Input` or `Target`.
        name: string, its column.
    """
    if getattr(value, "is_in_use", False) and value.is_adapted:
        raise ValueError(
            f"Column {name!r} belongs to a model, whose weights depend on its "
            "vocabulary, classes or means. Adapt a copy and build another model with "
            "it: "
            "keras_mm.Schema.from_config(model.schema.get_config()).adapt(table). "
            f"Received: {name}={value!r}"
        )
