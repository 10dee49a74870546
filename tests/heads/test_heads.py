"""Losses against NumPy, and the head that each target gets."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import keras_mm
from keras_mm.fusion import Fused
from keras_mm.heads import Crossentropy, Dense
from keras_mm.targets import NumberTarget

pytestmark = pytest.mark.backends


def reference(labels, probabilities, smoothing=0.0):
    classes = probabilities.shape[1]
    target = np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes
    return -(target * np.log(probabilities)).sum(1).mean()


@given(st.integers(0, 999), st.sampled_from([0.0, 0.1, 0.5]), st.integers(2, 5))
def test_loss_for_indices_and_one_hot(seed, smoothing, classes):
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.ones(classes), 6) * 0.98 + 0.02 / classes
    labels = random.integers(0, classes, 6)
    loss = Crossentropy(smoothing)
    expected = reference(labels, p, smoothing)
    for y in (
        labels,
        labels[:, None],
        labels.astype("float32"),
        np.eye(classes)[labels],
    ):
        got = ops.convert_to_numpy(loss(y, p.astype("float32")))
        np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_loss_round_trip_and_weights():
    loss = Crossentropy(label_smoothing=0.2)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, Crossentropy) and again.label_smoothing == 0.2
    p = np.array([[0.5, 0.5], [0.9, 0.1]], "float32")
    got = Crossentropy()([0, 1], p, sample_weight=np.array([1.0, 0.0]))
    np.testing.assert_allclose(ops.convert_to_numpy(got), -np.log(0.5) / 2, rtol=1e-5)


def test_certain_and_wrong_is_finite():
    got = Crossentropy()([0], np.array([[0.0, 1.0]], "float32"))
    assert np.isfinite(ops.convert_to_numpy(got))


@pytest.mark.parametrize(
    "target, width, activation, loss, metrics",
    [
        (keras_mm.ClassLabel(3), 3, "softmax", Crossentropy, {"accuracy"}),
        (keras_mm.ClassLabel(2), 2, "softmax", Crossentropy, {"accuracy"}),
        (keras_mm.MultiLabel(["a", "b"]), 2, "sigmoid", keras.losses.BinaryCrossentropy, {"f1_score", "auc"}),
        (NumberTarget(5.0, 2.0), 1, None, keras_mm.heads.StandardizedMeanSquaredError, {"mean_absolute_error"}),
    ],
)  # fmt: skip
def test_heads(target, width, activation, loss, metrics):
    head = Dense(label_smoothing=0.1)
    x = keras.Input((4,))
    y = head.build(Fused(x), target, "answer")
    assert y.shape == (None, width)
    model = keras.Model(x, y)
    assert model.layers[-1].name == "answer"
    if activation:
        assert model.layers[-1].activation.__name__ == activation
    assert isinstance(head.loss(target), loss)
    assert {
        m if isinstance(m, str) else m.name for m in head.metrics(target)
    } == metrics
    assert model.count_params() == 5 * width


def test_number_head_answers_in_the_targets_unit():
    x = keras.Input((4,))
    model = keras.Model(x, Dense().build(Fused(x), NumberTarget(100.0, 20.0), "price"))
    data = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(
        model.predict(data, verbose=0), 100 + 20 * (data @ kernel + bias), rtol=1e-4
    )


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_the_unit_of_a_number_does_not_matter(unit):
    """One step of training changes the weights by the same."""
    x, y = np.array([[1.0], [2.0]], "float32"), np.array([[3.0], [7.0]])
    found = []
    for scale in (1.0, unit):
        target = NumberTarget(5.0 * scale, 2.0 * scale)
        inputs = keras.Input((1,))
        model = keras.Model(inputs, Dense().build(Fused(inputs), target, "price"))
        model.set_weights([np.array([[0.5]]), np.zeros(1)])
        model.compile("sgd", loss=Dense().loss(target))
        loss = model.train_on_batch(x, (scale * y).astype("float32"))
        found.append([loss, *map(np.ravel, model.get_weights())])
    np.testing.assert_allclose(
        np.hstack(found[0]), np.hstack(found[1]), rtol=1e-4, atol=1e-6
    )
