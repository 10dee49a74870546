"""What a model is given: tables and tensors, labels and weights beside them."""

import random
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import keras_mm
from keras_mm.models.seeded import seeded

ROWS = 8
LABELS = ["a", "b"] * 4


@pytest.fixture(scope="module")
def table():
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "v": list(draw.normal(5, 3, (ROWS, 2))),
            "steps": list(draw.normal(5, 3, (ROWS, 4, 2))),
            "x": draw.normal(5, 3, ROWS),
            "colour": ["red", "blue"] * 4,
            "weight": np.arange(ROWS) + 1.0,
            "label": LABELS,
        }
    )


@pytest.fixture(scope="module")
def model(table):
    schema = keras_mm.Schema(
        {
            "v": keras_mm.Vector(2),
            "steps": keras_mm.Sequence(4, 2),
            "x": keras_mm.Number(),
            "colour": keras_mm.Category(),
        },
        {"label": keras_mm.ClassLabel()},
    ).adapt(table)
    model = keras_mm.build_classifier(
        schema, encoders={"steps": keras_mm.encoders.GRU(3)}, fusion="gated", seed=0
    )
    model.compile(keras.optimizers.SGD(0.0), model.loss, run_eagerly=True)
    return model


@pytest.fixture(scope="module")
def tensors(table, model):
    (batch,) = keras_mm.data.to_dataset(table, model.schema).as_numpy_iterator()
    return batch[0]


def loss_of(model, *args, **kwargs):
    return np.ravel(model.evaluate(*args, verbose=0, **kwargs))[0]


def test_a_dict_is_a_table(table, model, tensors):
    expected = model.predict(table, verbose=0)
    columns = {name: np.stack(table[name]) for name in ("v", "steps", "x", "colour")}
    listed = [tensors[tensor.name] for tensor in model.inputs]
    for x in (columns, keras_mm.Tensors(tensors), listed):
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)
        np.testing.assert_allclose(model.predict_on_batch(x), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["x", "colour", "v"])
def test_what_could_be_both_is_refused(table, model, tensors, name):
    columns = {key: list(table[key]) for key in tensors}
    columns[name] = tensors[name]
    if name == "v":
        columns[name] = keras.ops.convert_to_tensor(tensors[name])
        if isinstance(columns[name], np.ndarray):
            pytest.skip("NumPy is the backend")
    for call in (model.predict, model.predict_on_batch, model.evaluate):
        with pytest.raises(
            ValueError, match=rf"reshape.*keras_mm.Tensors.*Received: {name} of type"
        ):
            call(columns)


def test_tensors_are_no_table(model, tensors):
    with pytest.raises(ValueError, match="preprocessed already.*Received: Tensors"):
        keras_mm.evaluation.score(model, keras_mm.Tensors(tensors))


def test_models_of_a_dict_of_inputs_take_arrays(tmp_path):
    inputs = {"image": keras_mm.Image((6, 6), augmentation=None)}
    pixels = np.random.default_rng(0).random((2, 6, 6, 3), "float32")
    models = [
        keras_mm.build_regressor(inputs, encoders={"image": "cnn"}, seed=0),
        keras_mm.build_autoencoder(inputs, units=2, seed=0),
    ]
    models[0].save(tmp_path / "m.keras")
    models.append(keras.models.load_model(tmp_path / "m.keras"))
    models.append(keras.models.clone_model(models[0]))
    models[-1].set_weights(models[0].get_weights())
    for model in models:
        given = {"image": pixels}
        expected = model.predict(keras_mm.Tensors(given), verbose=0)
        np.testing.assert_array_equal(model.predict(given, verbose=0), expected)
    retriever = keras_mm.build_retriever(
        {"v": keras_mm.Vector(2, 0.0, 1.0), "w": keras_mm.Vector(2, 0.0, 1.0)}
    )
    reranker = keras_mm.build_reranker(retriever, "v", "w", seed=0)
    for model_ in (retriever, reranker):
        assert not model_.is_table({"v": pixels, "w": pixels})
    # Two missing cells are not alike.
    retriever.schema.missing = ["?"]
    cells = {"v": ["?", "?"], "w": ["[1, 2]", "?"]}
    for rows in (cells, pd.DataFrame(cells), pd.DataFrame(cells, index=[1, 0])):
        ids = retriever.row_ids(rows)
        assert ids[:, :2].tolist() == [[-1, 0], [-1, -1]]
    # A schema that has seen a table reads tables.
    table = pd.DataFrame({"image": [None, None], "target": [1.0, 2.0]})
    model.schema.adapt(table)
    assert model.is_table({"image": [b"", b""]})


