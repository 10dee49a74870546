"""Dates: cells in, places in the year, the week and the day out."""

import datetime
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_mm
from keras_mm.inputs.date import parse_dates


def column(*cells):
    return pd.Series(list(cells), dtype=object)


def parse(texts):
    import tensorflow as tf

    return [value.numpy() for value in parse_dates(tf.constant(texts, tf.string))]


@settings(max_examples=50)
@given(st.lists(st.datetimes(), min_size=1, max_size=30))
def test_days_and_seconds_are_those_of_python(moments):
    days, seconds, year_day, year_days = parse([m.isoformat() for m in moments])
    for row, moment in enumerate(moments):
        date = moment.date()
        assert days[row] == date.toordinal() - 719163
        assert seconds[row] == (moment.hour * 3600 + moment.minute * 60 + moment.second)
        assert year_day[row] + 1 == date.timetuple().tm_yday
        leap = date.year % 4 == 0 and (date.year % 100 != 0 or date.year % 400 == 0)
        assert year_days[row] == 365 + leap


def test_every_month_of_centuries():
    """Each first and last day of a month, in the years around every rule."""
    dates = [
        datetime.date(year, month, day)
        for year in (1, 4, 100, 400, 1600, 1700, 1900, 1999, 2000, 2024, 2100, 9999)
        for month in range(1, 13)
        for day in (1, 28)
    ] + [datetime.date.max]
    days = parse([date.isoformat() for date in dates])[0]
    assert days.tolist() == [date.toordinal() - 719163 for date in dates]


