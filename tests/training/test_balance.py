"""Balance between modalities: whose loss counts, whose gradient, who is lazy."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_mm
from keras_mm.training.gradient_blending import blended

from ..helpers import dense_model, dense_table

pytestmark = pytest.mark.backends


def test_blending_in_numbers():
    weights = blended(np.array([0.4, 0.1, -0.2]), np.array([0.2, 0.1, 0.1]))
    # 0.4 / 0.04 = 10, 0.1 / 0.01 = 10, nothing.
    np.testing.assert_allclose(weights, [1.5, 1.5, 0.0])
    np.testing.assert_array_equal(blended(np.zeros(2), np.ones(2)), [1.0, 1.0])
    # Who does not overfit at all does not count infinitely.
    assert np.isfinite(blended(np.ones(2), np.array([0.0, 1.0]))).all()


def test_blending_prefers_who_generalises():
    """The other modality tells training rows from each other, and no more."""
    train, held = dense_table(60), dense_table(60, seed=1)
    for seed, table in enumerate((train, held)):
        random = np.random.default_rng(10 + seed)
        table["bad"] = list(random.normal(size=(60, 40)))
    model = dense_model(
        train, fusion="late_mean", optimizer=keras.optimizers.Adam(0.03)
    )
    blending = keras_mm.training.GradientBlending(train, held, every=3)
    model.fit(train, epochs=6, callbacks=[blending], verbose=0)
    assert [epoch for epoch, _ in blending.weights] == [2, 5]
    for _, weights in blending.weights:
        assert weights[0] > 1.5 > 0.5 > weights[1] >= 0, blending.weights
    layer = model.get_layer("modality-fusion")
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer.loss_weights), blending.weights[-1][1], rtol=1e-5
    )
    with pytest.raises(ValueError, match="hybrid.*Received: fusion="):
        other = dense_model(train, fusion="concat")
        other.fit(train, callbacks=[blending], verbose=0)
    with pytest.raises(ValueError, match="Received: every=0"):
        keras_mm.training.GradientBlending(train, held, every=0)


def step(modulation, scales=None):
    """One step of SGD, and how far each encoder went."""
    table = dense_table(30)
    fusion = keras_mm.fusion.Hybrid(keras_mm.fusion.Gated(4), modulation=modulation)
    model = dense_model(table, fusion=fusion, optimizer=keras.optimizers.SGD(0.1))
    layer = model.get_layer("modality-fusion")
    if scales is not None:
        layer.gradient_scales.assign(scales)
    encoders = [model.get_layer(f"{name}-encoder") for name in ("good", "bad")]
    before = [encoder.get_weights() for encoder in encoders]
    model.fit(table, batch_size=30, verbose=0)
    moved = [
        [new - old for old, new in zip(start, encoder.get_weights())]
        for start, encoder in zip(before, encoders)
    ]
    return moved, model, table


def test_modulation_scales_the_gradients_of_one_encoder():
    plain, _, _ = step(0.0)
    slowed, _, _ = step(0.5, scales=[0.25, 1.0])
    for old, new in zip(plain[0], slowed[0]):
        np.testing.assert_allclose(new, 0.25 * old, atol=1e-6)
        assert np.abs(old).max() > 1e-4
    for old, new in zip(plain[1], slowed[1]):
        np.testing.assert_allclose(new, old, atol=1e-6)


def test_modulation_follows_the_paper():
    _, model, table = step(0.5)
    layer = model.get_layer("modality-fusion")
    logits = np.random.default_rng(0).normal(size=(30, 3, 3)).astype("float32")
    logits[:, 0, :] += 3 * np.eye(3)[np.arange(30) % 3]
    present = np.ones((30, 3), bool)
    present[:4, 1] = False
    truth = np.arange(30) % 3
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    right = shares[np.arange(30), :, truth]
    scores = [right[:, 0].mean(), right[4:, 1].mean()]
    ratio = scores[0] / scores[1]
    assert ratio > 1
    for labels in (truth, truth[:, None], np.eye(3)[truth]):
        layer.gradient_scales.assign([1.0, 1.0])
        layer.observe(
            ops.convert_to_tensor(logits),
            ops.convert_to_tensor(present),
            ops.convert_to_tensor(labels),
        )
        np.testing.assert_allclose(
            ops.convert_to_numpy(layer.gradient_scales),
            [1 - np.tanh(0.5 * ratio), 1.0],
            rtol=1e-4,
        )
    # Rows without a label change nothing.
    layer.observe(
        ops.convert_to_tensor(np.concatenate([logits, 9 * logits[:4]])),
        ops.convert_to_tensor(np.concatenate([present, present[:4]])),
        ops.convert_to_tensor(np.append(truth, [-1] * 4)),
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer.gradient_scales),
        [1 - np.tanh(0.5 * ratio), 1.0],
        rtol=1e-4,
    )
    # In `fit` a step sets the scales of the next one.
    layer.gradient_scales.assign([9.0, 9.0])
    model.fit(table, verbose=0)
    assert ops.convert_to_numpy(layer.gradient_scales).max() <= 1
    with pytest.raises(ValueError, match="Received: modulation=-1"):
        keras_mm.fusion.Hybrid(modulation=-1)


def test_curves_say_who_is_lazy():
    train, held = dense_table(), dense_table(60, seed=1)
    model = dense_model(train, fusion="late_mean", optimizer="adam")
    model.compile(keras.optimizers.Adam(0.05), model.loss, metrics=["accuracy"])
    curves = keras_mm.evaluation.ModalityCurves(held)
    model.fit(train, epochs=8, callbacks=[curves], verbose=0)
    table = curves.table
    assert list(table.columns) == ["all", "good", "bad"] and list(table.index)[-1] == 8
    # The last row is what the trained model does, asked with tables.
    for name, others in (("all", []), ("good", ["bad"]), ("bad", ["good"])):
        expected = keras_mm.evaluation.score(model, held, withhold=others)
        np.testing.assert_allclose(table[name].iloc[-1], expected["accuracy"])
    assert curves.baseline == pytest.approx(1 / 3)
    assert len(curves.sentences) == 1
    assert curves.sentences[0].startswith("bad is lazy: alone it has accuracy")
    figure = curves.plot()
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["all together", "good alone", "bad alone", "constant"]
