"""Scales of numbers to predict: maps there and back, gradients, heavy tails."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops
from keras.src import testing
from scipy.stats import norm

import keras_mm
from keras_mm.heads import NumberScale, ScaledMeanSquaredError
from keras_mm.targets import NumberTarget

from ..helpers import tensors_of


def heavy(rows=500, seed=0):
    return np.exp(np.random.default_rng(seed).normal(size=rows) * 3)


def numpy(x):
    return ops.convert_to_numpy(x)


def in_numpy(values, y, scale):
    """`y` on the scale of the training rows' `values`, by their ranks."""
    if scale == "log":
        logs = np.log(values)
        return (np.log(y) - logs.mean()) / logs.std()
    scores = norm.ppf((np.arange(len(values)) + 0.5) / len(values))
    return np.interp(y, np.sort(values), scores / scores.std())


@pytest.mark.backends
@pytest.mark.parametrize("scale", ["log", "quantile"])
def test_there_and_back_within_the_range_and_beyond(scale):
    values = heavy()
    target = NumberTarget(scale=scale).adapt(pd.Series(values))
    layer = NumberScale(scale, target.quantiles)
    y = np.sort(np.concatenate([values, [values.min() / 2, values.max() * 2]]))
    z = numpy(layer.to_scale(y.astype("float32")))
    assert (np.diff(z) >= 0).all() and abs(z.mean()) < 0.1 and abs(z.std() - 1) < 0.1
    np.testing.assert_allclose(numpy(layer(z)), y, rtol=2e-4, atol=1e-5)
    expected = in_numpy(values, y, scale)
    # 257 quantiles of 500 rows tell less about the tails.
    np.testing.assert_allclose(z[10:-10], expected[10:-10], rtol=0.03, atol=0.03)
    np.testing.assert_allclose(z[1:-1], expected[1:-1], atol=0.3)


def test_log_in_numpy():
    values = np.array([1.0, 10.0, 100.0])
    layer = NumberScale(
        "log", NumberTarget(scale="log").adapt(pd.Series(values)).quantiles
    )
    z = numpy(layer.to_scale(np.array([10.0, 1000.0, 0.0, -5.0], "float32")))
    spread = np.log(10) * np.sqrt(2 / 3)
    np.testing.assert_allclose(z[:2], [0, 2 * np.log(10) / spread], atol=0.02)
    # What has no logarithm is finite, and less than everything else.
    assert np.isfinite(z).all() and z[2] == z[3] < -4


@pytest.mark.backends
@pytest.mark.parametrize("scale", ["log", "quantile"])
def test_the_loss_is_the_squared_error_on_the_scale(scale):
    target = NumberTarget(scale=scale).adapt(pd.Series(heavy()))
    layer = NumberScale(scale, target.quantiles)
    z, truth = np.array([[-4.0], [0.3], [5.0]], "float32"), heavy(3, 1)[:, None]
    loss = ScaledMeanSquaredError(scale, target.quantiles)
    expected = np.square(numpy(layer.to_scale(truth)) - z)[:, 0]
    # Late fusions weigh their experts by it, in NumPy.
    head = keras_mm.heads.Dense()
    np.testing.assert_allclose(head.row_losses(z, truth, target), expected, rtol=1e-4)
    got = numpy(loss.call(truth.astype("float32"), layer(z)))
    np.testing.assert_allclose(got, expected, rtol=1e-2)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    np.testing.assert_allclose(numpy(again.call(truth, layer(z))), got, rtol=1e-6)


def test_a_constant_and_numbers_that_float32_does_not_tell_apart():
    for values in ([7.0] * 5, [1e6, 1e6 + 1e-3, 1e6 + 50, 1e6 + 90]):
        target = NumberTarget(scale="quantile").adapt(pd.Series(values))
        layer = NumberScale("quantile", target.quantiles)
        z = numpy(layer.to_scale(np.array(values, "float32")))
        assert np.isfinite(z).all() and np.isfinite(numpy(layer(z))).all()


@pytest.mark.parametrize("scale", ["log", "quantile"])
def test_keras_layer_harness(scale):
    testing.TestCase().run_layer_test(
        NumberScale,
        {"scale": scale, "quantiles": [1.0, 2.0, 2.0, 8.0]},
        input_shape=(3, 1),
        expected_output_shape=(3, 1),
        expected_num_trainable_weights=0,
        run_mixed_precision_check=False,
    )


def make_rows(rows=300):
    x = np.random.default_rng(0).normal(size=rows)
    return pd.DataFrame({"x": x, "z": x, "price": np.exp(4 * x)})


@pytest.mark.backends
@pytest.mark.parametrize("scale", ["log", "quantile"])
def test_heavy_tails_are_learned_and_answers_are_in_the_unit(scale, tmp_path):
    table = make_rows()
    schema = keras_mm.Schema(
        {"x": keras_mm.Number(), "z": keras_mm.Number()},
        {"price": keras_mm.Number(scale=scale)},
    ).adapt(table)
    model = keras_mm.build_regressor(
        schema,
        encoders={"x": None, "z": None},
        optimizer=keras.optimizers.Adam(0.02),
        seed=0,
    )
    model.fit(table, validation_data=table[:50], epochs=25, batch_size=50, verbose=0)
    predicted = model.predict(table, verbose=0)[:, 0]
    # Across five decades, within a factor of 2 of the truth.
    factor = np.abs(np.log(np.maximum(predicted, 1e-9) / table["price"]))
    assert np.median(factor) < np.log(2)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(table, verbose=0)[:, 0], predicted)
    assert again.schema.target.scale == scale


@pytest.mark.backends
def test_missing_labels_count_nowhere():
    table = make_rows(30)
    table.loc[::3, "price"] = None
    schema = keras_mm.Schema(
        {"x": keras_mm.Number()},
        {"price": keras_mm.Number(scale="log"), "z": keras_mm.Number()},
    ).adapt(table)
    model = keras_mm.build_multitask(schema, seed=0)
    model.fit(table, epochs=1, verbose=0)
    assert all(np.isfinite(numpy(weight)).all() for weight in model.weights)
    inputs = tensors_of(table, schema)
    assert np.isfinite(numpy(model(inputs)["price"])).all()


def test_scales_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="Received: y with a minimum of -1"):
        NumberTarget(scale="log").adapt(pd.Series([-1.0, 2.0]), "y")
    with pytest.raises(ValueError, match="Received: scale='cube'"):
        NumberTarget(scale="cube")
    with pytest.raises(ValueError, match="Received: quantiles=None"):
        keras_mm.heads.Dense().loss(NumberTarget(scale="log"))
