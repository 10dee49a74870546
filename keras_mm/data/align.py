"""Resamples signals with their own timestamps to common times."""

import typing

import numpy as np


class Aligned(typing.NamedTuple):
    """The result of `align`.

    Args:
        times: `float64` array `(steps,)`, seconds on the first signal's clock.
        values: dict from signal name to `float32` array `(steps, channels)`.
        offsets: dict from signal name to the seconds by which its clock was ahead
            of the first signal's, which have been subtracted from its times.
    """

    times: np.ndarray
    values: dict
    offsets: dict


def align(
    signals, sampling_rate=None, max_gap=None, estimate_offset=False, offsets=None
):
    """Resamples signals with their own timestamps to common times.

    Each signal is interpolated linearly at common, equally spaced times over the
    span that all signals cover. Gaps longer than `max_gap` become NaN, which
    `Sequence` reads as missing. There is no anti-aliasing: filter a signal first
    if it holds frequencies above half the new sampling rate.

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
        sampling_rate: float, steps per second of the result; default: that of the
            fastest signal.
        max_gap: float, the longest time in seconds between two measurements that
            is interpolated; default: five times a signal's median interval.
        estimate_offset: bool, whether to estimate the constant by which each
            signal's clock is ahead of the first one's, by
            `keras_mm.data.estimate_offset`, and subtract it.
        offsets: dict from name to seconds, known offsets to subtract, such as those
            from another recording of the same sensors.

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
            f"`offsets` has unknown names. The signals are {list(signals)}. "
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
            "The signals do not overlap in time. If their "
            "clocks differ, pass estimate_offset=True or offsets={...}. "
            f"Received: spans in seconds={spans}"
        )
    # Rounding must not lose the last step.
    times = start + np.arange(int((end - start) * rate + 1e-6) + 1) / rate
    values = {
        name: _resample(*signal, times, max_gap).astype("float32")
        for name, signal in read.items()
    }
    return Aligned(times, values, shift)


def estimate_offset(first, second, sampling_rate=None, max_offset=None):
    """By how many seconds the second signal's clock is ahead of the first one's.

    An event at `t` on the first clock is recorded at `t + offset` on the second.
    Both signals are resampled and standardised; if one of them has several
    channels, the Euclidean norm of each step is compared, which does not depend
    on a sensor's orientation. The offset is the maximum of their
    cross-correlation, refined between two samples by a parabola. The signals must
    be correlated, and not periodic.

    Examples:

    >>> times = numpy.arange(0, 10, 0.02)
    >>> first = (times, numpy.sin(times**2))
    >>> second = (times + 0.5, numpy.sin(times**2))
    >>> round(keras_mm.data.estimate_offset(first, second), 2)
    0.5

    Args:
        first: `(times, values)`, as in `align`.
        second: `(times, values)`.
        sampling_rate: float, samples per second for the comparison; default: that
            of the faster signal.
        max_offset: float, the largest offset in seconds that is considered, in
            either direction; default: any with which the signals overlap.

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
    """`estimate_offset` of signals in the form that `_read` returns."""
    from scipy import signal as scipy_signal

    has_sign = first[1].shape[1] == second[1].shape[1] == 1
    a, mask_a = _standardised(*first, rate, has_sign)
    b, mask_b = _standardised(*second, rate, has_sign)
    sums = scipy_signal.correlate(b, a)
    counts = scipy_signal.correlate(mask_b, mask_a).round()
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
    # Sums prefer long overlaps, since short ones may fit by chance. But they also
    # shift the maximum towards them, so its exact place is that of the means.
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
    """One resampled channel of mean 0 and deviation 1, 0 in gaps; and its mask."""
    clock = np.arange(times[0], times[-1] + 1e-6 / rate, 1 / rate)
    values = _resample(times, values, clock, None)
    line = values[:, 0] if has_sign else np.sqrt((values**2).sum(axis=1))
    mask = ~np.isnan(line)
    spread = line[mask].std() if mask.any() else 0.0
    if not spread > 0:
        raise ValueError(
            "The offset of a constant signal cannot be estimated. "
            f"Received: {len(line)} samples between {times[0]} and {times[-1]}"
        )
    line = np.where(mask, (line - line[mask].mean()) / spread, 0.0)
    return line, mask.astype("float64")


def _resample(times, values, clock, max_gap):
    """Linear interpolation of each channel; NaN in gaps and outside."""
    result = np.full((len(clock), values.shape[1]), np.nan)
    for channel in range(values.shape[1]):
        mask = ~np.isnan(values[:, channel])
        at = times[mask]
        if not len(at):
            continue
        limit = max_gap
        if limit is None:
            limit = 5 * np.median(np.diff(times)) if len(times) > 1 else np.inf
        line = np.interp(clock, at, values[mask, channel], np.nan, np.nan)
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
                "`sampling_rate` must be a positive number of steps per second. "
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
