import keras
import numpy as np

from ..deprecated import renamed
from ..errors import refuse_rows
from .cells import float_dtype, is_no_value, to_floats
from .input import Input, refuse_in_use
from .literals import from_text
from .standardize import (
    LARGEST,
    compress_outliers,
    finite_numbers,
    mean_and_std,
    standardize,
)


@keras.saving.register_keras_serializable(package="keras_mm")
class Sequence(Input):
    """A column of time series: measurements of one or more channels, step by step.

    A cell is an array or list `(steps, channels)`, or `(steps,)` for a single
    channel; or text that spells one, as in a CSV file. The tensor is standardised,
    each channel by its own mean and standard deviation over the rows that `adapt`
    saw. It is cut after `length` steps; shorter sequences are padded with NaN at
    the end.

    A gap in one channel is NaN, which encoders read as the channel's mean. A step
    that is NaN in all channels is masked. `keras_mm.data.align` resamples signals
    that have their own timestamps to common steps.

    Examples:

    >>> motion = keras_mm.Sequence(length=3).adapt(pandas.Series([[1, 2, 3], [2]]))
    >>> motion.mean
    [2.0]
    >>> motion.preprocess([[[2.0], [2.0]]]).numpy()[0, :, 0].tolist()
    [0.0, 0.0, nan]

    Args:
        length: int, how many steps are read; the rest is cut off.
        channels: int, numbers per step.
        sampling_rate: float, steps per second, or None; for documentation, and for
            `keras_mm.data.align`. The tensor does not depend on it.
        mean: list of floats, one per channel, learned by `adapt`.
        std: list of floats, learned by `adapt`; 1 for a constant channel.
    """

    kind = "sequence"
    default_encoder = "temporal_cnn"
    raw_dtype = "float64"

    def __init__(self, length, channels=1, sampling_rate=None, mean=None, std=None):
        for name, value in (("length", length), ("channels", channels)):
            if int(value) != value or value < 1:
                raise ValueError(
                    f"`{name}` must be a positive int. Received: {name}={value}"
                )
        if sampling_rate is not None and not 0 < sampling_rate < np.inf:
            raise ValueError(
                "`sampling_rate` must be a positive number of steps per second. "
                f"Received: sampling_rate={sampling_rate}"
            )
        self.length = int(length)
        self.channels = int(channels)
        self.sampling_rate = sampling_rate
        self.mean = None if mean is None else [float(value) for value in mean]
        self.std = None if std is None else [float(value) for value in std]

    @property
    def raw_shape(self):
        """`(None, channels)`: rows may have different numbers of steps."""
        return (None, self.channels)

    @property
    def shape(self):
        """`(length, channels)` of one row's tensor."""
        return (self.length, self.channels)

    def adapt(self, column, name="column"):
        """Learns each channel's mean and standard deviation; returns `self`."""
        refuse_in_use(self, name)
        values = self.to_raw(column, name).reshape(-1, self.channels)
        empty = np.flatnonzero(np.isnan(values).all(axis=0))
        if len(empty):
            raise ValueError(
                f"Column {name!r} has no number in channel {empty[0]}. Leave the "
                f"channel or the column out. Received: {name} with {len(column)} "
                "rows"
            )
        self.mean, self.std = (each.tolist() for each in mean_and_std(values))
        return self

    @property
    def is_adapted(self):
        """Whether means and standard deviations are known."""
        return self.mean is not None

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """Sequences -> array `(rows, steps, channels)`.

        It is `float64`, or `float32` if all cells are.
        `steps` is that of the column's longest sequence, `length` at the most;
        shorter and missing ones are padded with NaN. With `on_unreadable="missing"` an
        infinity is a missing number, and a cell of a wrong shape a missing cell.
        """
        dtype = float_dtype(column)
        rows = [np.empty((0, self.channels), dtype)] * len(column)
        wrong, reason = [], ""
        for row, cell in enumerate(map(from_text, column)):
            if is_no_value(cell):
                continue
            try:
                values = self._read(cell)
            except ValueError as error:
                reason = reason or str(error)
                wrong.append(row)
                continue
            infinite = np.abs(values) > LARGEST
            if infinite.any():
                reason = reason or "it holds infinities, or more than 1e30"
                wrong.append(row)
                values[infinite] = np.nan
            rows[row] = values[: self.length].astype(dtype)
        if wrong and on_unreadable == "error":
            refuse_rows(
                name,
                wrong,
                f"no sequence of {self.channels} channels ({reason})",
                "Correct the cells, or pass on_unreadable='missing' to treat them as "
                "missing.",
                column.iloc[wrong[0]],
            )
        return _stack(rows, self.channels, dtype)

    def _read(self, cell):
        """One cell -> `float64` array `(steps, channels)`."""
        values = to_floats(cell)
        if values.ndim == 1 and self.channels == 1:
            values = values[:, np.newaxis]
        if values.ndim != 2 or values.shape[1] != self.channels:
            raise ValueError(f"an array of shape {values.shape}")
        return values

    def decode(self, raw):
        """Numbers `(batch, steps, channels)` -> `(batch, length, channels)`."""
        import tensorflow as tf

        values = finite_numbers(raw)
        if values.shape.rank == 2:
            # Rows of a tf.data.Dataset may hold one channel without its axis.
            values = values[..., tf.newaxis]
        values = values[:, : self.length]
        short = self.length - tf.shape(values)[1]
        values = tf.pad(values, [[0, 0], [0, short], [0, 0]], constant_values=np.nan)
        values = tf.ensure_shape(values, [None, *self.shape])
        return compress_outliers(standardize(values, self.mean, self.std))

    def sample(self, random, bad=False):
        """A random sequence, some with a gap; infinities when `bad`."""
        shape = (int(random.integers(1, self.length + 1)), self.channels)
        if bad:
            return np.full(shape, np.inf, "float32")
        values = random.normal(self.mean or 0.0, self.std or 1.0, shape)
        values[random.integers(shape[0]), random.integers(shape[1])] = np.nan
        # At least one step has all its values.
        values[0] = self.mean or 0.0
        return values.astype("float32")

    def describe(self):
        """A one-line description."""
        channels = f"{self.channels} channel{'s' * (self.channels > 1)}"
        rate = f", {self.sampling_rate:g} Hz" if self.sampling_rate else ""
        return f"Sequence, {self.length} steps of {channels}{rate}"

    def get_config(self):
        """The constructor's arguments."""
        return {
            "length": self.length,
            "channels": self.channels,
            "sampling_rate": self.sampling_rate,
            "mean": self.mean,
            "std": self.std,
        }


def _stack(rows, channels, dtype):
    """Arrays `(steps, channels)` -> one array, padded with NaN at the end."""
    steps = max([1, *map(len, rows)])
    array = np.full((len(rows), steps, channels), np.nan, dtype)
    for row, values in enumerate(rows):
        array[row, : len(values)] = values
    return array
