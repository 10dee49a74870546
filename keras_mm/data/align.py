"""Signals of several sensors, each with a clock of its own -> one clock."""

import typing

import numpy as np


class Aligned(typing.NamedTuple):
    """What `align` gives.

    Args:
        times: `float64` array `(steps,)`, seconds on the first signal's clock.
        values: dict from signal name to `float32` array `(steps, channels)`.
        offsets: dict from signal name to seconds by which its clock was ahead
            of the first signal's, and which were taken off its times.
    """

    times: np.ndarray
    values: dict
    offsets: dict


def align(
    signals, sampling_rate=None, max_gap=None, estimate_offset=False, offsets=None
):
    """Puts signals with times of their own on one clock.

    Each signal is interpolated linearly at common, equally spaced times over
    the span that all signals cover. Where a signal was silent for longer than
    `max_gap` it becomes NaN, which `Sequence` reads as missing. Nothing is
    smoothed: filter a signal first if it holds more than half the new sampling
    rate.

    Examples:

    >>> times = numpy.arange(0, 10, 0.02)
    >>> aligned = keras_mm.data.align(
    ...     {
    ...         "accelerometer": (times, numpy.sin(times**2)),
    ...         "gyroscope": (times + 0.5, numpy.sin(times**2)),
    ...     },
    ...     sampling_rate=50.0,
    ...     estimate_offset=True,
    ... )
    >>> round(aligned.offsets["gyroscope"], 2)
    0.5
    >>> {values.shape == (len(aligned.times), 1) for values in aligned.values.values()}
    {True}

    Args:
        signals: dict from name to `(times, values)`: times increase, in seconds
            or as datetimes, all signals alike; values are `(steps,)` or
            `(steps, channels)`, NaN where there is none.
        sampling_rate: float, steps a second of the result; that of the quickest
            signal if not given.
        max_gap: float, seconds between two measurements beyond which nothing is
            interpolated; five times a signal's median interval if not given.
        estimate_offset: bool, whether each signal's clock may be ahead of the
            first one's by a constant, which `keras_mm.data.estimate_offset`
            finds and which is taken off.
        offsets: dict from name to seconds, to take off offsets that are known,
            such as those that another recording of the same sensors gave.

    Returns:
        `Aligned`, a named tuple of `times`, `values` and `offsets`.

    Raises:
        ValueError: if a signal cannot be read, or the signals do not overlap.
    """
    if not isinstance(signals, dict) or not signals:
        raise ValueError(
            "`signals` must be a dict from name to (times, values). "
            f"Received: signals of type {type(signals).__name__}"
        )
    if estimate_offset and offsets:
        raise ValueError(
            "Offsets are either estimated or given. "
            f"Received: estimate_offset=True, offsets={offsets}"
        )
    unknown = set(offsets or ()) - set(signals)
    if unknown:
        raise ValueError(
            f"`offsets` names what is no signal of {list(signals)}. "
            f"Received: offsets={sorted(unknown)}"
        )
    if max_gap is not None and not max_gap > 0:
        raise ValueError(f"`max_gap` must be positive. Received: max_gap={max_gap}")
    read = {name: _read(name, *_pair(name, signals[name])) for name in signals}
    _check_clocks(signals)
    rate = _rate(sampling_rate, read.values())
    first = next(iter(signals))
    shift = dict.fromkeys(signals, 0.0)
    if estimate_offset:
        for name in list(signals)[1:]:
            shift[name] = estimate_offset_of(read[first], read[name], rate)
    else:
        shift.update({name: float(value) for name, value in (offsets or {}).items()})
    read = {n: (times - shift[n], values) for n, (times, values) in read.items()}
    start = max(times[0] for times, _ in read.values())
    end = min(times[-1] for times, _ in read.values())
    if end < start:
        spans = {n: (float(t[0]), float(t[-1])) for n, (t, _) in read.items()}
        raise ValueError(
            "There is no time at which all signals were measured. If their "
            "clocks differ, pass estimate_offset=True or offsets={...}. "
            f"Received: spans in seconds={spans}"
        )
    # A last step that rounding would lose is kept.
    times = start + np.arange(int((end - start) * rate + 1e-6) + 1) / rate
    values = {
        name: _resample(*signal, times, max_gap).astype("float32")
        for name, signal in read.items()
    }
    return Aligned(times, values, shift)


