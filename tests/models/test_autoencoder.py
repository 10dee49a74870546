"""Autoencoders, their loss, and their encoders in other models."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm

from ..helpers import make_table, tensors_of

KINDS = {
    "image": (
        lambda: keras_mm.Image((13, 10)),
        keras_mm.encoders.CNN(4),
    ),
    "sequence": (
        lambda: keras_mm.Sequence(37, channels=2),
        keras_mm.encoders.TemporalCNN((6,), 3),
    ),
    "sound": (
        lambda: keras_mm.Audio(0.1, 8000, num_mels=8, num_mfccs=8),
        keras_mm.encoders.SpectrogramCNN((4, 6), units=8),
    ),
    "vector": (lambda: keras_mm.Vector(5), None),
}


def cells(kind, rows=12):
    """Rows of one kind; the second is missing."""
    random = np.random.default_rng(0)
    if kind == "image":
        column = list(make_table(rows, missing=False)["image"])
    elif kind == "sound":
        column = [KINDS["sound"][0]().sample(random) for _ in range(rows)]
    elif kind == "sequence":
        steps = [np.arange(20 + 3 * (row % 6)) / 5 for row in range(rows)]
        column = [np.stack([np.sin(t), np.cos(t)], axis=1) for t in steps]
        column[0][4, 1] = np.nan
    else:
        mixed = random.normal(size=(rows, 2)) @ random.normal(size=(2, 5))
        column = list(mixed)
    column[1] = None
    labels = ["a" if row % 2 else "b" for row in range(rows)]
    return pd.DataFrame({kind: pd.Series(column, dtype=object), "label": labels})


def made(kind, **kwargs):
    """A table, its schema with a target, and a small autoencoder."""
    table = cells(kind)
    value, encoder = KINDS[kind]
    schema = keras_mm.Schema({kind: value()}, {"label": keras_mm.ClassLabel()})
    schema.adapt(table)
    kwargs = {"encoder": encoder, "units": 3, "seed": 0, **kwargs}
    return table, schema, keras_mm.build_autoencoder(schema, **kwargs)


def numpy_loss(target, output):
    known = ~np.isnan(target)
    return np.mean((target[known] - output[known]) ** 2)


# --- the loss ------------------------------------------------------------------


@pytest.mark.backends
def test_loss_counts_what_is_there():
    """NumPy's number; nothing is 0, and no NaN gets into the gradient."""
    random = np.random.default_rng(0)
    target = random.normal(size=(4, 5, 2)).astype("float32")
    target[1] = np.nan
    target[2, 3:] = np.nan
    target[3, 0, 1] = np.nan
    output = random.normal(size=(4, 5, 2)).astype("float32")
    loss = keras_mm.heads.MaskedMeanSquaredError()
    np.testing.assert_allclose(
        float(loss(target, output)), numpy_loss(target, output), rtol=1e-5
    )
    full = random.normal(size=(4, 5, 2)).astype("float32")
    stock = keras.losses.MeanSquaredError()
    np.testing.assert_allclose(
        float(loss(full, output)), float(stock(full, output)), rtol=1e-5
    )
    assert float(loss(np.full_like(target, np.nan), output)) == 0.0
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(target, output)) == float(loss(target, output))
    with pytest.raises(ValueError, match=r"y_true of shape \(4, 5\)"):
        loss(full[..., 0], output)


# --- training ------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*are in both the training")
@pytest.mark.parametrize("kind", KINDS)
def test_learns_and_reconstructs(kind):
    """All kinds and lengths: the loss falls, and is the NumPy mean."""
    table, schema, model = made(kind)
    target = tensors_of(table, model.schema)[kind]
    before = model.evaluate(table, batch_size=12, verbose=0)
    history = model.fit(
        table, validation_data=table, epochs=6, batch_size=4, verbose=0
    ).history
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["val_loss"]).all()
    after = model.evaluate(table, batch_size=12, verbose=0)
    assert after < before
    output = model.predict(table, verbose=0)
    assert output.shape == target.shape and np.isfinite(output).all()
    np.testing.assert_allclose(after, numpy_loss(target, output), rtol=1e-4)
    # Tensors do as well as a table, with and without their target.
    for args in ((target,), (keras_mm.Tensors({kind: target}),), (target, target)):
        np.testing.assert_allclose(
            model.evaluate(*args, batch_size=12, verbose=0), after, rtol=1e-4
        )
    tokens, mask = model.encoder.predict(target, verbose=0)
    assert np.isfinite(tokens).all()
    assert mask.any(axis=1).tolist() == [row != 1 for row in range(len(table))]
    assert "label" not in model.schema.inputs and model.schema.target is None
    assert model.get_layer(f"{kind}-bottleneck").output.shape == (None, 3)
    assert (
        model.decoder.predict(np.zeros((2, 3)), verbose=0).shape[1:]
        == (target.shape[1:])
    )


