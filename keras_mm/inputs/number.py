import keras
import numpy as np

from ..errors import refuse_rows
from .cells import to_number
from .in_use import refuse_in_use
from .input import Input
from .standardize import LARGEST, draw_near, known_numbers, mean_and_std, standardize


@keras.saving.register_keras_serializable(package="keras_mm")
class Number(Input):
    """A column of numbers, as an input or as a target to predict.

    As an input the tensor is standardised, `(value - mean) / std`, with the
    mean and standard deviation of the rows that `adapt` saw, and NaN where the
    number is missing. Outliers count in neither (a hundred times farther from the
    median than usual), and beyond 10 standard deviations the tensor grows with
    the logarithm only: one wrong number does not spoil its column. Numbers are
    `float64` until they are standardised, so that 1000000001 and 1000000002
    differ; what is larger than 1e30 in size is no number.

    As a target the model predicts in the column's own unit, in `float32`.

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
    raw_dtype = "float64"

    def __init__(self, mean=None, std=None):
        self.mean = mean
        self.std = std

    def adapt(self, column, name="column"):
        """Learns mean and standard deviation from a column; returns `self`."""
        refuse_in_use(self, name)
        values = self.to_raw(column, name)
        if np.isnan(values).all():
            raise ValueError(
                f"Column {name!r} has no number in it. Leave it out of the "
                f"inputs. Received: {name} with {len(values)} missing values"
            )
        self.mean, self.std = map(float, mean_and_std(values))
        return self

    def adapt_target(self, column, name="target", allow_missing=False):
        """Learns the unit of a target, outliers included; returns `self`."""
        refuse_in_use(self, name)
        self.encode(column, name, allow_missing)
        values = self.to_raw(column, name)
        if np.isnan(values).all():
            return self.adapt(column, name)
        spread = np.nanstd(values)
        step = float(np.spacing(np.float32(np.nanmax(np.abs(values)))))
        if 0 < spread < 8 * step:
            raise ValueError(
                f"Target {name!r} is predicted in float32, which cannot tell numbers of "
                f"this size apart by less than {step:g}. Subtract what all rows have in "
                f"common before, and add it to the predictions: table[{name!r}] -= "
                f"{np.nanmedian(values):.10g}. Received: {name} with a standard "
                f"deviation of {spread:g}"
            )
        self.mean, self.std = map(float, mean_and_std(values, robust=False))
        return self

    @property
    def is_adapted(self):
        """Whether mean and standard deviation are known."""
        return self.mean is not None

    def to_raw(self, column, name="column", base_dir=None, bad="error"):
        """Column of numbers -> `float64` array, NaN where missing.

        Numbers written as text are read, also `"True"` as 1 and `"False"` as 0;
        text such as `"NA"` and `"nan"` is missing. Other text, infinities and what
        is larger than 1e30 in size are bad cells.
        """
        values = np.full(len(column), np.nan, dtype="float64")
        wrong = []
        for row, cell in enumerate(column):
            try:
                values[row] = to_number(cell)
            except (TypeError, ValueError, OverflowError):
                wrong.append(row)
                continue
            if not abs(values[row]) <= LARGEST:
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
        return values

    def decode(self, raw):
        """Raw numbers `(batch,)` -> `float32` tensor `(batch, 1)`."""
        import tensorflow as tf

        values = known_numbers(tf.reshape(raw, [-1, 1]))
        return draw_near(standardize(values, self.mean, self.std))

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
        return values[:, None].astype("float32")

    def answers(self, name):
        """What an exported model predicts: {output name: what it is}."""
        return {name: "the predicted number"}

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
