"""Losses for classes of unequal size: formulas, names, what they change."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm
from keras_mm.heads import (
    BalancedCrossentropy,
    Crossentropy,
    Dense,
    FocalCrossentropy,
    LogitAdjustedCrossentropy,
)

COUNTS = [700, 250, 50]
LOSSES = {
    "logit_adjusted": LogitAdjustedCrossentropy,
    "focal": FocalCrossentropy,
    "balanced": BalancedCrossentropy,
}


def rows(seed=0):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(8, 3)) * 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return logits, p.astype("float32"), random.integers(0, 3, 8)


def log_softmax(z):
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def call(loss, y, p):
    return ops.convert_to_numpy(loss.call(y, p))


@pytest.mark.backends
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_formulas(smoothing):
    logits, p, y = rows()
    one_hot = np.eye(3)[y]
    target = one_hot * (1 - smoothing) + smoothing / 3
    priors = np.array(COUNTS) / 1000
    weights = np.array([0.001 / (1 - 0.999**n) for n in COUNTS])
    weights *= 1000 / (weights @ COUNTS)
    expected = {
        LogitAdjustedCrossentropy(priors, 0.5): -(
            target * log_softmax(logits + 0.5 * np.log(priors))
        ).sum(axis=1),
        FocalCrossentropy(1.5): -(target * (1 - p) ** 1.5 * np.log(p)).sum(axis=1),
        BalancedCrossentropy(COUNTS): -weights[y] * (target * np.log(p)).sum(axis=1),
    }
    for loss, values in expected.items():
        loss.label_smoothing = smoothing
        for labels in (y, y[:, None], one_hot):
            np.testing.assert_allclose(call(loss, labels, p), values, rtol=1e-4)
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        np.testing.assert_allclose(call(again, y, p), values, rtol=1e-4)
    np.testing.assert_allclose(
        call(FocalCrossentropy(0.0), y, p), call(Crossentropy(), y, p), rtol=1e-5
    )
    # The mean weight of the training rows.
    assert np.dot(BalancedCrossentropy(COUNTS).weights, COUNTS) == pytest.approx(1000)


@pytest.mark.backends
def test_certain_and_wrong_is_finite():
    p = np.array([[0.0, 1.0, 0.0]], "float32")
    for loss in (
        LogitAdjustedCrossentropy([0.7, 0.2, 0.1]),
        FocalCrossentropy(),
        BalancedCrossentropy(COUNTS),
    ):
        assert np.isfinite(call(loss, np.array([0]), p)).all()


@pytest.mark.backends
def test_a_row_that_is_certain_and_wrong_moves_the_weights():
    """A probability of 1e-13, which clipping would take the gradient from."""
    layer = keras.layers.Dense(2, activation="softmax")
    model = keras.Sequential([keras.Input((1,)), layer])
    bias = np.array([30.0, 0.0], "float32")
    layer.set_weights([np.zeros((1, 2)), bias])
    loss = LogitAdjustedCrossentropy([0.5, 0.5])
    model.compile(keras.optimizers.SGD(1.0), loss=loss, run_eagerly=False)
    model.fit(np.zeros((1, 1)), np.array([1]), verbose=0)
    np.testing.assert_allclose(layer.get_weights()[1] - bias, [-1, 1], atol=1e-3)


def make_rows(counts=(360, 40), seed=0):
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1], counts)
    x = labels[:, None] * 1.2 + random.normal(size=(len(labels), 2))
    names = np.array(["often", "seldom"])[labels]
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "label": names})


def make_model(table, loss, **options):
    schema = keras_mm.Schema(
        {name: keras_mm.Number() for name in "ab"}, {"label": keras_mm.ClassLabel()}
    ).adapt(table)
    heads = {"label": Dense(loss=loss)}
    return keras_mm.build_classifier(schema, heads=heads, seed=0, **options)


def test_adapt_counts_the_rows_of_each_class():
    table = make_rows((3, 2))
    label = keras_mm.ClassLabel().adapt(table["label"])
    assert label.counts == [3, 2]
    given = keras_mm.ClassLabel(class_names=["x", "seldom", "often"])
    assert given.adapt(table["label"]).counts == [0, 2, 3]
    with_holes = pd.Series(["b", None, "a", "b"])
    label = keras_mm.ClassLabel().adapt(with_holes, allow_missing=True)
    assert label.counts == [1, 2]
    assert keras_mm.ClassLabel.from_config(label.get_config()).counts == [1, 2]


@pytest.mark.parametrize("loss", ["logit_adjusted", "balanced"])
def test_the_small_class_is_recalled(loss):
    """Recall of the small class against the plain loss, on rows of their own."""
    table, test = make_rows(), make_rows(seed=1)
    recalls = {}
    for name in (None, loss):
        model = make_model(table, name, optimizer=keras.optimizers.Adam(0.05))
        model.fit(table, epochs=30, batch_size=100, verbose=0)
        scores = keras_mm.evaluation.score(model, test)
        recalls[name] = scores["macro_recall"]
    assert recalls[loss] > recalls[None] + 0.05


@pytest.mark.parametrize("loss", LOSSES)
def test_names_are_kept_in_the_file(loss, tmp_path):
    table = make_rows((6, 4))
    model = make_model(table, loss, fusion="hybrid", encoders={"a": None, "b": None})
    assert isinstance(model.loss, LOSSES[loss])
    model.fit(table, validation_data=table, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.heads["label"].imbalance == loss
    assert type(again.loss) is LOSSES[loss]
    assert again.loss.get_config() == model.loss.get_config()
    again.fit(table, epochs=1, verbose=0)


def test_two_corrections_and_targets_that_have_no_classes_are_refused():
    table = make_rows((6, 4))
    model = make_model(table, "focal")
    with pytest.raises(ValueError, match="Received: class_weight='balanced', loss={"):
        model.fit(table, class_weight="balanced", verbose=0)
    with pytest.raises(ValueError, match="Received: a target of the kind 'number'"):
        schema = keras_mm.Schema({"a": keras_mm.Number()}, {"b": keras_mm.Number()})
        heads = {"b": Dense(loss="balanced")}
        keras_mm.build_regressor(schema.adapt(table), heads=heads)
    with pytest.raises(ValueError, match="Received: counts=None"):
        Dense(loss="balanced").loss(keras_mm.ClassLabel(3))
    with pytest.raises(ValueError, match=r"Received: priors=\[1.0, 0.0\]"):
        LogitAdjustedCrossentropy([1.0, 0.0])
    with pytest.raises(ValueError, match="Received: beta=1"):
        BalancedCrossentropy([1, 2], beta=1)