@pytest.mark.backends
def test_nothing_there_costs_nothing():
    """A batch of missing rows only: loss 0, and weights stay finite."""
    table, _, model = made("sequence")
    table["sequence"] = None
    history = model.fit(table, epochs=1, verbose=0).history
    assert history["loss"] == [0.0]
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_padding_is_not_seen():
    """What lies behind a sequence's end has no part in the loss."""
    table, _, model = made("sequence")
    longer = model.predict(table, verbose=0)
    target = tensors_of(table, model.schema)["sequence"]
    loss = keras_mm.heads.MaskedMeanSquaredError()
    changed = np.where(np.isnan(target), 1e3, longer).astype("float32")
    assert np.isnan(target).any()
    assert float(loss(target, changed)) == float(loss(target, longer))


def test_noise_is_on_the_input_in_training_only():
    """The target stays clean, and prediction has no noise."""
    table, _, model = made("vector", noise=0.5)
    _, _, clean = made("vector")
    clean.set_weights(model.get_weights()[: len(clean.get_weights())])
    target = tensors_of(table, model.schema)["vector"]
    np.testing.assert_allclose(
        model.predict(table, verbose=0), clean.predict(table, verbose=0), rtol=1e-5
    )
    noisy = ops.convert_to_numpy(model([target], training=True))
    assert np.abs(noisy - model.predict(table, verbose=0))[0].max() > 1e-3
    # Missing rows stay missing under noise.
    (layer,) = [x for x in model.layers if isinstance(x, keras.layers.GaussianNoise)]
    assert np.isnan(ops.convert_to_numpy(layer(target, training=True))[1]).all()
    loss = model.compute_loss(target, None, noisy)
    np.testing.assert_allclose(float(loss), numpy_loss(target, noisy), rtol=1e-5)


def test_same_seed_same_model():
    """Initialisation, noise and order of the rows come from the seed."""
    losses = []
    for _ in range(2):
        table, _, model = made("vector", noise=0.2)
        losses.append(model.fit(table, epochs=2, verbose=0).history["loss"])
    assert losses[0] == losses[1]


# --- in other models -----------------------------------------------------------


def classifier(schema, encoder, **kwargs):
    (column,) = schema.inputs
    return keras_mm.build_classifier(
        schema, encoders={column: encoder}, seed=1, **kwargs
    )


@pytest.mark.backends
def test_encoder_in_a_classifier():
    """Its weights come along; fine-tuning leaves the autoencoder alone."""
    kind = "sequence"
    table, schema, model = made(kind)
    model.fit(table, epochs=1, verbose=0)
    target = tensors_of(table, model.schema)[kind]
    weights = model.encoder.get_weights()
    tuned = classifier(schema, model.encoder)
    part = tuned.get_layer(f"{kind}-encoder")
    for got, expected in zip(
        part.predict(target, verbose=0), model.encoder.predict(target, verbose=0)
    ):
        np.testing.assert_allclose(got, expected, atol=1e-6)
    tuned.fit(table, epochs=1, verbose=0)
    for before, after in zip(weights, model.encoder.get_weights()):
        np.testing.assert_array_equal(before, after)
    changed = [not np.array_equal(*pair) for pair in zip(weights, part.get_weights())]
    assert any(changed)
    # From a classifier to a classifier, by its layer.
    other = classifier(schema, part)
    for pair in zip(part.get_weights(), other.get_layer(part.name).get_weights()):
        np.testing.assert_array_equal(*pair)


