import keras
import numpy as np

from ..errors import refuse_rows
from ..inputs import Number
from ..inputs.number import check_scale
from ..inputs.quantiles import check_positive, learn_quantiles
from ..inputs.standardize import mean_and_std
from .checks import check_finite, check_numbers, check_shape
from .target import Target, divide


@keras.saving.register_keras_serializable(package="keras_mm")
class NumberTarget(Target):
    """A number to predict: `keras_mm.Number()` among the targets of a schema.

    Predictions are in the column's own unit, in `float32`.

    Examples:

    >>> price = keras_mm.targets.NumberTarget().adapt(pandas.Series([20.0, 30.0, 40.0]))
    >>> price.mean
    30.0

    Args:
        mean: float, learned by `adapt`.
        std: float, learned by `adapt`, including outliers; 1 for a constant column.
        quantiles: list of floats, learned by `adapt`.
        scale: what a model is trained on, by the squared error: `"standard"`, the
            standardised number; `"log"`, the standardised logarithm of positive numbers;
            `"quantile"`, the normal score of the number's quantile. With the last two, a
            few very large numbers do not outweigh all others; what is predicted is
            nearer to the median than to the mean.
    """

    kind = "number"
    hidden_units = 64
    metrics = ("r2", "mean_absolute_error", "root_mean_squared_error")
    lower_is_better = ("mean_absolute_error", "root_mean_squared_error")

    def __init__(self, mean=None, std=None, quantiles=None, scale="standard"):
        check_scale(scale)
        self.mean = mean
        self.std = std
        self.quantiles = quantiles
        self.scale = scale

    def learn(self, column, name, allow_missing):
        self.encode(column, name, allow_missing)
        values = Number().to_raw(column, name)
        if np.isnan(values).all():
            raise ValueError(
                f"Column {name!r} has no numbers to learn from. "
                f"Received: {name} with {len(values)} missing values"
            )
        spread = np.nanstd(values)
        step = float(np.spacing(np.float32(np.nanmax(np.abs(values)))))
        if 0 < spread < 8 * step:
            raise ValueError(
                f"Target {name!r} is predicted in float32, whose resolution at numbers "
                f"of this size is {step:g}. Subtract a constant before training, and "
                f"add it to the predictions: table[{name!r}] -= "
                f"{np.nanmedian(values):.10g}. Received: {name} with a standard "
                f"deviation of {spread:g}"
            )
        if self.scale == "log":
            check_positive(values, name)
        self.mean, self.std = map(float, mean_and_std(values, robust=False))
        self.quantiles = learn_quantiles(values)

    @property
    def is_adapted(self):
        """Whether mean and deviation are known, or the model was built without them."""
        return self.mean is not None or self.is_in_use

    @property
    def units(self):
        """1."""
        return 1

    def encode(self, column, name="target", allow_missing=False):
        """Numbers -> `float32` array `(rows, 1)`, in their own unit.

        A missing number is NaN with `allow_missing`, and an error without.
        """
        values = Number().to_raw(column, name)
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

    def check(self, labels, name="y", allow_missing=False):
        """Raises a `ValueError` unless an array holds one number per row."""
        check_numbers(labels, name)
        check_shape(labels, 1, name)
        check_finite(labels[self.is_known(labels)] if allow_missing else labels, name)

    def scores(self, labels, predictions, weights):
        """`mean_absolute_error`, `root_mean_squared_error` and `r2`."""
        truth = np.asarray(labels, "float64").reshape(-1)
        error = np.asarray(predictions, "float64").reshape(-1) - truth
        rows = weights.sum(axis=1)
        squared = weights @ error**2
        # Centred, against rounding errors.
        centred = truth - truth.mean()
        spread = weights @ centred**2 - (weights @ centred) ** 2 / rows
        return {
            "mean_absolute_error": weights @ np.abs(error) / rows,
            "root_mean_squared_error": np.sqrt(squared / rows),
            # Constant labels have no variance to explain.
            "r2": np.where(spread > 0, 1.0 - divide(squared, spread), 0.0),
        }

    def to_columns(self, predictions, name):
        """The number, under the column's own name."""
        return {name: predictions.reshape(-1)}

    def to_answers(self, predictions, name):
        """Predictions `(batch, 1)` -> the number `(batch,)`."""
        import tensorflow as tf

        return {name: tf.reshape(predictions, [-1])}

    def expected_answers(self, predictions, name, answers):
        """The expected result of `to_answers`, in NumPy."""
        return {name: predictions.reshape(len(predictions))}

    @property
    def unit(self):
        """The standard deviation of the training rows."""
        return self.std or 1.0

    def answers(self, name):
        """Outputs of an exported model: {output name: description}."""
        return {name: "the predicted number"}

    def caption(self, prediction):
        """The number with four digits."""
        return f"{np.ravel(prediction)[0]:.4g}"

    def draw(self, axes, labels, predictions):
        """A scatter plot of predictions against labels."""
        truth, predicted = np.ravel(labels), np.ravel(predictions)
        axes.scatter(truth, predicted, s=10, alpha=0.5)
        ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
        axes.plot(ends, ends, color="grey", linewidth=0.8)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")

    def describe(self):
        """A one-line description."""
        if self.mean is None:
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