WRONG = [
    "2023-02-29",
    "1900-02-29",
    "2024-04-31",
    "2024-13-01",
    "2024-00-01",
    "2024-01-00",
    "0000-01-01",
    "2024-01-01T24:00",
    "2024-01-01T10:60",
    "2024-01-01T10:00:60",
    "2024-1-1",
    "01.02.2024",
    "May 1, 2024",
    "2024-05",
    "20240501",
    "2024-05-01T",
    "2024-05-01T10",
    "12024-05-01",
    "yesterday",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_date(text):
    """The table and the graph agree on it."""
    assert np.isnan(parse([text])).all()
    with pytest.raises(ValueError, match="no date in ISO form in row 1") as info:
        keras_mm.Date().to_raw(column("2024-01-01", text), "day")
    assert f"Received: day={text!r}" in str(info.value)
    assert keras_mm.Date().to_raw(column(text), on_unreadable="missing")[0] == b""


@given(st.text("0123456789-T: Z+.", min_size=1, max_size=20))
def test_table_and_graph_agree(text):
    raw = keras_mm.Date().to_raw(column(text), on_unreadable="missing")[0]
    assert np.isnan(parse([text])[0][0]) == (raw == b"")


ZONE = datetime.timezone(datetime.timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    "cell",
    [
        datetime.datetime(2024, 5, 1, 13, 30),
        datetime.datetime(2024, 5, 1, 13, 30, tzinfo=ZONE),
        pd.Timestamp("2024-05-01 13:30"),
        pd.Timestamp("2024-05-01 13:30:00.000000007", tz="Europe/Vienna"),
        np.datetime64("2024-05-01T13:30"),
        np.datetime64("2024-05-01T13:30:00.5"),
        "2024-05-01T13:30",
        "2024-05-01 13:30:00",
        " 2024-05-01T13:30:00.123Z ",
        "2024-05-01T13:30+02:00",
        "2024-05-01T13:30-0800",
        b"2024-05-01T13:30",
    ],
)
def test_forms_of_a_cell(cell):
    """The clock's time counts, whatever its zone."""
    date = keras_mm.Date()
    days, seconds, _, _ = parse(date.to_raw(column(cell)).tolist())
    assert days[0] == datetime.date(2024, 5, 1).toordinal() - 719163
    assert seconds[0] == 13.5 * 3600


@pytest.mark.parametrize(
    "cell", [None, "", b"", float("nan"), pd.NaT, np.datetime64("NaT"), pd.NA]
)
def test_missing(cell):
    date = keras_mm.Date(mean=0.0, std=1.0)
    raw = date.to_raw(column(cell))
    assert raw.tolist() == [b""]
    assert np.isnan(date.preprocess(raw.tolist()).numpy()).all()


@pytest.mark.parametrize("cell", [5, 2024.0, True, [1], b"\xff\xfe", object()])
def test_other_cells_are_refused(cell):
    with pytest.raises(ValueError, match="no date in ISO form in row 0"):
        keras_mm.Date().to_raw(column(cell))


def test_features_against_python():
    moments = pd.Series(
        pd.to_datetime(["2024-02-29 06:00", "2023-12-31 23:59", "1969-07-20 20:17"])
    )
    date = keras_mm.Date().adapt(moments)
    assert date.has_time and date.shape == (7,)
    got = date.preprocess(date.to_raw(moments).tolist()).numpy()
    trend = np.array(
        [
            (moment - datetime.datetime(1970, 1, 1)).total_seconds() / 86400
            for moment in moments
        ]
    )
    assert date.mean == pytest.approx(trend.mean())
    assert date.std == pytest.approx(trend.std())
    for row, moment in enumerate(moments):
        length = 366 if moment.is_leap_year else 365
        expected = []
        for turn in (
            (moment.dayofyear - 1) / length,
            moment.weekday() / 7,
            (moment.hour * 60 + moment.minute) / 1440,
        ):
            expected += [math.sin(2 * math.pi * turn), math.cos(2 * math.pi * turn)]
        expected.append((trend[row] - trend.mean()) / trend.std())
        np.testing.assert_allclose(got[row], expected, atol=1e-6)


def test_dates_without_times_have_no_hour():
    date = keras_mm.Date().adapt(column("2024-05-01", "2024-05-03T00:00", None))
    assert not date.has_time and date.shape == (5,)
    # A time that comes later moves nothing but the trend.
    one, two = date.preprocess(["2024-05-01", "2024-05-01T12:00"]).numpy()
    np.testing.assert_array_equal(one[:4], two[:4])
    assert two[4] - one[4] == pytest.approx(0.5)


def test_constant_and_empty_columns():
    date = keras_mm.Date().adapt(column(*["2024-05-01T10:10"] * 7))
    assert date.std == 1.0
    np.testing.assert_allclose(
        date.preprocess(["2024-05-01T10:10"])[0, -1], 0, atol=1e-6
    )
    with pytest.raises(ValueError, match="'day' has no date in it"):
        keras_mm.Date().adapt(column(None, ""), "day")


def test_graph_batches_and_garbage():
    import tensorflow as tf

    date = keras_mm.Date(has_time=True, mean=0.0, std=1.0)
    decode = tf.function(date.preprocess, input_signature=[date.serving_spec("d")])
    assert decode(tf.constant([], tf.string)).shape == (0, 7)
    got = decode(tf.constant([b"\xff\xfe\x00", b"2024-01-01", b"\x002024-01-01"]))
    assert np.isnan(got.numpy()).all(axis=1).tolist() == [True, False, True]


def test_config_and_samples():
    date = keras_mm.Date().adapt(column("2024-05-01T10:00", "2024-06-01T11:00"))
    again = keras_mm.Date.from_config(date.get_config())
    assert again.get_config() == date.get_config() and again.shape == (7,)
    assert repr(date).startswith("Date and time, mean 2024-05-17")
    assert repr(keras_mm.Date()) == "Date"
    random = np.random.default_rng(0)
    samples = [date.sample(random) for _ in range(10)]
    assert np.isfinite(date.preprocess(samples).numpy()).all()
    assert np.isnan(date.preprocess([date.sample(random, bad=True)]).numpy()).all()
    assert "2024-05-01T13:30" in date.request_value()


def test_dates_join_the_numbers():
    """One encoder for numbers and dates, with one flag a column."""
    schema = keras_mm.Schema(
        {"day": keras_mm.Date(mean=0.0, std=1.0), "n": keras_mm.Number(0.0, 1.0)}
    )
    assert schema.modalities(own=["numbers"]) == {"numbers": ["day", "n"]}
    model = keras_mm.encoders.Dense(3, activation=None).build(schema.inputs, "e")
    kernel, bias = model.get_weights()
    assert kernel.shape == (5 + 1 + 2, 3)
    day = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    n = np.array([[1.0], [np.nan], [np.nan]], "float32")
    day[0] = day[2] = np.nan
    tokens, mask = [np.asarray(value) for value in model([day, n])]
    assert mask[:, 0].tolist() == [True, True, False]
    np.testing.assert_allclose(tokens[0, 0], kernel[5] + kernel[7] + bias, atol=1e-6)
    np.testing.assert_allclose(
        tokens[1, 0], day[1] @ kernel[:5] + kernel[6] + bias, atol=1e-6
    )
    np.testing.assert_allclose(tokens[2, 0], bias, atol=1e-6)
