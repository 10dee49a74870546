import keras
import numpy as np

from ..errors import refuse_rows
from .cells import is_missing, mean_and_std
from .input import Input


@keras.saving.register_keras_serializable(package="keras_mm")
class Number(Input):
    """A column of numbers, as an input or as a target to predict.

    As an input the tensor is standardised, `(value - mean) / std`, with the
    mean and standard deviation of the rows that `adapt` saw, and NaN where the
    number is missing. As a target the model predicts in the column's own unit.

    Examples:

    >>> age = keras_mm.Number().adapt(pandas.Series([20.0, 30.0, 40.0]))
    >>> age.mean
    30.0

    Args:
        mean: float, learned by `adapt`.
        std: float, learned by `adapt`; 1 for a constant column.
    """

    kind = "number"
    group = "numbers"
    default_encoder = "dense"
    raw_dtype = "float32"

    def __init__(self, mean=None, std=None):
        self.mean = mean
        self.std = std

    def adapt(self, column, name="column"):
        """Learns mean and standard deviation from a column; returns `self`."""
        values = self.to_raw(column, name)
        if np.isnan(values).all():
            raise ValueError(
                f"Column {name!r} has no number in it. Leave it out of the "
                f"inputs. Received: {name} with {len(values)} missing values"
            )
        self.mean, self.std = map(float, mean_and_std(values.astype("float64")))
        return self

    @property
    def is_adapted(self):
        """Whether mean and standard deviation are known."""
        return self.mean is not None

    def to_raw(self, column, name="column", base_dir=None, bad="error"):
        """Column of numbers -> `float32` array, NaN where missing.

        Numbers written as text are read; text that is no number and
        infinities are bad cells.
        """
        values = np.full(len(column), np.nan, dtype="float64")
        wrong = []
        for row, cell in enumerate(column):
            if is_missing(cell):
                continue
            try:
                if isinstance(cell, (bytes, bytearray)):
                    cell = bytes(cell).decode("utf-8")
                values[row] = float(cell)
            except (TypeError, ValueError, OverflowError):
                wrong.append(row)
                continue
            # Also what float32 cannot hold.
            if not abs(values[row]) <= np.finfo("float32").max:
                if values[row] == values[row]:
                    wrong.append(row)
                values[row] = np.nan
        if wrong and bad == "error":
            refuse_rows(
                name,
                wrong,
                "no finite number",
                "Correct the cells, or pass bad='missing' to treat them as missing.",
                column.iloc[wrong[0]],
            )
        return values.astype("float32")

    def decode(self, raw):
        """Raw numbers `(batch,)` -> `float32` tensor `(batch, 1)`."""
        import tensorflow as tf

        values = tf.reshape(tf.cast(raw, tf.float32), [-1, 1])
        values = tf.where(tf.math.is_finite(values), values, np.nan)
        if self.is_adapted:
            values = (values - self.mean) / self.std
        return values

    def encode(self, column, name="target", allow_missing=False):
        """Target numbers -> `float32` array `(rows, 1)`, in their own unit.

        A missing number is NaN with `allow_missing`, and refused without.
        """
        values = self.to_raw(column, name)
        rows = np.flatnonzero(np.isnan(values))
        if len(rows) and not allow_missing:
            refuse_rows(
                name,
                rows,
                "no number to learn from",
                "Drop these rows: table.dropna(subset=[...]).",
                column.iloc[rows[0]],
            )
        return values[:, None]

    def encode_tensor(self, raw, allow_missing=False):
        """Numbers as a tensor `(batch,)` -> `float32` `(batch, 1)`."""
        import tensorflow as tf

        return tf.reshape(tf.cast(raw, tf.float32), [-1, 1])

    def sample(self, random, bad=False):
        """A number near the column's mean; infinity when `bad`."""
        if bad:
            return float("inf")
        return float(random.normal(self.mean or 0.0, self.std or 1.0))

    def describe(self):
        """One line for people."""
        if not self.is_adapted:
            return "Number"
        return f"Number, mean {self.mean:.4g}, standard deviation {self.std:.4g}"

    def get_config(self):
        """The constructor's arguments."""
        return {"mean": self.mean, "std": self.std}