def estimate_offset(first, second, sampling_rate=None, max_offset=None):
    """By how many seconds the second signal's clock is ahead of the first one's.

    What happens at `t` on the first clock is written down at `t + offset` on
    the second. Both signals are resampled and standardised; if one of them has
    several channels, the Euclidean length of each step is compared, which does
    not depend on how a sensor is turned. The offset is where their
    cross-correlation is highest, refined between two samples by a parabola. The
    signals must rise and fall together, and not repeat themselves.

    Examples:

    >>> times = numpy.arange(0, 10, 0.02)
    >>> first = (times, numpy.sin(times**2))
    >>> second = (times + 0.5, numpy.sin(times**2))
    >>> round(keras_mm.data.estimate_offset(first, second), 2)
    0.5

    Args:
        first: `(times, values)`, as in `align`.
        second: `(times, values)`.
        sampling_rate: float, samples a second to compare; that of the quicker
            signal if not given.
        max_offset: float, the largest offset in seconds that is considered,
            either way; any with which the signals overlap if not given.

    Returns:
        float.

    Reference:
        Knapp and Carter 1976, "The Generalized Correlation Method for
        Estimation of Time Delay"; without its weighting of frequencies.
    """
    _check_clocks({"first": first, "second": second})
    read = [
        _read("first", *_pair("first", first)),
        _read("second", *_pair("second", second)),
    ]
    return estimate_offset_of(*read, _rate(sampling_rate, read), max_offset)


def estimate_offset_of(first, second, rate, max_offset=None):
    """`estimate_offset` of signals that were read."""
    from scipy import signal as scipy_signal

    has_sign = first[1].shape[1] == second[1].shape[1] == 1
    a, known_a = _standardised(*first, rate, has_sign)
    b, known_b = _standardised(*second, rate, has_sign)
    sums = scipy_signal.correlate(b, a)
    counts = scipy_signal.correlate(known_b, known_a).round()
    lags = scipy_signal.correlation_lags(len(b), len(a))
    seconds = second[0][0] - first[0][0] + lags / rate
    allowed = counts > 0
    if max_offset is not None:
        allowed &= np.abs(seconds) <= max_offset
    if not allowed.any():
        raise ValueError(
            "No offset within `max_offset` lets the signals overlap. "
            f"Received: max_offset={max_offset}"
        )
    # Sums prefer a long overlap, where a short one may fit by chance. But they
    # also draw the top towards it, so its exact place is that of the means.
    best = int(np.argmax(np.where(allowed, sums, -np.inf)))
    means = np.where(allowed, sums / np.maximum(counts, 1), -np.inf)
    while best + 1 < len(means) and means[best + 1] > means[best]:
        best += 1
    while best > 0 and means[best - 1] > means[best]:
        best -= 1
    refined = 0.0
    if 0 < best < len(means) - 1:
        left, top, right = means[best - 1 : best + 2]
        bend = left - 2 * top + right
        if np.isfinite(bend) and bend < 0:
            refined = 0.5 * (left - right) / bend
    return float(seconds[best] + refined / rate)


def _standardised(times, values, rate, has_sign):
    """Resampled: one channel of mean 0 and spread 1, 0 in gaps; what is known."""
    clock = np.arange(times[0], times[-1] + 1e-6 / rate, 1 / rate)
    values = _resample(times, values, clock, None)
    line = values[:, 0] if has_sign else np.sqrt((values**2).sum(axis=1))
    known = ~np.isnan(line)
    spread = line[known].std() if known.any() else 0.0
    if not spread > 0:
        raise ValueError(
            "A signal that does not change says nothing about its offset. "
            f"Received: {len(line)} samples between {times[0]} and {times[-1]}"
        )
    line = np.where(known, (line - line[known].mean()) / spread, 0.0)
    return line, known.astype("float64")


