"""Signals whose true offset is known, put on one clock."""

import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm.data import align, estimate_offset


def motion(times, seed=0):
    """A smooth signal that does not repeat itself: a sum of many waves."""
    random = np.random.default_rng(seed)
    rates = random.uniform(0.1, 2.0, 25)
    phases = random.uniform(0, 2 * np.pi, 25)
    return np.sin(2 * np.pi * np.outer(times, rates) + phases).sum(axis=1)


@pytest.mark.parametrize("offset", [0.0, 0.5, -1.237, 4.0613])
@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("rates", [(50, 50), (50, 31.7), (20, 100)])
def test_known_offsets(offset, noise, rates):
    """Far below one sample, at different rates and starts, with noise."""
    random = np.random.default_rng(1)
    first, second = np.arange(0, 40, 1 / rates[0]), np.arange(3.3, 45, 1 / rates[1])
    signals = []
    for times, scale, shift in ((first, 1, 0), (second, -5, 7)):
        values = motion(times)
        values += noise * values.std() * random.normal(size=len(times))
        signals.append((times, abs(scale) * values + shift))
    found = estimate_offset(signals[0], (second + offset, signals[1][1]))
    assert found == pytest.approx(offset, abs=0.01 if noise else 0.002)


def test_offsets_between_samples():
    """The parabola: within 3% of the sampling interval, without noise."""
    times = np.arange(0, 60, 0.1)
    for offset in np.linspace(-0.1, 0.1, 9):
        found = estimate_offset((times, motion(times)), (times, motion(times - offset)))
        assert found == pytest.approx(offset, abs=0.003)


def test_unequal_clocks():
    """One clock counts from the start, the other from 1970."""
    times = np.arange(0, 30, 0.02)
    found = estimate_offset((times, motion(times)), (times + 1.7e9, motion(times)))
    assert found == pytest.approx(1.7e9, abs=0.001)
    with pytest.raises(ValueError, match="Received: max_offset=5"):
        estimate_offset(
            (times, motion(times)), (times + 1.7e9, motion(times)), max_offset=5
        )


def test_several_channels_are_compared_by_length():
    """A sensor that is mounted another way round."""
    times = np.arange(0, 30, 0.02)
    moved = np.stack([motion(times, seed) for seed in range(3)], axis=1)
    turned = moved[:, [2, 0, 1]] * [1, -1, 1]
    found = estimate_offset((times, moved), (times + 0.73, turned))
    assert found == pytest.approx(0.73, abs=0.002)


def test_gaps_do_not_disturb_the_offset():
    times = np.arange(0, 40, 0.02)
    keep = (times < 8) | (times > 13)
    values = motion(times)
    values[1500:1700] = np.nan
    found = estimate_offset((times, motion(times)), (times[keep] + 0.4, values[keep]))
    assert found == pytest.approx(0.4, abs=0.005)


def test_max_offset_chooses_among_tops():
    """A signal that repeats itself every two seconds."""
    times = np.arange(0, 20, 0.02)
    wave = (times, np.sin(np.pi * times))
    shifted = (times, np.sin(np.pi * (times - 0.3)))
    assert estimate_offset(wave, shifted, max_offset=1) == pytest.approx(0.3, abs=0.01)


def test_align_on_one_clock():
    slow, quick = np.arange(0, 20, 0.1), np.arange(1, 19, 0.013)
    aligned = align(
        {
            "slow": (slow, motion(slow)),
            "quick": (quick + 0.25, np.stack([motion(quick), 1e-3 * quick], axis=1)),
        },
        sampling_rate=25,
        estimate_offset=True,
    )
    assert aligned.offsets["slow"] == 0.0
    assert aligned.offsets["quick"] == pytest.approx(0.25, abs=0.005)
    np.testing.assert_allclose(np.diff(aligned.times), 0.04)
    assert aligned.times[0] == pytest.approx(1, abs=0.01)
    assert aligned.times[-1] == pytest.approx(19, abs=0.06)
    assert aligned.values["slow"].shape == (len(aligned.times), 1)
    assert aligned.values["slow"].dtype == np.float32
    expected = np.interp(aligned.times, slow, motion(slow))
    np.testing.assert_allclose(aligned.values["slow"][:, 0], expected, atol=1e-5)
    # The second channel tells its own time.
    np.testing.assert_allclose(
        1e3 * aligned.values["quick"][:, 1], aligned.times, atol=0.01
    )
    # What one recording gave serves for the next.
    again = align(
        {"slow": (slow, motion(slow)), "quick": (quick + 0.25, motion(quick))},
        sampling_rate=25,
        offsets={"quick": aligned.offsets["quick"]},
    )
    np.testing.assert_allclose(again.times, aligned.times)


