"""The contract that every input of a model fulfils."""


class Input:
    """Base class: what one column of a table is, and how it becomes a tensor.

    An input knows the raw form of its column (what a table or a request
    holds), the tensor form (what the model takes), and the TensorFlow graph
    functions between them. Training, prediction and the exported model call
    the same functions, so that they cannot disagree.

    The way from a cell to a tensor has three steps:

    1. `to_raw(column)`: table cells -> a NumPy array of strings or numbers,
       checked. Missing cells become `""` or NaN.
    2. `decode(raw)`: raw batch -> a compact batch that may be cached
       (`uint8` pixels and a flag, token ids, numbers).
    3. `finish(compact)`: compact batch -> the tensor that the model takes.

    `preprocess(raw)` is 2 followed by 3.
    """

    # The modality that the builder groups columns of this type under; None:
    # each column is a modality of its own.
    group = None
    # What the builder takes when no encoder is named.
    default_encoder = None

    def adapt(self, column, name="column"):
        """Learns what the input needs to know from a column; returns `self`."""
        return self

    @property
    def is_adapted(self):
        """Whether raw values can be turned into tensors."""
        return True

    def to_raw(self, column, name="column", base_dir=None, bad="error"):
        """Turns a column of a table into a checked NumPy array.

        Args:
            column: pandas Series, one cell a row.
            name: string, the column's name, for messages.
            base_dir: folder that relative paths start from.
            bad: `"error"` refuses unreadable cells with their row numbers,
                `"missing"` turns them into missing ones.

        Returns:
            Array of shape `(rows,)`, dtype `object` (bytes or strings) or
            `float32`.
        """
        raise NotImplementedError

    def decode(self, raw):
        """Raw batch `(batch,)` -> compact batch. TensorFlow graph ops."""
        return raw

    def finish(self, compact):
        """Compact batch -> tensor for the model. TensorFlow graph ops."""
        return compact

    def preprocess(self, raw):
        """Raw batch `(batch,)` -> tensor for the model. TensorFlow graph ops."""
        return self.finish(self.decode(raw))

    def keras_input(self, name):
        """The symbolic Keras tensor that this input feeds."""
        raise NotImplementedError

    def serving_spec(self, name):
        """`tf.TensorSpec` of the raw form in the exported model."""
        import tensorflow as tf

        return tf.TensorSpec([None], getattr(tf, self.raw_dtype), name=name)

    @property
    def raw_dtype(self):
        """`"string"` or `"float32"`: the raw form's dtype."""
        return "string"

    @property
    def missing(self):
        """The raw value that stands for a missing cell."""
        return b"" if self.raw_dtype == "string" else float("nan")

    def sample(self, random, bad=False):
        """One raw value to test an exported model with.

        Args:
            random: a `numpy.random.Generator`.
            bad: bool, whether to return a value that cannot be read. Inputs
                whose every value can be read return a missing one.

        Returns:
            bytes or float.
        """
        raise NotImplementedError

    def describe(self):
        """One line for people: raw form -> tensor form."""
        return type(self).__name__

    def get_config(self):
        """The arguments of `__init__` and what `adapt` learned."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config):
        """Creates the input again from `get_config()`."""
        return cls(**config)

    def __repr__(self):
        return self.describe()