def _resample(times, values, clock, max_gap):
    """Linear interpolation of each channel; NaN in gaps and outside."""
    result = np.full((len(clock), values.shape[1]), np.nan)
    for channel in range(values.shape[1]):
        known = ~np.isnan(values[:, channel])
        at = times[known]
        if not len(at):
            continue
        limit = max_gap
        if limit is None:
            limit = 5 * np.median(np.diff(times)) if len(times) > 1 else np.inf
        line = np.interp(clock, at, values[known, channel], np.nan, np.nan)
        # The measurements before and after each tick of the clock.
        after = np.clip(np.searchsorted(at, clock), 1, max(len(at) - 1, 1))
        if len(at) > 1:
            gap = at[after] - at[after - 1]
            # A tick on a measurement is no gap.
            near = np.minimum(np.abs(clock - at[after - 1]), np.abs(at[after] - clock))
            line[(gap > limit) & (near > 1e-6 * limit)] = np.nan
        result[:, channel] = line
    return result


def _pair(name, signal):
    if not isinstance(signal, (tuple, list)) or len(signal) != 2:
        raise ValueError(
            f"Signal {name!r} must be a pair, (times, values). "
            f"Received: {name} of type {type(signal).__name__}"
        )
    return signal


def _is_datetime(times):
    return np.asarray(times).dtype.kind not in "biuf"


def _check_clocks(signals):
    kinds = {
        name: _is_datetime(_pair(name, signal)[0]) for name, signal in signals.items()
    }
    if len(set(kinds.values())) > 1:
        raise ValueError(
            "Times must be seconds in all signals, or datetimes in all. "
            f"Received: datetimes={[n for n, is_date in kinds.items() if is_date]}"
        )


def _read(name, times, values):
    """-> seconds `(steps,)`, values `(steps, channels)`, both `float64`."""
    if _is_datetime(times):
        import pandas as pd

        times = pd.DatetimeIndex(pd.to_datetime(times, utc=True))
        times = times.as_unit("ns").asi8 / 1e9
    times = np.asarray(times, dtype="float64")
    values = np.asarray(values, dtype="float64")
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if times.ndim != 1 or values.ndim != 2 or len(times) != len(values):
        raise ValueError(
            f"Signal {name!r} needs one time for each step: times (steps,), values "
            "(steps,) or (steps, channels). "
            f"Received: times of shape {times.shape}, values of shape {values.shape}"
        )
    if not len(times):
        raise ValueError(f"Signal {name!r} has no steps. Received: times={times}")
    if np.isinf(values).any():
        raise ValueError(
            f"Signal {name!r} holds infinities. Replace them by NaN. Received: "
            f"step {int(np.argmax(np.isinf(values).any(axis=1)))}"
        )
    wrong = np.flatnonzero(~(np.diff(times) > 0)) if len(times) > 1 else []
    if len(wrong) or not np.isfinite(times).all():
        at = int(wrong[0]) + 1 if len(wrong) else 0
        raise ValueError(
            f"Times of signal {name!r} must increase from step to step. Sort the "
            "steps and keep one of those with equal times. "
            f"Received: times[{at}]={times[at]}"
        )
    return times, values


def _rate(sampling_rate, signals):
    if sampling_rate is not None:
        if not 0 < sampling_rate < np.inf:
            raise ValueError(
                "`sampling_rate` must be a positive number of steps a second. "
                f"Received: sampling_rate={sampling_rate}"
            )
        return float(sampling_rate)
    intervals = [np.median(np.diff(times)) for times, _ in signals if len(times) > 1]
    if not intervals:
        raise ValueError(
            "Signals of one step have no sampling rate. Pass sampling_rate=. "
            "Received: sampling_rate=None"
        )
    return 1.0 / float(min(intervals))
