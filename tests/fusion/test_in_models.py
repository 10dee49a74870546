"""Every fusion in a whole model: all subsets of modalities, files, exports, XLA."""

import itertools

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm
from keras_mm import fusion as room
from keras_mm.fusion.late_fusion import LateFusion

SMALL = {
    "attention": {"num_heads": 2},
    "co_attention": {"num_heads": 2},
    "transformer": {"num_heads": 2},
    "mult": {"num_heads": 2},
    "bottleneck": {"num_heads": 2, "num_layers": 1},
    "perceiver": {"num_heads": 2, "num_layers": 1, "num_queries": 2},
    "tensor": {"dim": 2},
}
# One with experts, one with a gate, one with attention stand for all of them.
ON_BACKENDS = {"hybrid", "gated", "co_attention"}
NAMES = ["price", "vector", "text", "series"]
ENCODERS = {
    "price": keras_mm.encoders.Dense(3),
    "vector": keras_mm.encoders.Dense(4),
    "text": keras_mm.encoders.NGrams(units=4, dropout=0.0),
    "series": keras_mm.encoders.RNN(3),
}


def subsets():
    """A row for each subset of four modalities but the empty one."""
    random, rows = np.random.default_rng(0), []
    for kept in itertools.product([True, False], repeat=4):
        row = {
            "price": random.normal(),
            "vector": random.normal(size=2),
            "text": ["a red bird", "the sky"][len(rows) % 2],
            "series": random.normal(size=(2 + len(rows) % 3, 2)),
        }
        present = {name: row[name] for name, keep in zip(NAMES, kept) if keep}
        rows.append({**dict.fromkeys(NAMES), **present, "y": "ny"[len(rows) % 2]})
    return pd.DataFrame(rows[:-1], columns=[*NAMES, "y"])


@pytest.fixture(scope="module")
def data():
    """Table, adapted schema, tensors and labels."""
    table = subsets()
    inputs = {
        "price": keras_mm.Number(),
        "vector": keras_mm.Vector(2),
        "text": keras_mm.Text(4, vocabulary_size=20),
        "series": keras_mm.Sequence(4, channels=2),
    }
    schema = keras_mm.Schema(inputs, {"y": keras_mm.ClassLabel()}).adapt(table)
    # Encoders choose the form of their tensors.
    prepared = build("concat", schema).schema
    dataset = keras_mm.data.to_dataset(table, prepared, batch_size=15)
    x, y = next(iter(dataset))
    tensors = {name: value.numpy() for name, value in x.items()}
    return table, schema, tensors, y.numpy()


def build(name, schema):
    fusion = room.FUSIONS[name](units=4, **SMALL.get(name, {}))
    return keras_mm.build_classifier(schema, encoders=ENCODERS, fusion=fusion, seed=0)


def numpy_of(x):
    return keras.tree.map_structure(ops.convert_to_numpy, x)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.backends] * (name in ON_BACKENDS))
        for name in room.FUSIONS
    ],
)
def test_every_subset_and_hidden_content(name, data):
    _, schema, tensors, _ = data
    model = build(name, schema)
    expected = numpy_of(model(tensors, training=False))
    assert expected.shape == (15, 2) and np.isfinite(expected).all()
    np.testing.assert_allclose(expected.sum(1), 1, atol=1e-5)

    # Content behind a False mask changes nothing.
    between = keras.tree.flatten(model.get_layer("modality-fusion").input)
    before = keras.Model(model.inputs, between)
    behind = keras.Model(between, model.predictions(model.output))
    values = numpy_of(before(tensors, training=False))
    tokens, masks = values[:4], values[4:]
    present = np.stack([mask.any(1) for mask in masks], axis=1)
    assert len(np.unique(present, axis=0)) == 15
    noise = [np.where(mask[..., None], t, 99.0) for t, mask in zip(tokens, masks)]
    assert not np.array_equal(noise[3], tokens[3])
    got = numpy_of(behind([*noise, *masks], training=False))
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are written by TensorFlow"
)
def test_export_answers_as_the_model(data, tmp_path):
    table, schema, _, _ = data
    model = build("hybrid", schema)
    path = keras_mm.export(model, tmp_path / "hybrid", rows=table, verbose=False)
    answers = keras_mm.load_exported(path)(table)
    expected = model.predict(table, verbose=0)
    got = np.stack(answers["y_probabilities"])
    np.testing.assert_allclose(got, expected, atol=1e-5)