def test_frozen_encoder(tmp_path):
    """`trainable = False` comes along; fit_cached, missing rows, files, export."""
    small = keras_mm.encoders.ResidualCNN((4,), units=6)
    table, schema, model = made("image", encoder=small)
    model.encoder.trainable = False
    frozen = classifier(schema, model.encoder)
    part = frozen.get_layer("image-encoder")
    assert not part.trainable_weights
    assert len(frozen.trainable_weights) == 2
    keras_mm.training.fit_cached(frozen, table, epochs=2, verbose=0)
    for pair in zip(model.encoder.get_weights(), part.get_weights()):
        np.testing.assert_array_equal(*pair)
    # The missing row is told by its mask: only the head's bias speaks.
    predicted = frozen.predict(table, verbose=0)
    logits = frozen.layers[-2].get_weights()[1]
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(predicted[1], expected, rtol=1e-4)
    if keras.backend.backend() != "tensorflow":
        # Fresh processes take their time, and differ by nothing of a backend's.
        return
    # A fresh process reads both files.
    model.save(tmp_path / "autoencoder.keras")
    frozen.save(tmp_path / "classifier.keras")
    table.to_pickle(tmp_path / "table.pkl")
    code = """
import json, keras, pandas, keras_mm
table = pandas.read_pickle("table.pkl")
model = keras.models.load_model("autoencoder.keras")
frozen = keras.models.load_model("classifier.keras")
assert not frozen.get_layer("image-encoder").trainable_weights
print(json.dumps([
    model.predict(table, verbose=0)[0].tolist(),
    frozen.predict(table, verbose=0).tolist(),
    type(model).__name__,
    model.evaluate(table, verbose=0),
    keras_mm.build_classifier(
        frozen.schema, encoders={"image": model.encoder}
    ).count_params(),
]))
"""
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    assert not process.returncode, process.stderr
    output, probabilities, name, loss, count = json.loads(
        process.stdout.splitlines()[-1]
    )
    np.testing.assert_allclose(output, model.predict(table, verbose=0)[0], atol=1e-5)
    np.testing.assert_allclose(probabilities, predicted, atol=1e-5)
    assert name == "Autoencoder" and count == frozen.count_params()
    np.testing.assert_allclose(loss, model.evaluate(table, verbose=0), rtol=1e-4)
    path = keras_mm.export(frozen, tmp_path / "served", verbose=False)
    answers = keras_mm.load_exported(path)(table)
    served = np.stack(answers["label_probabilities"])
    np.testing.assert_allclose(served, predicted, atol=1e-5)


def test_standardisation_of_the_training():
    """The classifier reads what the encoder's weights were trained on."""
    table, _, model = made("sequence")
    few = keras_mm.Schema(
        {"sequence": keras_mm.Sequence(37, channels=2)},
        {"label": keras_mm.ClassLabel()},
    ).adapt(table.head(4))
    source = model.schema.inputs["sequence"]
    assert few.inputs["sequence"].mean != source.mean
    tuned = classifier(few, model.encoder)
    assert tuned.schema.inputs["sequence"].mean == source.mean
    assert tuned.schema.inputs["sequence"].std == source.std


# --- errors --------------------------------------------------------------------


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are written by TensorFlow"
)
def test_export_serves_the_code(tmp_path):
    """What is read behind the encoder, whatever is missing; verified as all exports."""
    table, _, model = made("vector")
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    path = keras_mm.export(model, tmp_path / "codes", rows=table, verbose=False)
    exported = keras_mm.load_exported(path)
    assert set(exported.signatures) == {"serving_default", "serving_tensors", "embed"}
    guide = (tmp_path / "codes" / "SERVING.md").read_text()
    assert "the code of the input" in guide and "unit vector" not in guide
    answer = exported(table)
    code = model.code().predict(table, verbose=0)["vector"]
    np.testing.assert_allclose(np.stack(answer["vector_embedding"]), code, atol=1e-5)
    np.testing.assert_allclose(
        keras_mm.evaluation.cluster(model, table, 2).vectors, code, atol=1e-5
    )
    again = model.decoder(code)
    np.testing.assert_allclose(again, model.predict(table, verbose=0), atol=1e-5)


def test_errors(tmp_path):
    table, schema, model = made("vector")
    both = keras_mm.Schema({"vector": keras_mm.Vector(5), "text": keras_mm.Text()})
    with pytest.raises(ValueError, match="pass column=.*Received: column=None"):
        keras_mm.build_autoencoder(both)
    with pytest.raises(ValueError, match="Received: text=Text"):
        keras_mm.build_autoencoder(both, column="text")
    with pytest.raises(ValueError, match="has not been adapted"):
        keras_mm.build_autoencoder(both, column="vector")
    with pytest.raises(ValueError, match="Received: units=0, noise=0"):
        keras_mm.build_autoencoder(schema, units=0)
    with pytest.raises(ValueError, match="must be a name or an object"):
        keras_mm.build_autoencoder(schema, encoder=keras.layers.Dense(3))
    with pytest.raises(ValueError, match="must be one of"):
        keras_mm.build_autoencoder(schema, encoder="lstm")
    with pytest.raises(ValueError, match="Schema or a dict.*Received: str"):
        keras_mm.build_autoencoder("vector")
    other = keras_mm.Schema({"vector": keras_mm.Vector(4, 0.0, 1.0)}, schema.targets)
    with pytest.raises(ValueError, match="trained on 'Vector, 5.*differs in size"):
        classifier(other, model.encoder)
    encoder = keras.Model(model.encoder.inputs, model.encoder.outputs)
    with pytest.raises(ValueError, match=r"\(None, 5\).*Received.*\(None, 4\)"):
        classifier(other, encoder)
    # Arrays need no table.
    arrays = keras_mm.build_autoencoder({"vector": keras_mm.Vector(5)}, units=2)
    assert arrays.fit(np.ones((4, 5)), epochs=1, verbose=0).history["loss"][0] > 0
