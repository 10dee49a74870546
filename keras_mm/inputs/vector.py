import keras
import numpy as np

from ..deprecated import renamed
from ..errors import refuse_rows
from .cells import float_dtype, is_no_value, to_floats
from .input import Input, refuse_in_use
from .literals import from_text
from .standardize import LARGEST, finite_numbers, mean_and_std, standardize


@keras.saving.register_keras_serializable(package="keras_mm")
class Vector(Input):
    """A column of vectors of one size, such as embeddings from another model.

    A cell is a list or an array, or text that spells one, as in a CSV file.
    The tensor is standardised with one mean and one standard deviation over
    all entries, which keeps relative distances and brings embeddings to the
    scale of the other inputs. A missing vector is all NaN, and so is one of
    which any entry is NaN or infinite.

    Examples:

    >>> vector = keras_mm.Vector(2).adapt(pandas.Series([[1.0, 3.0], [3.0, 1.0]]))
    >>> vector.preprocess([[3.0, 2.0]]).numpy().tolist()
    [[1.0, 0.0]]

    Args:
        size: int, number of entries.
        mean: float, learned by `adapt`.
        std: float, learned by `adapt`; 1 if all numbers are the same.
    """

    kind = "vector"
    default_encoder = "dense"
    raw_dtype = "float64"

    def __init__(self, size, mean=None, std=None):
        if int(size) != size or size < 1:
            raise ValueError(f"`size` must be a positive int. Received: size={size}")
        self.size = int(size)
        self.mean = mean
        self.std = std

    @property
    def raw_shape(self):
        """`(size,)`."""
        return (self.size,)

    @property
    def shape(self):
        """`(size,)`."""
        return (self.size,)

    def adapt(self, column, name="column"):
        """Learns mean and standard deviation of all entries; returns `self`."""
        refuse_in_use(self, name)
        values = self.to_raw(column, name)
        if np.isnan(values).all():
            raise ValueError(
                f"Column {name!r} has no vector in it. Leave it out of the "
                f"inputs. Received: {name} with {len(column)} missing values"
            )
        self.mean, self.std = map(float, mean_and_std(values.reshape(-1)))
        return self

    @property
    def is_adapted(self):
        """Whether mean and standard deviation are known."""
        return self.mean is not None

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """Vectors -> array `(rows, size)`, all NaN where missing.

        It is `float64`, or `float32` if all cells are.
        """
        rows = np.full((len(column), self.size), np.nan, float_dtype(column))
        wrong, reason = [], ""
        for row, cell in enumerate(map(from_text, column)):
            if is_no_value(cell):
                continue
            try:
                rows[row] = self._read(cell)
            except ValueError as error:
                reason = reason or str(error)
                wrong.append(row)
        if wrong and on_unreadable == "error":
            refuse_rows(
                name,
                wrong,
                f"no vector of {self.size} finite numbers ({reason})",
                "Correct the cells, or pass on_unreadable='missing' to treat them as "
                "missing.",
                column.iloc[wrong[0]],
            )
        return rows

    def _read(self, cell):
        """One cell -> array `(size,)`, all NaN or all finite."""
        values = to_floats(cell)
        if values.shape != (self.size,):
            raise ValueError(f"an array of shape {values.shape}")
        finite = np.abs(values) <= LARGEST
        if not (finite.all() or np.isnan(values).all()):
            raise ValueError("NaN or infinity, or more than 1e30, among its numbers")
        return values

    def decode(self, raw):
        """Numbers `(batch, size)` -> `float32` tensor `(batch, size)`."""
        import tensorflow as tf

        values = finite_numbers(tf.ensure_shape(raw, [None, self.size]))
        is_finite = ~tf.reduce_any(tf.math.is_nan(values), axis=1, keepdims=True)
        values = tf.where(is_finite, values, np.nan)
        return standardize(values, self.mean, self.std)

    def sample(self, random, bad=False):
        """A random vector; one of infinities when `bad`."""
        if bad:
            return np.full(self.size, np.inf, "float32")
        values = random.normal(self.mean or 0.0, self.std or 1.0, self.size)
        return values.astype("float32")

    def describe(self):
        """A one-line description."""
        return f"Vector, {self.size} numbers"

    def get_config(self):
        """The constructor's arguments."""
        return {"size": self.size, "mean": self.mean, "std": self.std}
