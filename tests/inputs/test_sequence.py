"""Sequences: cells in, padded and standardised steps out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keras_mm
from keras_mm.inputs.cells import to_floats


def column(*cells):
    return pd.Series(list(cells), dtype=object)


NESTED = np.empty(2, dtype=object)
NESTED[:] = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]


@pytest.mark.parametrize(
    "cell",
    [
        [[1, 2], [3, 4]],
        [(1.0, 2.0), (3.0, 4.0)],
        np.array([[1, 2], [3, 4]]),
        np.array([[1, 2], [3, 4]], "float16"),
        NESTED,
        list(NESTED),
    ],
)
def test_forms_of_a_cell(cell):
    raw = keras_mm.Sequence(5, channels=2).to_raw(column(cell))
    assert raw.tolist() == [[[1.0, 2.0], [3.0, 4.0]]]


def test_gaps_lengths_and_missing_cells():
    sequence = keras_mm.Sequence(3, channels=2)
    cells = column(
        [[1, None], [None, None], [3, 4], [5, 6]],
        None,
        [],
        float("nan"),
        [[7, np.nan]],
        [[np.nan, np.nan]],
    )
    raw = sequence.to_raw(cells)
    nan = np.nan
    expected = np.full((6, 3, 2), nan)
    expected[0] = [[1, nan], [nan, nan], [3, 4]]
    expected[4, 0, 0] = 7
    np.testing.assert_array_equal(raw, expected)
    # Not longer than what the column holds; all missing is one step of NaN.
    assert sequence.to_raw(column([[1, 2]])).shape == (1, 1, 2)
    assert sequence.to_raw(column(None, None)).shape == (2, 1, 2)


def test_one_channel_needs_no_axis():
    sequence = keras_mm.Sequence(4)
    raw = sequence.to_raw(column([1, 2], [[3], [4]], np.array([5.0]), (6, None)))
    nan = np.nan
    np.testing.assert_array_equal(
        raw[..., 0], np.array([[1, 2], [3, 4], [5, nan], [6, nan]], "float32")
    )


@pytest.mark.parametrize(
    "cell, message",
    [
        ([1.0, 2.0], r"an array of shape \(2,\)"),
        ([[1.0, 2.0, 3.0]], r"an array of shape \(1, 3\)"),
        ([[[1.0, 2.0]]], r"an array of shape \(1, 1, 2\)"),
        (5.0, r"an array of shape \(\)"),
        ([[1.0, 2.0], [3.0]], "different lengths"),
        ([[1.0, np.inf]], "infinities"),
        ([[1.0, 1e39]], "infinities"),
        ("1.0 2.0", "numbers alone"),
        ([["1", "2"]], "numbers alone"),
        ([[1.0, "2"]], "numbers alone"),
        (b"\0\0", "numbers alone"),
        ([[1j, 2.0]], "numbers alone"),
        ({"a": 1}, "numbers alone"),
    ],
)
def test_bad_cells(cell, message):
    sequence = keras_mm.Sequence(5, channels=2)
    cells = column([[1.0, 2.0]], cell, cell)
    with pytest.raises(ValueError, match=message) as info:
        sequence.to_raw(cells, "motion")
    assert "'motion'" in str(info.value) and "rows 1, 2 (2 in all" in str(info.value)
    assert "Received: motion=" in str(info.value)
    raw = sequence.to_raw(cells, "motion", on_unreadable="missing")
    if message == "infinities":
        # As in the served model: the number is missing, not the cell.
        assert raw[1, 0, 0] == 1.0 and np.isnan(raw[1, 0, 1])
    else:
        assert np.isnan(raw[1:]).all()


def test_standardisation_ignores_gaps_and_constants():
    random = np.random.default_rng(0)
    cells = [random.normal([5, 0, 3], [2, 0.1, 0], (n, 3)) for n in (3, 9, 5)]
    cells[1][2, 0] = np.nan
    sequence = keras_mm.Sequence(7, channels=3).adapt(column(*cells, None))
    seen = np.concatenate([cell[:7] for cell in cells]).astype("float32")
    np.testing.assert_allclose(sequence.mean, np.nanmean(seen, 0), rtol=1e-5)
    np.testing.assert_allclose(sequence.std[:2], np.nanstd(seen, 0)[:2], rtol=1e-5)
    assert sequence.std[2] == 1.0
    tensor = sequence.preprocess(sequence.to_raw(column(*cells, None))).numpy()
    assert tensor.shape == (4, 7, 3) and tensor.dtype == np.float32
    valid = tensor[~np.isnan(tensor).all(2)]
    assert len(valid) == 3 + 7 + 5
    np.testing.assert_allclose(np.nanmean(valid, 0), 0, atol=1e-5)
    np.testing.assert_allclose(np.nanstd(valid, 0), [1, 1, 0], atol=1e-5)
    assert np.isnan(tensor[1, 2]).tolist() == [True, False, False]
    assert np.isnan(tensor[0, 3:]).all() and np.isnan(tensor[3]).all()


@given(
    st.integers(1, 6),
    st.integers(1, 3),
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
)
def test_any_lengths(length, channels, lengths):
    """The tensor of a row does not depend on the rows beside it."""
    sequence = keras_mm.Sequence(
        length, channels, mean=[1.0] * channels, std=[2.0] * channels
    )
    random = np.random.default_rng(0)
    cells = [random.normal(size=(steps, channels)) for steps in lengths]
    together = sequence.preprocess(sequence.to_raw(column(*cells))).numpy()
    assert together.shape == (len(cells), length, channels)
    for row, cell in enumerate(cells):
        alone = sequence.preprocess(sequence.to_raw(column(cell))).numpy()[0]
        np.testing.assert_array_equal(together[row], alone)
        kept = min(len(cell), length)
        np.testing.assert_allclose(alone[:kept], (cell[:kept] - 1) / 2, atol=1e-6)
        assert np.isnan(alone[kept:]).all()


def test_in_a_graph_of_unknown_shape():
    import tensorflow as tf

    sequence = keras_mm.Sequence(4, channels=2, mean=[0.0, 0.0], std=[1.0, 1.0])
    spec = sequence.serving_spec("s")
    assert spec.shape.as_list() == [None, None, 2] and spec.name == "s"
    decode = tf.function(sequence.preprocess, input_signature=[spec])
    for rows, steps in ((0, 0), (0, 3), (2, 0), (2, 3), (3, 9)):
        got = decode(tf.ones([rows, steps, 2], tf.float64)).numpy()
        assert got.shape == (rows, 4, 2)
        assert np.isnan(got).sum() == rows * max(0, 4 - steps) * 2
    assert np.isnan(decode(tf.constant([[[np.inf, 1.0]]], tf.float64)).numpy()[0, 0, 0])


def test_config_describe_and_requests():
    sequence = keras_mm.Sequence(8, 2, sampling_rate=50.0)
    assert not sequence.is_adapted
    assert repr(sequence) == "Sequence, 8 steps of 2 channels, 50 Hz"
    sequence.adapt(column([[1, 2], [3, 4]]))
    again = keras_mm.Sequence.from_config(sequence.get_config())
    assert again.get_config() == sequence.get_config()
    assert again.mean == [2.0, 3.0] and again.std == [1.0, 1.0]
    assert sequence.request_value() == "array of n x 2 numbers"
    assert sequence.missing.shape == (1, 2) and np.isnan(sequence.missing).all()
    random = np.random.default_rng(0)
    samples = [sequence.sample(random) for _ in range(20)]
    assert len({len(sample) for sample in samples}) > 2
    assert all(np.isfinite(sample).any() for sample in samples)
    bad = sequence.preprocess(sequence.sample(random, bad=True)[None]).numpy()
    assert np.isnan(bad).all()
    stacked = sequence.raw_array([sequence.missing, *samples])
    assert stacked.shape == (21, max(map(len, samples)), 2)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"length": 0}, "length=0"),
        ({"length": 2.5}, "length=2.5"),
        ({"length": 4, "channels": 0}, "channels=0"),
        ({"length": 4, "sampling_rate": 0}, "sampling_rate=0"),
        ({"length": 4, "sampling_rate": float("nan")}, "sampling_rate=nan"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        keras_mm.Sequence(**arguments)


def test_nothing_to_learn_from():
    with pytest.raises(ValueError, match="'s' has no number in channel 1"):
        keras_mm.Sequence(3, 2).adapt(column([[1.0, np.nan]]), "s")
    with pytest.raises(ValueError, match="no number in channel 0"):
        keras_mm.Sequence(3).adapt(column(None))


def test_parquet_and_datasets_of_rows(tmp_path):
    """Nested lists come back as arrays of arrays; rows of tf.data differ in length."""
    import tensorflow as tf

    cells = [[[1.0, 2.0], [3.0, 4.0]], None, [[5.0, 6.0]]] * 2
    table = pd.DataFrame({"s": cells, "label": ["a", "b", "c"] * 2})
    table.to_parquet(tmp_path / "t.parquet")
    read = pd.read_parquet(tmp_path / "t.parquet")
    schema = keras_mm.Schema({"s": keras_mm.Sequence(3, 2)}).adapt(table)
    np.testing.assert_array_equal(
        schema.inputs["s"].to_raw(read["s"]), schema.inputs["s"].to_raw(table["s"])
    )

    def rows():
        for cell in cells:
            yield {"s": np.reshape(np.array(cell or [], "float32"), (-1, 2))}

    dataset = tf.data.Dataset.from_generator(
        rows, output_signature={"s": tf.TensorSpec([None, 2], tf.float32)}
    )
    one = keras_mm.data.to_dataset(table, schema, with_target=False)
    two = keras_mm.data.to_dataset(dataset, schema, with_target=False)
    np.testing.assert_array_equal(*[next(iter(d))[0]["s"].numpy() for d in (one, two)])
    adapted = keras_mm.Schema({"s": keras_mm.Sequence(3, 2)}).adapt(dataset)
    assert adapted.inputs["s"].mean == schema.inputs["s"].mean


def test_floats_of_anything():
    assert to_floats([1, None]).tolist()[0] == 1.0
    assert np.isnan(to_floats([1, None])[1])
    assert to_floats([[1, None], [2, 3]]).shape == (2, 2)
    assert to_floats(True) == 1.0
    deep = np.empty(1, dtype=object)
    deep[0] = NESTED
    assert to_floats(deep).shape == (1, 2, 2)


def test_inferred(capsys):
    random = np.random.default_rng(0)
    rows = 24
    table = pd.DataFrame(
        {
            "motion": [random.normal(size=(3 + row % 4, 2)) for row in range(rows)],
            "pulse": [random.normal(size=3 + row % 4).tolist() for row in range(rows)],
            "embedding": [random.normal(size=5) for _ in range(rows)],
            "long": [random.normal(size=1000 + row * 2) for row in range(rows)],
            "day": pd.date_range("2024-01-01", periods=rows),
            "moment": [f"2024-03-{row + 1:02d}T10:00" for row in range(rows)],
            "picture": [
                random.integers(0, 255, (4, 4)).astype("uint8") for _ in range(rows)
            ],
            "odd": [random.normal(size=(2, 2, 2)) for _ in range(rows)],
            "ragged": [random.normal(size=(2, 1 + row % 2)) for row in range(rows)],
            "words": [["a", "b"]] * rows,
            "label": ["x", "y"] * (rows // 2),
        }
    )
    table["day"] = table["day"].astype(object).where(table.index > 1, None)
    table.loc[3, "moment"] = None
    schema = keras_mm.infer_schema(table, target="label", verbose=False)
    kinds = {name: type(value).__name__ for name, value in schema.inputs.items()}
    assert kinds == {
        "motion": "Sequence",
        "pulse": "Sequence",
        "embedding": "Vector",
        "long": "Sequence",
        "day": "Date",
        "moment": "Date",
        "picture": "Image",
        "words": "Text",
    }
    assert schema.inputs["motion"].shape == (6, 2)
    assert schema.inputs["pulse"].shape == (6, 1)
    assert schema.inputs["embedding"].shape == (5,)
    assert schema.inputs["long"].shape == (1024, 1)
    assert schema.inputs["day"].shape == (5,) and schema.inputs["moment"].has_time
    assert schema.modalities()["tabular"] == ["day", "moment"]
    with pytest.raises(ValueError, match="not images, vectors or sequences"):
        keras_mm.infer_schema(table, target="label", inputs=["ragged"])
    # One bad date among many is said, and refused with its row in training.
    table.loc[5, "moment"] = "yesterday"
    schema = keras_mm.infer_schema(table, "label", inputs=["moment"])
    assert "'yesterday' in row 5 cannot be read" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no date in ISO form in row 5"):
        keras_mm.data.to_dataset(table, schema)
    labels = table.assign(label=[[0, 1], [1]] * (rows // 2))
    target = keras_mm.infer_schema(labels, "label", inputs=["pulse"], verbose=False)
    assert isinstance(target.target, keras_mm.MultiLabel)