def test_interpolation_and_gaps():
    times = np.array([0.0, 1, 2, 3, 6, 7, 8])
    values = np.array([0.0, 10, 20, np.nan, 60, 70, 80])
    aligned = align({"a": (times, values)}, sampling_rate=2, max_gap=1.5)
    nan = np.nan
    np.testing.assert_array_equal(
        aligned.values["a"][:, 0],
        np.array([0, 5, 10, 15, 20, *[nan] * 7, 60, 65, 70, 75, 80], "float32"),
    )
    bridged = align({"a": (times, values)}, sampling_rate=1, max_gap=10)
    np.testing.assert_allclose(bridged.values["a"][:, 0], np.arange(0, 90, 10))
    # The default limit is five median intervals, here 5 s.
    plain = align({"a": (times, values)}, sampling_rate=1)
    np.testing.assert_allclose(plain.values["a"][:, 0], np.arange(0, 90, 10))
    times = np.array([0.0, 1, 2, 8.5, 9.5])
    plain = align({"a": (times, times)}, sampling_rate=1).values["a"][:, 0]
    assert np.isnan(plain).tolist() == [False] * 3 + [True] * 6 + [False]


def test_channels_without_values_stay_missing():
    times = np.arange(5.0)
    values = np.stack([times, np.full(5, np.nan)], axis=1)
    aligned = align({"a": (times, values)})
    assert aligned.values["a"][:, 0].tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(aligned.values["a"][:, 1]).all()
    sequence = keras_mm.Sequence(5, channels=2, sampling_rate=1.0)
    raw = sequence.to_raw(pd.Series([aligned.values["a"]]))
    assert raw.shape == (1, 5, 2)


def test_datetimes():
    times = pd.date_range("2024-05-01", periods=50, freq="100ms")
    values = motion(np.arange(50) / 10)
    one = align({"a": (times, values), "b": (times[5:], values[5:])})
    assert one.times[0] == pytest.approx(times[5].timestamp(), abs=1e-5)
    np.testing.assert_allclose(one.values["a"][:, 0], values[5:], atol=1e-3)
    for form in (
        times.tz_localize("UTC"),
        pd.Series(times),
        list(times.to_pydatetime()),
        times.to_numpy(),
    ):
        other = align({"a": (form, values), "b": (times[5:], values[5:])})
        np.testing.assert_allclose(other.times, one.times)
    with pytest.raises(ValueError, match=r"datetimes=\['b'\]"):
        align({"a": (np.arange(50.0), values), "b": (times, values)})


GOOD = (np.arange(5.0), np.arange(5.0))


@pytest.mark.parametrize(
    "signals, arguments, message",
    [
        ({}, {}, "signals of type dict"),
        ([GOOD], {}, "signals of type list"),
        ({"a": np.arange(5.0)}, {}, "must be a pair"),
        ({"a": (np.arange(4.0), np.arange(5.0))}, {}, r"shape \(4,\)"),
        ({"a": (np.arange(5.0), np.zeros((5, 1, 1)))}, {}, r"shape \(5, 1, 1\)"),
        ({"a": ([], [])}, {}, "has no steps"),
        ({"a": ([0.0, 1.0, 1.0], [1, 2, 3])}, {}, r"times\[2\]=1.0"),
        ({"a": ([0.0, 2.0, 1.0], [1, 2, 3])}, {}, r"times\[2\]=1.0"),
        ({"a": ([0.0, np.nan, 1.0], [1, 2, 3])}, {}, "must increase"),
        ({"a": ([0.0, 1.0], [1, np.inf])}, {}, "step 1"),
        ({"a": ([0.0], [1.0])}, {}, "sampling_rate=None"),
        ({"a": GOOD}, {"sampling_rate": 0}, "sampling_rate=0"),
        ({"a": GOOD}, {"max_gap": -1}, "max_gap=-1"),
        ({"a": GOOD}, {"offsets": {"b": 1}}, r"offsets=\['b'\]"),
        ({"a": GOOD}, {"offsets": {"a": 1}, "estimate_offset": True}, "either"),
        ({"a": GOOD, "b": (np.arange(9.0, 12), np.ones(3))}, {}, "spans in seconds"),
        (
            {"a": GOOD, "b": (np.arange(5.0), np.ones(5))},
            {"estimate_offset": True},
            "constant signal",
        ),
    ],
)
def test_errors(signals, arguments, message):
    with pytest.raises(ValueError, match=message):
        align(signals, **arguments)
