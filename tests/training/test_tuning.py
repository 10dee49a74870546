"""Which weights of a pretrained encoder move, and how far."""

import os
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm

pytest.importorskip("keras_hub")

from ..encoders.hub_backbones import TEXTS, bert  # noqa: E402

TABLE = pd.DataFrame({"text": TEXTS, "y": ["a", "b"] * 3}, dtype=object)
# The tiny BERT: 2 layers, 2 heads, 8 units.
LORA = 2 * 2 * (8 * 2 * 3 + 3 * 4)


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    bert(folder)
    return str(folder)


def model_of(preset, optimizer=None, **kwargs):
    schema = keras_mm.Schema(
        {"text": keras_mm.Text(sequence_length=10)}, {"y": keras_mm.ClassLabel()}
    ).adapt(TABLE)
    encoder = keras_mm.encoders.Hub(preset, **kwargs)
    model = keras_mm.build_classifier(schema, encoders={"text": encoder}, seed=0)
    # Tracing takes longer than these few steps.
    model.compile(optimizer or "adam", model.loss, run_eagerly=True)
    return model


def weights_of(model):
    return {
        (place, weight.path): ops.convert_to_numpy(weight)
        for place, weight in enumerate(model.weights)
    }


def moved(before, model):
    after = weights_of(model)
    return {
        path
        for (place, path), value in after.items()
        if not np.array_equal(before[place, path], value)
        and "seed_generator" not in path
    }


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


@pytest.mark.usefixtures("eagerly")
def test_lora_trains_small_matrices_alone(preset, tmp_path):
    model = model_of(preset, trainable="lora", lora_rank=3)
    encoder = model.get_layer("text-encoder")
    assert count(encoder.trainable_weights) == LORA
    before = weights_of(model)
    start = model.predict(TABLE, verbose=0)
    model.fit(TABLE, epochs=3, verbose=0, batch_size=6)
    inside = {path for path in moved(before, model) if "transformer" in path}
    assert len(inside) == 8 and all("lora_kernel" in path for path in inside)
    assert len(moved(before, model)) == 8 + len(model.get_layer("y-logits").weights)
    expected = model.predict(TABLE, verbose=0)
    assert abs(expected - start).max() > 1e-3
    model.save(tmp_path / "model.keras")

    again = keras.models.load_model(tmp_path / "model.keras")
    assert count(again.get_layer("text-encoder").trainable_weights) == LORA
    np.testing.assert_allclose(again.predict(TABLE, verbose=0), expected, atol=1e-6)
    # They learn on, though Keras keeps their product with the kernel.
    before = weights_of(again)
    again.fit(TABLE, epochs=2, verbose=0)
    assert {path for path in moved(before, again) if "transformer" in path} == inside
    if keras.backend.backend() == "tensorflow":
        # A process that has not imported KerasHub.
        np.save(tmp_path / "expected.npy", expected)
        program = (
            "import keras, keras_mm, numpy, sys; folder = sys.argv[1]; "
            "model = keras.models.load_model(folder + '/model.keras'); "
            f"given = model.predict({{'text': {TEXTS!r}}}, verbose=0); "
            "assert abs(given - numpy.load(folder + '/expected.npy')).max() < 1e-6; "
            # It compares what it wrote with the model, row by row.
            "assert model.lora_ranks == {'text-encoder': 3}; "
            "keras_mm.export(model, folder + '/export', verbose=False)"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], check=True, env=environment
        )


def test_a_step_is_as_long_as_the_rates_say(preset, tmp_path):
    """SGD moves by the rate times the gradient."""
    ids = np.array([[2, 5, 7, 8, 3, 0, 0, 0, 0, 0]] * 4, "int32")
    tensors = keras_mm.Tensors({"text": ids})
    labels = np.array([0, 1, 1, 1])
    steps = []
    for rate in (None, 1e-3):
        optimizer = keras.optimizers.SGD(1e-1)
        model = model_of(preset, optimizer, trainable=True, learning_rate=rate)
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
        before = [ops.convert_to_numpy(weight) for weight in model.trainable_weights]
        model.fit(tensors, labels, verbose=0)
        after = [ops.convert_to_numpy(weight) for weight in model.trainable_weights]
        steps.append([b - a for a, b in zip(before, after)])
    own = {id(w) for w in model.get_layer("text-encoder").trainable_weights}
    assert 0 < len(own) < len(model.trainable_weights)
    for weight, plain, slow in zip(model.trainable_weights, *steps):
        share = 1e-2 if id(weight) in own else 1.0
        np.testing.assert_allclose(slow, share * plain, rtol=1e-3, atol=1e-7)
    assert any(abs(step).max() > 1e-4 for step in steps[0])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
    model.optimizer.learning_rate = 0.05
    rates = sorted(float(o.learning_rate) for o in model.optimizer.optimizers)
    assert rates == pytest.approx([5e-4, 5e-2])


