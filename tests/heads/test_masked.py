"""Masked losses and metrics against the stock ones on the known rows alone."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_mm
from keras_mm.heads import Dense, MaskedLoss, MaskedMetric
from keras_mm.targets import NumberTarget

pytestmark = pytest.mark.backends

TARGETS = {
    "class": keras_mm.ClassLabel(3),
    "number": NumberTarget(2.0, 3.0),
    "labels": keras_mm.MultiLabel(["a", "b"]),
}


def batch(kind, rows=12, seed=0):
    """Labels, predictions, weights, and which labels are hidden."""
    random = np.random.default_rng(seed)
    hidden = random.random(rows) < 0.4
    weights = random.random(rows).astype("float32")
    if kind == "class":
        predicted = random.dirichlet(np.ones(3), rows)
        labels = random.integers(0, 3, rows)
    elif kind == "number":
        predicted, labels = random.normal(size=(2, rows, 1))
    else:
        predicted = random.random((rows, 2))
        labels = random.integers(0, 2, (rows, 2))
    return labels, predicted.astype("float32"), weights, hidden


def hide(labels, hidden, kind):
    labels = labels.astype("int32" if kind == "class" else "float32")
    labels[hidden] = -1 if kind == "class" else np.nan
    return labels


@pytest.mark.parametrize("kind", TARGETS)
def test_loss_is_the_stock_one_on_the_known_rows(kind):
    labels, predicted, weights, hidden = batch(kind)
    masked, known = hide(labels, hidden, kind), ~hidden
    loss = Dense(label_smoothing=0.1).compiled(TARGETS[kind], masked=True)[0]
    stock = Dense(label_smoothing=0.1).loss(TARGETS[kind])
    assert isinstance(loss, MaskedLoss)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    for found in (loss, again):
        for weight in (None, weights):
            got = found(masked, predicted, weight)
            part = None if weight is None else weight[known]
            expected = stock(labels[known], predicted[known], part)
            np.testing.assert_allclose(
                ops.convert_to_numpy(got), ops.convert_to_numpy(expected), rtol=1e-5
            )
        nothing = found(hide(labels, hidden | True, kind), predicted, weights)
        assert float(nothing) == 0.0


@pytest.mark.parametrize("kind", TARGETS)
def test_metrics_are_the_stock_ones_on_the_known_rows(kind):
    _, masked = Dense().compiled(TARGETS[kind], masked=True)
    for metric, stock in zip(masked, Dense().metrics(TARGETS[kind])):
        if stock == "accuracy":
            stock = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        assert metric.name == stock.name
        config = keras.metrics.serialize(metric)
        for found, weighted in (
            (metric, False),
            (keras.metrics.deserialize(config), True),
        ):
            assert isinstance(found, MaskedMetric)
            stock.reset_state()
            # What another epoch left, and a batch without any label.
            labels, predicted, weights, hidden = batch(kind, seed=9)
            found.update_state(hide(labels, hidden, kind), predicted)
            found.reset_state()
            found.update_state(hide(labels, hidden | True, kind), predicted)
            assert np.isfinite(ops.convert_to_numpy(found.result())).all()
            for seed in (1, 2):
                labels, predicted, weights, hidden = batch(kind, seed=seed)
                weight = weights if weighted else None
                part = weights[~hidden] if weighted else None
                found.update_state(hide(labels, hidden, kind), predicted, weight)
                stock.update_state(labels[~hidden], predicted[~hidden], part)
            np.testing.assert_allclose(
                ops.convert_to_numpy(found.result()),
                ops.convert_to_numpy(stock.result()),
                rtol=1e-5,
            )


def test_a_step_of_training_against_numpy():
    """Gradients: those of the known rows, and 0, not NaN, where there is none."""
    random = np.random.default_rng(0)
    x = random.normal(size=(6, 4)).astype("float32")
    y = random.normal(size=(6, 1)).astype("float32")
    y[[1, 4]] = np.nan
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1)(inputs))
    model.compile(
        keras.optimizers.SGD(0.1), loss=MaskedLoss(keras.losses.MeanSquaredError())
    )
    kernel, bias = model.get_weights()
    model.train_on_batch(x, y)
    known = [0, 2, 3, 5]
    error = (x @ kernel + bias - y)[known]
    expected = kernel - 0.1 * 2 * x[known].T @ error / 4
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-4, atol=1e-6)
    before = model.get_weights()
    model.train_on_batch(x, np.full_like(y, np.nan))
    for now, then in zip(model.get_weights(), before):
        np.testing.assert_array_equal(now, then)