@keras.saving.register_keras_serializable(package="tests")
class Everything(keras.layers.Layer):
    """The answers of all fusions side by side."""

    def build(self, tokens_shape, masks_shape):
        self.fusions = []
        for name, fusion in room.FUSIONS.items():
            layer = fusion(units=4, name=name, **SMALL.get(name, {}))
            if isinstance(layer, LateFusion):
                layer = layer.with_head(4, "softmax")
            layer.build(tokens_shape, masks_shape)
            self.fusions.append(layer)

    def call(self, tokens, masks):
        return ops.concatenate([f(tokens, masks) for f in self.fusions], axis=-1)


@pytest.mark.large
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are written by TensorFlow"
)
def test_every_fusion_exported_answers_as_before(data, tmp_path):
    table, schema, _, _ = data
    model = keras_mm.build_classifier(
        schema, encoders=ENCODERS, fusion=Everything(), seed=0
    )
    path = keras_mm.export(model, tmp_path / "all", rows=table, verbose=False)
    fused = keras.Model(model.inputs, model.get_layer("modality-fusion").output)
    dataset = keras_mm.data.to_dataset(table, model.schema, with_target=False)
    expected = fused.predict(dataset, verbose=0)
    # Attention gives its units for each of the modalities.
    assert expected.shape == (15, 4 * (len(room.FUSIONS) + 2 * 3))
    raw = keras_mm.data.raw.to_raw(table, model.schema)
    answer = keras_mm.serving.run_in_libtensorflow(path, "embed", raw)
    np.testing.assert_allclose(answer["embedding"], expected, atol=1e-5)


@pytest.mark.large
@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="torch compiles for minutes"
)
def test_every_fusion_compiled_answers_as_before(data):
    _, schema, tensors, _ = data
    model = keras_mm.build_classifier(
        schema, encoders=ENCODERS, fusion=Everything(), modality_dropout=0.0, seed=0
    )
    fused = keras.Model(model.inputs, model.get_layer("modality-fusion").output)
    expected = numpy_of(fused(tensors, training=False))
    fused.compile(jit_compile=True)
    got = fused.predict_on_batch(dict(tensors))
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="torch compiles for minutes"
)
@pytest.mark.parametrize("name", ["low_rank", "hybrid"])
def test_a_compiled_step_is_finite(name):
    check_compiled_step(name)


@pytest.mark.large
@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", room.FUSIONS)
def test_every_compiled_step_is_finite(name):
    check_compiled_step(name)


def check_compiled_step(name):
    """Two modalities, a small optimizer: XLA takes its time."""
    random = np.random.default_rng(0)
    x = {key: random.normal(size=(4, 2)).astype("float32") for key in "ab"}
    x["a"][1], x["b"][2:] = np.nan, np.nan
    x["a"][2] = np.nan
    model = keras_mm.build_classifier(
        {key: keras_mm.Vector(2) for key in x},
        2,
        encoders={key: keras_mm.encoders.Dense(3) for key in x},
        fusion=room.FUSIONS[name](units=4, **SMALL.get(name, {})),
        modality_dropout=0.0,
    )
    before = model.get_weights()
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    # Else TensorFlow traces the step twice.
    model.optimizer.build(model.trainable_variables)
    loss = model.train_on_batch(x, np.array([0, 1, 0, 1]))
    assert np.isfinite(np.asarray(loss)).all()
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    assert any(not np.array_equal(*pair) for pair in zip(before, after))