def test_rates_and_their_state_are_in_the_file(preset, tmp_path):
    model = model_of(preset, trainable=True, learning_rate=1e-4, units=5)
    callback = keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1)
    model.fit(TABLE, epochs=2, verbose=0, callbacks=[callback])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.learning_rates == {"text-encoder": 1e-4}
    mine, its = model.optimizer.variables, again.optimizer.variables
    assert len(mine) == len(its)
    for one, two in zip(mine, its):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(one), ops.convert_to_numpy(two)
        )
    # What is new in the encoder learns at the model's rate.
    slow = again.optimizer._others[0][1]
    inside = again.get_layer("text-encoder").layers
    backbone = next(layer for layer in inside if isinstance(layer, keras.Model))
    assert len(slow._trainable_variables) == len(backbone.trainable_variables)
    again.compile("sgd", again.loss)
    again.optimizer.build(again.trainable_variables)
    rates = sorted(float(o.learning_rate) for o in again.optimizer.optimizers)
    assert rates == pytest.approx([1e-4, 1e-2]), "kept by another optimizer"


def test_layers_thaw_from_the_top(preset):
    model = model_of(preset, trainable=True, learning_rate=1e-4)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.before = weights_of(self.model)

        def on_train_end(self, logs=None):
            paths = {path.split("/")[0] for path in moved(self.before, self.model)}
            rates = [float(o.learning_rate) for o in self.model.optimizer.optimizers]
            seen.append((paths, sorted(rates)))

    history = keras_mm.training.fit_gradually(
        model,
        TABLE,
        unfreeze=(0, 1, 2, None),
        batch_size=6,
        epochs=(2, 1, 1, 1),
        decay=2.0,
        verbose=0,
        callbacks=[Watch()],
    )
    assert history.epoch == [0, 1, 2, 3, 4]
    assert all(len(values) == 5 for values in history.history.values())
    new = {"y-logits"} & seen[0][0]
    assert seen[0][0] == new and new
    assert seen[1][0] - new == {"transformer_layer_1"}
    assert seen[2][0] - new == {"transformer_layer_0", "transformer_layer_1"}
    rest = {"token_embedding", "position_embedding", "segment_embedding"}
    assert rest - {"segment_embedding"} <= seen[3][0] - seen[2][0]
    assert [rates[-1] for _, rates in seen] == pytest.approx(
        [1e-3, 5e-4, 2.5e-4, 1.25e-4]
    )
    assert [rates[0] for _, rates in seen[1:]] == pytest.approx([5e-5, 2.5e-5, 1.25e-5])


def test_frozen_and_cached_and_half_precision(preset):
    model = model_of(preset)
    keras_mm.training.fit_cached(model, TABLE, epochs=1, verbose=0)
    with pytest.raises(ValueError, match="No encoder of the model is frozen"):
        keras_mm.training.fit_cached(model_of(preset, trainable="lora"), TABLE)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = model_of(preset, trainable="lora", learning_rate=1e-3)
        before = weights_of(model)
        history = model.fit(TABLE, epochs=2, verbose=0)
    finally:
        keras.config.set_dtype_policy(policy)
    assert np.isfinite(history.history["loss"]).all()
    assert any("lora" in path for path in moved(before, model))


def test_errors(preset):
    with pytest.raises(ValueError, match="Received: trainable='LoRA'"):
        keras_mm.encoders.Hub(preset, trainable="LoRA")
    model = model_of(preset)
    for arguments, text in (
        ({"epochs": (1, 2)}, "Received: epochs="),
        ({"encoders": ["image"]}, "Received: encoders="),
    ):
        with pytest.raises(ValueError, match=text):
            keras_mm.training.fit_gradually(model, TABLE, **arguments)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    model.compile(keras.optimizers.SGD(schedule), model.loss)
    with pytest.raises(ValueError, match="Received: learning_rate="):
        keras_mm.training.fit_gradually(model, TABLE)
