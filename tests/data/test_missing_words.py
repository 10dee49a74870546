"""`Schema(missing=...)`: one meaning in every table and in the graph of a request."""

import datetime

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import keras_mm
from keras_mm.data.raw import encode_targets
from keras_mm.inputs.cells import to_name
from keras_mm.inputs.missing_words import raw_words
from keras_mm.inputs.vocabulary import as_names, strip
from keras_mm.models.rows import warn_of_overlap


def read(value, cells, missing):
    """Raw values by the table's way, and by the graph's."""
    schema = keras_mm.Schema({"c": value}, missing=missing)
    column = pd.Series(cells)
    raw = value.to_raw(column, "c", on_unreadable="missing")
    return schema.to_raw(column, "c").tolist(), np.asarray(
        schema.replace_missing_raw(raw, "c")
    ).tolist()


DAYS = ["1900-01-01", "2024-05-01"]


@pytest.mark.parametrize(
    ("value", "cells", "missing", "expected"),
    [
        # pandas gives 0.1 of float32 as 0.10000000149011612.
        (keras_mm.Category(), np.float32([0.1, -999]), -999, [b"0.1", b""]),
        (keras_mm.Category(), pd.to_datetime(DAYS), DAYS[0], [b"", b"2024-05-01"]),
        (
            keras_mm.Date(),
            [datetime.date(1900, 1, 1), "2024-05-01"],
            pd.Timestamp("1900-01-01"),
            [b"", b"2024-05-01"],
        ),
        (keras_mm.Date(), ["2024-05-01", "-999.00"], -999, [b"2024-05-01", b""]),
        (keras_mm.Category(), [bytearray(b"?"), b"a"], "?", [b"", b"a"]),
        (keras_mm.Category(), ["\u00a0? \u3000\x1f", "a"], "?", [b"", b"a"]),
        (keras_mm.Category(), ["é" * 501, "a"], ["é" * 500], None),
        # One number of float32 for both.
        (keras_mm.Number(), [1e8, 99999999.0], 99999999, [1e8, None]),
        (keras_mm.Number(), np.float32([-99.9, 2]), -99.9, [None, 2.0]),
        (keras_mm.Number(), [0.0, 16777216.0], [1e-300, 16777216.5], [0, 16777216]),
        (keras_mm.Number(), ["-9.99e2", [-999]], -999, [None, None]),
        # Lists of numbers hold no words.
        (keras_mm.Vector(1), [[-999.0], "[-999]"], -999, [[-999.0], [-999.0]]),
    ],
)
def test_words_mean_the_same_in_a_table_and_in_a_graph(value, cells, missing, expected):
    table, graph = read(value, cells, missing)
    assert str(table) == str(graph)
    if expected is not None:
        expected = [np.nan if cell is None else cell for cell in expected]
        np.testing.assert_array_equal(table, expected)


def test_words_among_items_are_no_items():
    schema = keras_mm.Schema(
        {"t": keras_mm.Text(num_texts=2), "i": keras_mm.Image(num_images=2)},
        {"tags": keras_mm.MultiLabel(["a", "b"])},
        missing="?",
    )
    cells = [["?"], '["?"]', ["?", "a"], "a| ?", ["a"], {"?", "a"}, [1, 0]]
    labels = schema.target.encode(schema.replace_missing(pd.Series(cells), "tags"))
    assert labels[:, 0].tolist() == [0, 0, 1, 1, 1, 1, 1]
    assert not labels[:, 1].any()
    assert schema.replace_missing(pd.Series(["?", "b"]), "tags").tolist() == [None, "b"]
    texts = schema.to_raw(pd.Series([["?", "a"], '["a", "?"]']), "t")
    assert texts.tolist() == [[b"", b"a"], [b"a", b""]]
    assert schema.to_raw(pd.Series([["?", " ?"]]), "i").tolist() == [[b"", b""]]
    table = keras_mm.data.to_table({"l": [["?", "a"], [-999, 1]]}, ["?", -999])
    assert table["l"].tolist() == [[None, "a"], [-999, 1]]


def test_numbers_among_dates_and_targets():
    table = {
        "day": [f"2024-01-{day:02}" for day in range(1, 21)] + ["-999.00"] * 10,
        "y": [day / 2 for day in range(29)] + [-999.0],
    }
    with pytest.raises(ValueError, match="row 29 .*dropna.*Received: y=.*-999.0"):
        keras_mm.infer_schema(table, "y", missing=-999, verbose=False)
    table["y"][29] = 1.5
    schema = keras_mm.infer_schema(table, "y", missing=-999, verbose=False)
    assert isinstance(schema.inputs["day"], keras_mm.Date)
    schema = keras_mm.Schema(
        {"day": keras_mm.Date()}, {"y": keras_mm.ClassLabel()}, missing="?"
    )
    labels = pd.DataFrame({"y": ["p", "?", "q"]}, index=[3, 4, 5])
    schema.target.adapt(schema.replace_missing(labels["y"], "y"))
    with pytest.raises(ValueError, match=r"missing=\['\?'\].*row 1 .*Received: y='\?'"):
        encode_targets(labels, schema)
    labels = keras_mm.data.to_table(labels, missing=["?"]).dropna(subset=["y"])
    assert encode_targets(labels, schema)["y"].tolist() == [0, 1]


def test_words_are_no_files(recwarn):
    schema = keras_mm.Schema({"i": keras_mm.Image()}, missing="?")
    warn_of_overlap({"i": ["a.png", "?"]}, {"i": ["b.png", "?"]}, schema)
    assert not recwarn


def test_a_table_keeps_its_rows_and_their_index():
    schema = keras_mm.Schema({"a": keras_mm.Category()}, missing="?")
    table = pd.DataFrame({"a": ["p", "?", "q"], "0": [1, 2, 3]}, index=[2, 1, 2])
    known = schema.replace_missing_cells(table)
    assert known["a"].tolist() == ["p", None, "q"]
    assert known.index.tolist() == [2, 1, 2]


def test_raw_numbers_of_every_kind():
    schema = keras_mm.Schema({"x": keras_mm.Number(0.0, 1.0)}, missing=[-999, "inf"])
    given = [1, -999, 3]
    for raw in (
        given,
        np.array(given),
        tf.constant(given),
        tf.constant([1.0, -999, 3]),
    ):
        found = np.ravel(schema.preprocess({"x": raw})["x"])
        np.testing.assert_array_equal(found, [1, np.nan, 3])
    assert -999.0 in raw_words(schema.inputs["x"], schema.missing)


def test_names_are_alike_in_python_and_in_a_graph():
    cells = ["3.0", "3.0\n", "2024-05-01 10:30:00.000\n", "-0.0", "1e+16", "1.5e+20"]
    cells += [
        "1e+23",
        "9.99e+307",
        "1e+308",
        "1e+999",
        "1.23456e+02",
        "2024-05-01T00:00:00",
    ]
    found = [name.decode() for name in as_names(tf.constant(cells)).numpy()]
    assert found == [to_name(cell) for cell in cells]
    assert found[4] == "10000000000000000" and found[10] == "1.23456e+02"
    spaces = [chr(code) for code in range(0x3001) if not chr(code).strip()]
    given = ["".join(spaces) + "a b" + "".join(reversed(spaces)), " ", "a\u200b"]
    found = [text.decode() for text in strip(tf.constant(given)).numpy()]
    assert found == [text.strip() for text in given]
