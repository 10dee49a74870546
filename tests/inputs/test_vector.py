"""Vectors: precomputed embeddings in, standardised ones out."""

import numpy as np
import pandas as pd
import pytest

import keras_mm


def column(*cells):
    return pd.Series(list(cells), dtype=object)


def test_cells_and_standardisation():
    cells = column(
        [1, 2], np.array([3.0, 6.0], "float16"), None, (0.0, 0.0), [np.nan] * 2
    )
    vector = keras_mm.Vector(2)
    raw = vector.adapt(cells).to_raw(cells)
    assert raw.dtype == np.float64 and raw.shape == (5, 2)
    known = np.array([1, 2, 3, 6, 0, 0.0])
    assert vector.mean == pytest.approx(known.mean())
    assert vector.std == pytest.approx(known.std())
    tensor = vector.preprocess(raw).numpy()
    np.testing.assert_allclose(
        tensor[[0, 1, 3]].ravel(), (known - known.mean()) / known.std(), atol=1e-6
    )
    assert np.isnan(tensor[[2, 4]]).all()


@pytest.mark.parametrize(
    "cell, message",
    [
        ([1.0], r"shape \(1,\)"),
        ([[1.0, 2.0]], r"shape \(1, 2\)"),
        (3.0, r"shape \(\)"),
        ("a b", "numbers alone"),
        (["1", "2"], "numbers alone"),
        ([1.0, None], "NaN or infinity"),
        ([1.0, np.inf], "NaN or infinity"),
        ([1.0, 1e39], "NaN or infinity"),
    ],
)
def test_bad_cells(cell, message):
    vector = keras_mm.Vector(2)
    with pytest.raises(ValueError, match=message) as info:
        vector.to_raw(column([1, 2], cell), "v")
    assert "row 1 (1 in all" in str(info.value) and "Received: v=" in str(info.value)
    raw = vector.to_raw(column([1, 2], cell), "v", on_unreadable="missing")
    assert np.isnan(raw[1]).all() and raw[0].tolist() == [1.0, 2.0]


def test_graph_and_config():
    import tensorflow as tf

    vector = keras_mm.Vector(3).adapt(column([1, 1, 1]))
    assert vector.std == 1.0 and vector.mean == 1.0
    again = keras_mm.Vector.from_config(vector.get_config())
    assert again.get_config() == vector.get_config() and again.shape == (3,)
    decode = tf.function(vector.preprocess, input_signature=[vector.serving_spec("v")])
    assert decode(tf.zeros([0, 3], tf.float64)).shape == (0, 3)
    got = decode([[2.0, 1.0, 0.0], [np.inf, 1.0, 1.0]]).numpy()
    assert got[0].tolist() == [1.0, 0.0, -1.0] and np.isnan(got[1]).all()
    random = np.random.default_rng(0)
    assert np.isfinite(vector.preprocess(vector.sample(random)[None]).numpy()).all()
    assert np.isnan(vector.preprocess(vector.sample(random, bad=True)[None])).all()
    assert np.isnan(vector.missing).all() and vector.missing.shape == (3,)
    assert vector.request_value() == "array of 3 numbers"
    assert repr(vector) == "Vector, 3 numbers"


def test_wrong_use():
    with pytest.raises(ValueError, match="Received: size=0"):
        keras_mm.Vector(0)
    with pytest.raises(ValueError, match="'v' has no vector in it"):
        keras_mm.Vector(2).adapt(column(None), "v")


def test_dense_reads_it():
    model = keras_mm.encoders.Dense(4).build({"v": keras_mm.Vector(3)}, "e")
    assert model.count_params() == (3 + 1) * 4 + 4
    x = np.array([[1, 2, 3], [np.nan] * 3], "float32")
    tokens, mask = [np.asarray(value) for value in model([x])]
    assert mask[:, 0].tolist() == [True, False] and np.isfinite(tokens).all()
