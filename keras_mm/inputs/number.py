import keras
import numpy as np

from ..deprecated import renamed
from ..errors import refuse_rows
from .cells import to_number
from .input import Input, refuse_in_use
from .quantiles import (
    bin_edges,
    check_positive,
    interpolate,
    learn_quantiles,
    log_statistics,
    normal_quantiles,
    normal_scores,
)
from .standardize import (
    LARGEST,
    compress_outliers,
    finite_numbers,
    mean_and_std,
    standardize,
)


@keras.saving.register_keras_serializable(package="keras_mm")
class Number(Input):
    """A column of numbers, as an input or as a target to predict.

    The tensor is standardised, `(value - mean) / std`, with the mean and standard
    deviation of the rows that `adapt` saw, and NaN where the number is missing.
    Neither includes outliers (a hundred times farther from the median than usual),
    and beyond 10 standard deviations the tensor grows only logarithmically: one
    wrong number does not spoil its column. Numbers are `float64` until they are
    standardised, so that 1000000001 and 1000000002 differ. Absolute values above
    1e30 are not accepted.

    With `scale="quantile"` the tensor is the normal score of the number's quantile: the
    columns' tails are as light as those of a normal distribution, and numbers outside
    the range of the training rows count as its ends. Encoders choose the scale that they
    read.

    Among the targets of a `Schema` it becomes a `keras_mm.targets.NumberTarget`.

    Examples:

    >>> age = keras_mm.Number().adapt(pandas.Series([20.0, 30.0, 40.0]))
    >>> age.mean
    30.0

    Args:
        mean: float, learned by `adapt`.
        std: float, learned by `adapt`; 1 for a constant column.
        quantiles: list of floats, learned by `adapt`.
        scale: `"standard"`; `"quantile"`; or `"log"`, the standardised logarithm of
            positive numbers (smaller ones than in the training rows count as their
            smallest). Of a target see `keras_mm.targets.NumberTarget`.

    Reference:
        Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data", on
        normal scores.
    """

    kind = "number"
    group = "numbers"
    default_encoder = "tabular"
    raw_dtype = "float64"

    def __init__(self, mean=None, std=None, quantiles=None, scale="standard"):
        check_scale(scale)
        self.mean = mean
        self.std = std
        self.quantiles = quantiles
        self.scale = scale

    def with_scale(self, scale):
        """A copy whose tensor has this scale."""
        return self.from_config({**self.get_config(), "scale": scale})

    def bin_edges(self, bins):
        """Edges of bins of equally many training rows, in normal scores.

        Those of a normal distribution if the quantiles are not known.

        Args:
            bins: int, how many bins at most.
        """
        return bin_edges(self.quantiles or normal_quantiles(), bins)

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
        if self.scale == "log":
            check_positive(values, name)
        self.quantiles = learn_quantiles(values)
        return self

    @property
    def is_adapted(self):
        """Whether mean and standard deviation are known."""
        return self.mean is not None

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """Column of numbers -> `float64` array, NaN where missing.

        Numbers written as text are read, also `"True"` as 1 and `"False"` as 0;
        text such as `"NA"` and `"nan"` is missing. Other text, infinities and
        absolute values above 1e30 are unreadable cells.
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
        if wrong and on_unreadable == "error":
            refuse_rows(
                name,
                wrong,
                "no finite number",
                "Correct the cells, or pass on_unreadable='missing' to treat them as "
                "missing.",
                column.iloc[wrong[0]],
            )
        return values

    def decode(self, raw):
        """Raw numbers `(batch,)` -> `float32` tensor `(batch, 1)`."""
        import tensorflow as tf

        values = finite_numbers(tf.reshape(raw, [-1, 1]))
        if self.scale == "quantile" and self.quantiles:
            return interpolate(values, *normal_scores(self.quantiles))
        if self.scale == "log" and self.quantiles:
            least, mean, std = log_statistics(self.quantiles)
            return standardize(tf.math.log(tf.maximum(values, least)), mean, std)
        return compress_outliers(standardize(values, self.mean, self.std))

    def sample(self, random, bad=False):
        """A number near the column's mean; infinity when `bad`."""
        if bad:
            return float("inf")
        return float(random.normal(self.mean or 0.0, self.std or 1.0))

    def describe(self):
        """A one-line description."""
        if not self.is_adapted:
            return "Number"
        return f"Number, mean {self.mean:.4g}, standard deviation {self.std:.4g}"

    def get_config(self):
        """The constructor's arguments."""
        return {
            "mean": self.mean,
            "std": self.std,
            "quantiles": self.quantiles,
            "scale": self.scale,
        }


def check_scale(scale):
    """Raises a `ValueError` if it is no scale of numbers."""
    if scale not in ("standard", "log", "quantile"):
        raise ValueError(
            "`scale` must be 'standard', 'log' or 'quantile'. "
            f"Received: scale={scale!r}"
        )
