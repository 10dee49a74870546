import datetime
import math
import re

import keras
import numpy as np

from ..deprecated import renamed
from ..errors import refuse_rows
from .cells import is_no_value, only_item
from .input import Input, refuse_in_use
from .standardize import compress_outliers, mean_and_std
from .vocabulary import strip

# Year, month, day; hour, minute, second; zone. TensorFlow's RE2 and Python
# read it alike.
_ISO = (
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.][0-9]+)?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2}(?::[0-9]{2})?)?)?"
)
_PATTERN = re.compile(_ISO)


@keras.saving.register_keras_serializable(package="keras_mm")
class Date(Input):
    """A column of dates, with or without times.

    A cell is a `datetime`, `date`, pandas or NumPy timestamp, or text in ISO
    form, `"2024-05-01"` or `"2024-05-01T13:30"`, which is also what a request
    holds. A time zone, such as `Z` or `+02:00`, is accepted and ignored: the hour
    is the local one, as written.

    The tensor holds sine and cosine of the position in the year, in the week and,
    if the column has times, in the day, so that December is next to January;
    and the days since 1970, standardised, for trends over the years. A missing
    date is all NaN. Dates share an encoder with the numbers. The output
    `<column>_is_date` of an exported model says whether it was a date.

    Examples:

    >>> date = keras_mm.Date().adapt(pandas.Series(["2024-01-01", "2024-12-31"]))
    >>> date.preprocess(["2024-07-01T12:00", ""]).numpy().round(1).tolist()
    [[0.0, -1.0, 0.0, 1.0, 0.0], [nan, nan, nan, nan, nan]]

    Args:
        has_time: bool, whether any time differs from midnight, learned by
            `adapt`.
        mean: float, days since 1970, learned by `adapt`.
        std: float, in days, learned by `adapt`; 1 for a constant column.

    Reference:
        Days since 1970 of a date in the proleptic Gregorian calendar: Howard
        Hinnant, "chrono-Compatible Low-Level Date Algorithms",
        `days_from_civil`.
    """

    kind = "number"
    group = "numbers"
    default_encoder = "tabular"
    # A client knows by this output that the text is a date.
    ok_suffix = "_is_date"

    def __init__(self, has_time=False, mean=None, std=None):
        self.has_time = has_time
        self.mean = mean
        self.std = std

    @property
    def shape(self):
        """`(5,)`, or `(7,)` with times."""
        return (7,) if self.has_time else (5,)

    def adapt(self, column, name="column"):
        """Learns whether there are times, and mean and spread; returns `self`."""
        refuse_in_use(self, name)
        import tensorflow as tf

        days, seconds = parse_dates(tf.constant(self.to_raw(column, name).tolist()))[:2]
        days = days.numpy() + seconds.numpy() / 86400
        days = days[~np.isnan(days)]
        if not len(days):
            raise ValueError(
                f"Column {name!r} has no date in it. Leave it out of the "
                f"inputs. Received: {name} with {len(column)} missing values"
            )
        self.has_time = bool((days % 1).any())
        self.mean, std = map(float, mean_and_std(days))
        # Rounding leaves a tiny spread in a constant column.
        self.std = std if std > 1e-6 else 1.0
        return self

    @property
    def is_adapted(self):
        """Whether mean and standard deviation are known."""
        return self.mean is not None

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """Dates -> object array of ISO text, `b""` where missing."""
        values = np.empty(len(column), dtype=object)
        values[:] = b""
        wrong = []
        for row, cell in enumerate(column):
            cell = only_item(cell)
            if is_no_value(cell):
                continue
            try:
                values[row] = to_iso(cell).encode("ascii")
            except ValueError:
                wrong.append(row)
        if wrong and on_unreadable == "error":
            refuse_rows(
                name,
                wrong,
                "no date in ISO form",
                "Write dates as 2024-05-01 or 2024-05-01T13:30 "
                "(pandas.to_datetime reads many forms), or pass "
                "on_unreadable='missing' to treat the cells as missing.",
                column.iloc[wrong[0]],
            )
        return values

    def decode(self, raw):
        """ISO text `(batch,)` -> `float32` tensor `(batch, features)`."""
        import tensorflow as tf

        days, seconds, year_day, year_days = parse_dates(raw)
        # 1 January 1970 was a Thursday, three days after Monday.
        turns = [year_day / year_days, tf.math.floormod(days + 3.0, 7.0) / 7.0]
        if self.has_time:
            turns.append(seconds / 86400.0)
        features = [
            wave(2.0 * math.pi * turn) for turn in turns for wave in (tf.sin, tf.cos)
        ]
        trend = days + seconds / 86400.0
        if self.is_adapted:
            trend = compress_outliers((trend - self.mean) / self.std)
        features = tf.stack([*features, trend], axis=1)
        return tf.ensure_shape(tf.cast(features, tf.float32), [None, *self.shape])

    def readable(self, compact):
        """Compact batch -> which cells hold a date."""
        import tensorflow as tf

        return tf.logical_not(tf.math.is_nan(compact[:, 0]))

    def sample(self, random, bad=False):
        """A date near those of the column; text that is none when `bad`."""
        if bad:
            return b"2023-02-29"
        days = random.normal(self.mean or 0.0, self.std or 1.0)
        # The years 1 to 9999.
        days = min(max(days, -719162.0), 2932896.0)
        date = datetime.datetime(1970, 1, 1) + datetime.timedelta(days=days)
        text = date.isoformat(timespec="minutes")
        return (text if self.has_time else text[:10]).encode("ascii")

    def request_value(self):
        """The value of one row in a request, in words."""
        return "date as string, `2024-05-01` or `2024-05-01T13:30`"

    def describe(self):
        """A one-line description."""
        what = "Date and time" if self.has_time else "Date"
        if not self.is_adapted:
            return what
        start = datetime.date(1970, 1, 1) + datetime.timedelta(days=round(self.mean))
        return f"{what}, mean {start}, standard deviation {self.std:.4g} days"

    def get_config(self):
        """The constructor's arguments."""
        return {"has_time": self.has_time, "mean": self.mean, "std": self.std}