def test_generators_of_tensors(model, tensors):
    codes = np.arange(ROWS) % 2

    def batches():
        yield keras_mm.Tensors(tensors), codes

    expected = loss_of(model, keras_mm.Tensors(tensors), codes)
    model.fit(batches(), validation_data=batches(), validation_steps=1, verbose=0)
    assert loss_of(model, batches()) == pytest.approx(expected, rel=1e-5)
    rows = tf.data.Dataset.from_tensors(tensors)
    with pytest.raises(ValueError, match=r"unbatch\(\).*lambda inputs: \(inputs,\)"):
        model.predict(rows)


def test_labels_beside_the_rows(table, model, tensors):
    """In fit, as validation rows, and batch by batch: as if they were in the table."""
    x, y = table.drop(columns="label"), table["label"]
    loss = loss_of(model, table)
    arrays = keras_mm.Tensors(tensors)
    codes = np.arange(ROWS) % 2
    for given in (
        table, (x, y), (x, list(y)), (x, y.to_numpy()[:, None]), (x, table[["label"]]),
        (dict(x), y), (arrays, codes), [x, y],
    ):  # fmt: skip
        found = model.fit(table, validation_data=given, verbose=0).history
        assert found["val_loss"][0] == pytest.approx(loss, rel=1e-5)
    for given in ((table,), (x, y), (arrays, codes)):
        found = np.ravel(model.test_on_batch(*given))[0]
        assert found == pytest.approx(loss, rel=1e-5)
        model.train_on_batch(*given)
    with pytest.raises(ValueError, match="one label for each row.*Received: 3 labels"):
        model.evaluate(x, y[:3])


def test_weights_of_rows(table, model, tensors):
    """Of a column or an array, alone and beside weights of classes."""
    x, y, weights = table.drop(columns="label"), table["label"], table["weight"]
    codes = np.arange(ROWS) % 2
    arrays = keras_mm.Tensors(tensors)
    expected = loss_of(model, arrays, codes, sample_weight=weights.to_numpy())
    for given in ("weight", weights, list(weights), weights.to_numpy()[:, None]):
        found = loss_of(model, table, sample_weight=given)
        assert found == pytest.approx(expected, rel=1e-5)
        found = np.ravel(model.test_on_batch(table, sample_weight=given))[0]
        assert found == pytest.approx(expected, rel=1e-5)
        history = model.fit(table, validation_data=(x, y, given), verbose=0).history
        assert history["val_loss"][0] == pytest.approx(expected, rel=1e-5)
    # Weights of classes are those of the training rows only.
    last = {name: value[-2:] for name, value in tensors.items()}
    plain = loss_of(model, keras_mm.Tensors(last), codes[-2:])
    found = model.fit(
        arrays, codes, validation_split=0.25, class_weight={"a": 9.0}, verbose=0
    )
    assert found.history["val_loss"][0] == pytest.approx(plain, rel=1e-5)
    both = np.where(codes == 1, 3.0, 1.0) * weights
    expected = loss_of(model, arrays, codes, sample_weight=both)
    columns = {name: np.stack(table[name]) for name in table}
    rows = tf.data.Dataset.from_tensor_slices(columns)
    for given in (table, rows):
        dataset = keras_mm.data.to_dataset(
            given, model.schema, class_weight={"b": 3.0}, sample_weight="weight"
        )
        assert loss_of(model, dataset) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="Received: sample_weight"):
        keras_mm.data.to_dataset(rows, model.schema, sample_weight=weights)


def test_lists_and_columns_beside_tensors(model, tensors, monkeypatch):
    """What Keras is given is an array, whatever form labels and weights have."""
    seen, arrays = [], keras_mm.Tensors(tensors)

    def fit(self, x, y, sample_weight, validation_data, **kwargs):
        seen.append((y, sample_weight, *validation_data[1:]))

    codes, weights = np.arange(ROWS) % 2, np.arange(ROWS) + 1.0
    series = pd.Series(codes, index=range(9, 9 + ROWS))
    settings = {"validation_split": 0.25, "class_weight": {"b": 3.0}}
    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "fit", fit)
        for y, weight in (
            (codes, weights),
            (list(codes), list(weights)),
            (series, pd.Series(weights)),
            (series.to_frame(), pd.Series(weights)),
        ):
            model.fit(arrays, y, sample_weight=weight, **settings)
    for found in seen:
        for got, wanted in zip(found, seen[0], strict=True):
            np.testing.assert_array_equal(got, wanted)
    assert seen[0][1].tolist() == [1, 6, 3, 12, 5, 18]
    assert np.isfinite(model.evaluate(arrays, list(codes), verbose=0)).all()
    for wrong in ([-1.0] * ROWS, "weight"):
        with pytest.raises(ValueError, match="weight.*Received: sample_weight="):
            model.fit(arrays, codes, sample_weight=wrong, **settings)


@pytest.mark.parametrize("weights, message", [
    ("wieght", "Did you mean 'weight'"),
    ([1.0, 2.0], r"each of the 8 rows.*Received: sample_weight of shape \(2,\)"),
    ([1.0] * 7 + [-1.0], "weight of 0 or more in row 7"),
    ([1.0] * 7 + [np.nan], "weight of 0 or more in row 7"),
])  # fmt: skip
def test_bad_weights(table, model, weights, message):
    with pytest.raises(ValueError, match=message):
        model.fit(table, sample_weight=weights, verbose=0)


def test_clones_know_their_schema(table, model):
    expected = model.predict(table, verbose=0)
    last = model.layers[-1]

    def share_last(layer):
        return layer if layer is last else type(layer).from_config(layer.get_config())

    for clone_function in (None, lambda layer: layer, share_last):
        clone = keras.models.clone_model(model, clone_function=clone_function)
        clone.set_weights(model.get_weights())
        assert clone.seed == 0 and clone.compiled
        assert clone.schema is not model.schema
        np.testing.assert_allclose(clone.predict(table, verbose=0), expected, atol=1e-6)
    # A model of its parts is none.
    assert type(model)(model.inputs, model.outputs).schema is None


def test_copies_of_what_is_not_compiled(table, model):
    plain = type(model).from_config(model.get_config())
    assert not plain.compiled and plain.schema.targets
    with pytest.raises(ValueError, match="no schema.*from_config.*Received: a table"):
        keras.models.clone_model(plain).predict(table, verbose=0)


def test_a_file_holds_the_schema_once(model, tmp_path):
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as file:
        config = file.read("config.json").decode()
    assert config.count('"class_names"') == 1


def test_hdf5_is_refused(model, tmp_path):
    for name in ("m.h5", "m.HDF5"):
        with pytest.raises(ValueError, match=r"\.keras file.*Received: filepath="):
            model.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"\.keras file.*Received: model="):
        keras.saving.save_model(model, tmp_path / "m.h5")
    model.save(tmp_path / "m.keras")


def test_onnx_needs_no_call(model, tmp_path, monkeypatch):
    """Keras looks at the model's inputs only after a first call."""
    seen = []
    monkeypatch.setattr(keras.Model, "export", lambda *args: seen.append(args))
    model.export(tmp_path / "m.onnx", format="onnx")
    model.export(tmp_path / "m")
    (*_, (specs,)), other = seen
    assert [spec.name for spec in specs] == [tensor.name for tensor in model.inputs]
    assert specs[0].shape == model.inputs[0].shape and other[-1] is None


def states():
    drawn = [random.getstate(), np.random.get_state()[1].tolist()]
    if keras.backend.backend() == "torch":
        import torch

        drawn.append(torch.get_rng_state().tolist())
    return drawn


def test_a_seed_leaves_the_process_alone(table, model):
    before = states()
    again = keras_mm.build_classifier(model.schema, seed=3)
    weights = again.get_weights()
    again.compile("sgd", model.loss, run_eagerly=True)
    again.fit(table, verbose=0)
    assert states() == before
    random.seed(9)
    other = keras_mm.build_classifier(model.schema, seed=3)
    for one, two in zip(other.get_weights(), weights):
        np.testing.assert_array_equal(one, two)


def test_a_seed_leaves_the_devices_alone(monkeypatch):
    """Of torch: as many as there are."""
    if keras.backend.backend() != "torch":
        pytest.skip("on torch alone")
    import torch

    states = {0: "one", 1: "other"}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: states[device])
    monkeypatch.setattr(
        torch.cuda,
        "set_rng_state",
        lambda state, device: states.update({device: state}),
    )
    with seeded(5):
        states.update({0: 5, 1: 5})
    assert states == {0: "one", 1: "other"}


def test_unseeded_numbers_go_on_behind():
    keras.utils.set_random_seed(1)
    keras.random.normal((2,))
    expected = keras.ops.convert_to_numpy(keras.random.normal((2,)))
    keras.utils.set_random_seed(1)
    keras.random.normal((2,))
    with seeded(5):
        keras.random.normal((2,))
    found = keras.ops.convert_to_numpy(keras.random.normal((2,)))
    np.testing.assert_array_equal(found, expected)