def to_iso(cell):
    """One date in any of its forms -> ISO text.

    Raises:
        ValueError: if it is not a date.
    """
    if isinstance(cell, np.datetime64):
        text = str(cell.astype("datetime64[s]"))
    elif isinstance(cell, (datetime.date, datetime.datetime)):
        text = cell.isoformat()
    elif isinstance(cell, (bytes, bytearray)):
        text = bytes(cell).decode("utf-8").strip()
    elif isinstance(cell, str):
        text = cell.strip()
    else:
        raise ValueError("no date")
    match = _PATTERN.fullmatch(text)
    if not match:
        raise ValueError("not in ISO form")
    # Raises for the 30th of February and the 25th hour.
    datetime.datetime(*(int(part or 0) for part in match.groups()))
    return text


def days_from_civil(year, month, day):
    """Year, month, day -> days since 1 January 1970, all of them integers.

    The year starts in March, so that a leap day is its last.

    Reference:
        Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    """
    import tensorflow as tf

    year = tf.where(month <= 2, year - 1, year)
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100
    return era * 146097 + day_of_era + day_of_year - 719468


def parse_dates(raw):
    """ISO text `(batch,)` -> numbers, NaN where the text is not a date.

    Returns:
        `float64` tensors `(batch,)`: days since 1970; seconds since midnight;
        days since 1 January; number of days in the year.
    """
    import tensorflow as tf

    text = strip(tf.reshape(raw, [-1]))
    fits = tf.strings.regex_full_match(text, _ISO)
    text = tf.where(fits, text, "0000-00-00")
    # One text for all six numbers; a date without time has midnight.
    digits = tf.strings.regex_replace(text, _ISO, r"\1 \2 \3 0\4 0\5 0\6")
    parts = tf.strings.to_number(
        tf.strings.split(digits).to_tensor(shape=[None, 6], default_value="0"), tf.int32
    )
    year, month, day, hour, minute, second = tf.unstack(parts, axis=1)
    days = days_from_civil(year, month, day)
    next_month = days_from_civil(year + month // 12, month % 12 + 1, 1)
    new_year = days_from_civil(year, 1, 1)
    valid = (
        (year >= 1)
        & (month >= 1)
        & (month <= 12)
        & (day >= 1)
        & (days < next_month)
        & (hour < 24)
        & (minute < 60)
        & (second < 60)
    )
    seconds = hour * 3600 + minute * 60 + second
    year_days = days_from_civil(year + 1, 1, 1) - new_year
    return [
        tf.where(valid, tf.cast(value, tf.float64), np.nan)
        for value in (days, seconds, days - new_year, year_days)
    ]
