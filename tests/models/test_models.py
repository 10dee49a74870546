"""The builders: every target and fusion, missing cells, files, bad arrays."""

import itertools
import json
import warnings
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers, ops

import keras_mm

from ..helpers import (
    dense_model,
    dense_table,
    make_table,
    random_pixels,
    small_encoders,
    small_model,
    small_schema,
    tensors_of,
)

# All of them are in whole models in tests/fusion/test_in_models.py.
FUSIONS = {
    "hybrid": lambda: keras_mm.fusion.Hybrid(keras_mm.fusion.Gated(6)),
    "gated": lambda: keras_mm.fusion.Gated(6),
    "attention": lambda: keras_mm.fusion.Attention(6, num_heads=2),
}
# Fresh processes on the other backends are tried in tests/serving/test_export.py.
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="takes long on other backends"
)
NAMES = ["image", "text", "numbers", "shop"]
COLUMNS = {"numbers": ["price", "weight"]}


def hide(table, absent):
    table = table.astype(object)
    for name in absent:
        table[COLUMNS.get(name, [name])] = None
    return table


def predict(model, table, **kwargs):
    return model.predict(table, verbose=0, **kwargs)


# --- missing modalities --------------------------------------------------------


@pytest.mark.parametrize(
    "fusion, missing_token", [("hybrid", False), ("gated", True), ("attention", False)]
)
@pytest.mark.usefixtures("eagerly")
def test_every_subset_of_modalities(fusion, missing_token):
    """Finite predictions, that sum to 1; an absent cell touches its row alone."""
    table = make_table(16, missing=False)
    schema = small_schema(table)
    model = small_model(
        schema,
        fusion=FUSIONS[fusion](),
        missing_token=missing_token,
        modality_dropout=0.5,
    )
    rows = []
    for row, kept in enumerate(itertools.product([False, True], repeat=4)):
        rows.append(hide(table.iloc[[row]], [n for n, k in zip(NAMES, kept) if not k]))
    subsets = pd.concat(rows)
    history = model.fit(subsets, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    for weight in model.weights:
        assert np.isfinite(ops.convert_to_numpy(weight)).all(), weight.path
    together = predict(model, subsets)
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)
    for row in (0, 5):
        np.testing.assert_allclose(
            predict(model, rows[row])[0], together[row], atol=1e-5
        )


def test_whole_columns_may_be_missing():
    table = make_table(12, missing=False)
    model = small_model(small_schema(table))
    for absent in (["image"], ["image", "text", "numbers"], NAMES):
        history = model.fit(hide(table, absent), verbose=0).history
        assert np.isfinite(history["loss"]).all()
        assert np.isfinite(predict(model, hide(table, absent))).all()


def test_modality_dropout_rests_in_prediction(table):
    model = small_model(small_schema(table), modality_dropout=1.0)
    np.testing.assert_array_equal(predict(model, table), predict(model, table))


# --- invariance ----------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["ngrams", pytest.param("lstm", marks=pytest.mark.backends)]
)
@pytest.mark.usefixtures("eagerly")
def test_nothing_foreign_changes_a_prediction(table, text):
    encoders = small_encoders()
    if text == "lstm":
        encoders["text"] = keras_mm.encoders.LSTM(3, embedding_dim=2)
    schema = small_schema(table)
    model = small_model(schema, encoders=encoders, fusion=FUSIONS["attention"]())
    expected = predict(model, table)
    other = table.assign(extra="x", more=np.arange(24))[
        ["extra", *table.columns[::-1], "more"]
    ]
    other.index = [3] * 24
    np.testing.assert_allclose(predict(model, other), expected, atol=1e-6)
    np.testing.assert_allclose(
        predict(model, other.drop(columns="category")), expected, atol=1e-6
    )
    # Batches of another size, rows in another order.
    np.testing.assert_allclose(predict(model, table, batch_size=5), expected, atol=1e-5)
    backwards = predict(model, table[::-1])[::-1]
    np.testing.assert_allclose(backwards, expected, atol=1e-5)
    # Tensors instead of a table; extra entries and their order do nothing.
    tensors = tensors_of(table, model.schema)
    as_dict = {"extra": np.zeros(24), **dict(reversed(tensors.items()))}
    as_dict = keras_mm.Tensors(as_dict)
    np.testing.assert_allclose(predict(model, as_dict), expected, atol=1e-5)


def test_order_of_the_inputs_does_not_change_what_they_mean(table):
    schema = small_schema(table)
    model = small_model(schema)
    listed = [tensors_of(table, model.schema)[tensor.name] for tensor in model.inputs]
    np.testing.assert_allclose(predict(model, listed), predict(model, table), atol=1e-5)


# --- what is built -------------------------------------------------------------


@pytest.mark.backends
def test_every_weight_is_trained():
    table = make_table(12, missing=False)
    model = small_model(
        small_schema(table),
        fusion=keras_mm.fusion.Gated(6),
        missing_token=True,
        hidden_units=5,
        optimizer=keras.optimizers.SGD(0.5),
    )
    rows = pd.concat([table, *(hide(table, [name]) for name in NAMES)])
    before = [np.copy(ops.convert_to_numpy(w)) for w in model.trainable_weights]
    model.fit(rows, epochs=3, verbose=0)
    for old, variable in zip(before, model.trainable_weights):
        assert not np.array_equal(old, ops.convert_to_numpy(variable)), variable.path


@on_tensorflow
def test_training_is_traced_once(table, monkeypatch):
    """A second trace would double the time to the first step."""
    traces = []
    step = keras_mm.MultimodalModel.train_step

    def train_step(self, data):
        traces.append(data)
        return step(self, data)

    monkeypatch.setattr(keras_mm.MultimodalModel, "train_step", train_step)
    for target in (keras_mm.ClassLabel(), keras_mm.MultiLabel()):
        rows = table[["price", "category"]]
        schema = keras_mm.Schema(
            {"price": keras_mm.Number()}, {"category": target}
        ).adapt(rows)
        traces.clear()
        keras_mm.build_classifier(schema).fit(rows, verbose=0, batch_size=7, epochs=2)
        assert len(traces) == 1


@pytest.mark.backends
def test_it_learns():
    table = make_table(30, missing=False)
    model = small_model(small_schema(table), optimizer=keras.optimizers.Adam(0.02))
    model.fit(table, epochs=15, verbose=0)
    assert model.evaluate(table, verbose=0, return_dict=True)["accuracy"] > 0.9
    for name in ("image", "text"):
        others = [other for other in NAMES if other != name]
        score = model.evaluate(hide(table, others), verbose=0, return_dict=True)[
            "accuracy"
        ]
        assert score > 0.6, name


def test_encoders_are_reachable(table):
    model = small_model(small_schema(table))
    for name in NAMES:
        assert isinstance(model.get_layer(f"{name}-encoder"), keras.Model)
    assert model.output_names == ["category"] or model.layers[-1].name == "category"


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a large LSTM, once"
)
@pytest.mark.backends
def test_textbook_model():
    model = keras_mm.build_classifier()
    kinds = [type(part).__name__ for part in model.layers]
    for kind in (
        "Conv2D",
        "MaxPooling2D",
        "Flatten",
        "Embedding",
        "LSTM",
        "Concatenate",
        "Dense",
    ):
        assert kinds.count(kind) == 1
    assert [tuple(t.shape) for t in model.inputs] == [(None, 224, 224, 3), (None, 100)]
    assert model.output_shape == (None, 10)
    convolution, embedding = 27 * 64 + 64, 10_000 * 64
    lstm, dense = 4 * (64 * 128 + 64), (111 * 111 * 64 + 64) * 10 + 10
    assert model.count_params() == convolution + embedding + lstm + dense
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    random = np.random.default_rng(0)
    images = random.random((4, 224, 224, 3)).astype("float32")
    tokens = random.integers(0, 10_000, (4, 100))
    tokens[0] = 0
    labels = np.array([0, 3, 9, 3])
    sparse = model.evaluate([images, tokens], labels, verbose=0)
    # "accuracy" settles on a form of labels at the first batch: compile again.
    model.compile("adam", loss=model.loss, metrics=["accuracy"])
    one_hot = model.evaluate([images, tokens], np.eye(10)[labels], verbose=0)
    np.testing.assert_allclose(sparse, one_hot, rtol=1e-4)
    history = model.fit([images, tokens], np.eye(10)[labels], verbose=0).history
    assert set(history) == {"accuracy", "loss"} and np.isfinite(history["loss"]).all()
    assert keras_mm.build_classifier(num_classes=4).output_shape == (None, 4)


def arrays(rows=6):
    random = np.random.default_rng(0)
    return {
        "image": random.random((rows, 12, 12, 3)).astype("float32"),
        "text": random.integers(0, 30, (rows, 5)),
        "size": random.normal(size=(rows, 1)),
        "kind": random.integers(0, 6, (rows, 1)),
    }


def inputs_of_arrays():
    return {
        "image": keras_mm.Image((12, 12), augmentation=None),
        "text": keras_mm.Text(5, vocabulary_size=30),
        "size": keras_mm.Number(),
        "kind": keras_mm.Category(vocabulary_size=4),
    }


ARRAY_ENCODERS = {
    "image": keras_mm.encoders.CNN(2),
    "text": keras_mm.encoders.LSTM(2, embedding_dim=2),
}


@pytest.mark.usefixtures("eagerly")
def test_indices_and_then_one_hot_labels():
    """In one model, whichever comes first, and with the same metrics."""
    x, y = [np.random.default_rng(0).normal(size=(6, 1))], np.array([0, 1, 2] * 2)
    for first, second in ((y, np.eye(3)[y]), (np.eye(3)[y], y[:, None])):
        model = keras_mm.build_classifier({"size": keras_mm.Number()}, num_classes=3)
        model.fit(x, first, verbose=0)
        expected = model.evaluate(x, first, verbose=0)
        np.testing.assert_allclose(
            model.evaluate(x, second, verbose=0), expected, rtol=1e-5
        )
        assert set(model.fit(x, second, verbose=0).history) == {"accuracy", "loss"}


@pytest.mark.usefixtures("eagerly")
def test_a_dict_of_inputs_takes_arrays():
    model = keras_mm.build_classifier(
        inputs_of_arrays(), num_classes=3, encoders=ARRAY_ENCODERS, seed=0
    )
    y = np.array([0, 1, 2] * 2)
    for x in (arrays(), list(arrays().values())):
        history = model.fit(x, y, class_weight="balanced", verbose=0).history
        assert np.isfinite(history["loss"]).all()
    assert predict(model, arrays()).shape == (6, 3)
    regressor = keras_mm.build_regressor(
        {"size": keras_mm.Number(), "more": keras_mm.Number()}
    )
    regressor.fit(
        {"size": np.ones((4, 1)), "more": np.ones((4, 1))}, np.ones(4), verbose=0
    )
    with pytest.raises(ValueError, match="Received: num_classes=None"):
        keras_mm.build_classifier(inputs_of_arrays())


BAD = {
    "rank": ({"image": np.zeros((6, 12, 12))}, "table|shape"),
    "shape": (
        {"image": np.zeros((6, 9, 12, 3), "float32")},
        r"shape \('rows', 12, 12, 3\).*Received: image of shape",
    ),
    "range": (
        {"image": np.full((6, 12, 12, 3), 200.0)},
        "between 0 and 1.*Received: image with pixels up to 200",
    ),
    "ids": (
        {"text": np.full((6, 5), 30)},
        "between 0 and 29.*Received: text from 30 to 30",
    ),
    "negative": ({"kind": np.full((6, 1), -1)}, "Received: kind from -1"),
    "floats": (
        {"text": np.zeros((6, 5))},
        "whole numbers.*Received: text of dtype float64",
    ),
    "strings": ({"size": np.full((6, 1), "x")}, "Received: size of dtype <U1"),
    "rows": ({"size": np.zeros((5, 1))}, "same number of rows.*Received: rows="),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arrays(name):
    model = keras_mm.build_classifier(
        inputs_of_arrays(), num_classes=3, encoders=ARRAY_ENCODERS
    )
    wrong, message = BAD[name]
    x = {**arrays(), **wrong}
    with pytest.raises(ValueError, match=message):
        model.fit(x, np.zeros(6, int), verbose=0)
    if name not in ("rank",):
        with pytest.raises(ValueError, match=message):
            model.predict(list(x.values()), verbose=0)


@pytest.mark.parametrize("y, message", [
    (np.array([0, 1, 3, 0, 0, 0]), "between 0 and 2. Received: y from 0 to 3"),
    (np.array([0, 1, -1, 0, 0, 0]), "Received: y from -1 to 1"),
    (np.array([0, 1, np.nan, 0, 0, 0]), "NaN or infinite in row 2.*Received: y=nan"),
    (np.eye(4)[[0] * 6], r"shape \('rows', 3\).*Received: y of shape \(6, 4\)"),
    (np.array(list("abcabc")), "Received: y of dtype <U1"),
    (np.zeros(5, int), "same number of rows.*Received: rows="),
])  # fmt: skip
def test_bad_target_arrays(y, message):
    model = keras_mm.build_classifier({"size": keras_mm.Number()}, num_classes=3)
    with pytest.raises(ValueError, match=message):
        model.fit([np.zeros((6, 1), "float32")], y, verbose=0)


def test_no_rows_and_wrong_number_of_arrays():
    model = keras_mm.build_classifier({"size": keras_mm.Number()}, num_classes=3)
    with pytest.raises(ValueError, match="no rows"):
        model.predict([np.zeros((0, 1))], verbose=0)
    with pytest.raises(ValueError, match="Received: 2 inputs"):
        model.predict([np.zeros((3, 1))] * 2, verbose=0)


# --- targets -------------------------------------------------------------------


@pytest.mark.usefixtures("eagerly")
def test_binary(table):
    table["category"] = ["yes", "no"] * 12
    model = small_model(small_schema(table))
    model.fit(table, verbose=0)
    assert predict(model, table).shape == (24, 2)
    assert model.schema.target.class_names == ["no", "yes"]


def test_multi_label(table):
    table["tags"] = ["red|round", "", "round"] * 8
    schema = keras_mm.Schema(
        {"price": keras_mm.Number(), "shop": keras_mm.Category()},
        {"tags": keras_mm.MultiLabel()},
    ).adapt(table)
    model = keras_mm.build_classifier(
        schema, seed=0, optimizer=keras.optimizers.Adam(0.05)
    )
    history = model.fit(table, epochs=25, verbose=0).history
    assert {"f1_score", "auc", "loss"} <= set(history)
    assert history["loss"][-1] < history["loss"][0]
    assert predict(model, table).shape == (24, 2)
    with pytest.raises(ValueError, match="ClassLabel.*Received: class_weight="):
        model.fit(table, class_weight="balanced", verbose=0)


def test_regression_is_in_the_targets_own_unit():
    random = np.random.default_rng(0)
    area = random.uniform(50, 150, 60)
    table = pd.DataFrame({"area": area, "price": 1e5 + 2000 * area})
    schema = keras_mm.Schema(
        {"area": keras_mm.Number()}, {"price": keras_mm.Number()}
    ).adapt(table)
    model = keras_mm.build_regressor(
        schema, seed=0, optimizer=keras.optimizers.Adam(0.02)
    )
    # A fresh model answers about the mean, not about 0.
    assert 1e5 < predict(model, table).mean() < 5e5
    # The loss is in squared units, too: Adam does not mind.
    model.fit(table, epochs=40, verbose=0)
    error = np.abs(predict(model, table)[:, 0] - table["price"]).mean()
    assert error < 0.3 * table["price"].std()
    scores = model.evaluate(table, verbose=0, return_dict=True)
    assert scores["mean_absolute_error"] == pytest.approx(error, rel=1e-2)
    table.loc[3, "price"] = None
    with pytest.raises(ValueError, match="no number to learn from in row 3 "):
        model.fit(table, verbose=0)
    with pytest.raises(ValueError, match="ClassLabel"):
        model.fit(table.dropna(), class_weight="balanced", verbose=0)


@pytest.mark.usefixtures("eagerly")
def test_a_class_with_one_row_and_a_constant_column(table):
    table.loc[23, "category"] = "rare"
    table["weight"] = 1.0
    model = small_model(small_schema(table))
    assert np.isfinite(
        model.fit(table, class_weight="balanced", verbose=0).history["loss"]
    ).all()


@pytest.mark.usefixtures("eagerly")
def test_class_weight_is_a_sample_weight(table):
    schema = small_schema(table)
    weights = {"apple": 2.0, "cloud": 0.5}
    losses = []
    for kwargs in (
        {"x": table, "class_weight": weights},
        {"x": tensors_of(table, small_model(schema).schema), "y": np.arange(24) % 3,
         "sample_weight": np.tile([2, 1, 0.5], 8)},
        {"x": tensors_of(table, small_model(schema).schema), "y": np.eye(3)[np.arange(24) % 3],
         "class_weight": weights},
    ):  # fmt: skip
        # The order of the rows decides what dropout draws: no dropout here.
        model = small_model(schema, modality_dropout=0.0)
        losses.append(model.fit(**kwargs, batch_size=24, verbose=0).history["loss"][0])
    np.testing.assert_allclose(losses, losses[0], rtol=1e-4)
    dataset = keras_mm.data.to_dataset(table, model.schema)
    with pytest.raises(ValueError, match="Received: class_weight="):
        model.fit(dataset, class_weight={0: 2.0}, verbose=0)


@pytest.mark.usefixtures("eagerly")
def test_seed_reproduces(table):
    schema = small_schema(table)

    def run(seed):
        model = small_model(schema, seed=seed, modality_dropout=0.5, dropout=0.2)
        history = model.fit(table, epochs=2, batch_size=8, verbose=0).history
        return history["loss"], predict(model, table)

    one, two, other = run(3), run(3), run(4)
    np.testing.assert_allclose(one[0], two[0], rtol=1e-5)
    np.testing.assert_allclose(one[1], two[1], atol=1e-5)
    assert not np.allclose(one[1], other[1], atol=1e-5)


# --- fit's own rules -----------------------------------------------------------


@pytest.mark.usefixtures("eagerly")
def test_pictures_in_both_parts_are_counted(table):
    model = small_model(small_schema(table))
    with pytest.warns(UserWarning, match="^5 files of column 'image'"):
        model.fit(table, validation_data=table.iloc[4:9], verbose=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*files of column")
        model.fit(table.iloc[:12], validation_data=table.iloc[12:], verbose=0)


def test_fit_refuses(table):
    model = small_model(small_schema(table))
    with pytest.raises(ValueError, match="Received: validation_split=0.2"):
        model.fit(table, validation_split=0.2, verbose=0)
    with pytest.raises(ValueError, match="no rows"):
        model.fit(table.iloc[:0], verbose=0)
    with pytest.raises(ValueError, match="same name"):
        model.fit(pd.concat([table, table[["text"]]], axis=1), verbose=0)


def test_target_beside_the_table(table):
    model = small_model(small_schema(table))
    expected = model.evaluate(table, verbose=0)
    got = model.evaluate(
        table.drop(columns="category"), table["category"].tolist(), verbose=0
    )
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_paths_and_files(table, tmp_path):
    for row in range(3, 24):
        (tmp_path / f"{row}.img").write_bytes(table.loc[row, "image"])
    model = small_model(small_schema(table))
    expected = predict(model, table)
    files = table.assign(image=[None] * 3 + [f"{row}.img" for row in range(3, 24)])
    got = predict(model, files, base_dir=tmp_path)
    np.testing.assert_allclose(got[3:], expected[3:], atol=1e-6)
    files.to_parquet(tmp_path / "table.parquet")
    again = predict(model, tmp_path / "table.parquet", base_dir=tmp_path)
    np.testing.assert_allclose(again, got, atol=1e-5)


def test_bad_pictures(table):
    model = small_model(small_schema(table))
    table.loc[5, "image"] = b"no picture at all"
    with pytest.raises(ValueError, match=r"row 5 .*Received: image="):
        model.fit(table, verbose=0)
    model.fit(table, on_unreadable="missing", verbose=0)
    as_none = table.assign(
        image=[v if i != 5 else None for i, v in enumerate(table["image"])]
    )
    np.testing.assert_allclose(
        predict(model, table, on_unreadable="missing"), predict(model, as_none)
    )


# --- builders' errors ----------------------------------------------------------


@pytest.mark.usefixtures("eagerly")
def test_imputation_and_rates_of_each_branch(table, tmp_path):
    model = small_model(
        small_schema(table), imputation=True, learning_rates={"image": 0.0}
    )
    before = model.get_layer("image-encoder").get_weights()
    other = model.get_layer("text-encoder").get_weights()
    model.fit(table, epochs=2, verbose=0)
    trained = model.get_layer("image-encoder").trainable_weights
    assert trained
    for old, new in zip(before, model.get_layer("image-encoder").get_weights()):
        np.testing.assert_array_equal(old, new)
    after = model.get_layer("text-encoder").get_weights()
    assert any(np.abs(o - n).max() > 0 for o, n in zip(other, after))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        again.predict(table, verbose=0), model.predict(table, verbose=0), atol=1e-6
    )
    # Without its picture a row still has one, of what the text suggests.
    hidden = keras_mm.evaluation.predict_without(model, table, ["image"])
    assert np.isfinite(hidden).all()


def test_builders_refuse_what_contradicts(table):
    schema = small_schema(table)
    with pytest.raises(ValueError, match="Received: imputation=True, missing_token"):
        small_model(schema, imputation=True, missing_token=True)
    with pytest.raises(ValueError, match="Received: learning_rates={'sound': 0.1}"):
        small_model(schema, learning_rates={"sound": 0.1})
    alone = small_schema(table, text=keras_mm.Text(sequence_length=4))
    with pytest.raises(ValueError, match="Received: imputation=True, modalities="):
        keras_mm.build_classifier(alone, imputation=True)


def test_builders_refuse():
    table = make_table(missing=False)
    schema = small_schema(table)
    number = keras_mm.Schema(
        {"price": keras_mm.Number()}, {"weight": keras_mm.Number()}
    ).adapt(table)
    fresh = keras_mm.Schema(
        {"text": keras_mm.Text()}, {"category": keras_mm.ClassLabel(3)}
    )
    for build, message in (
        (
            lambda: keras_mm.build_classifier(number),
            "build_regressor.*Received: targets=",
        ),
        (
            lambda: keras_mm.build_regressor(schema),
            "build_classifier.*Received: targets=",
        ),
        (lambda: keras_mm.build_classifier(fresh), "schema.adapt"),
        (lambda: keras_mm.build_classifier([1]), "Received: list"),
        (
            lambda: keras_mm.build_classifier(schema, fusion="magic"),
            "Received: fusion='magic'",
        ),
        (
            lambda: keras_mm.build_classifier(schema, encoders={"image": "lstm"}),
            "Received: encoder='lstm'",
        ),
        (
            lambda: keras_mm.build_classifier(schema, encoders={"imgae": "cnn"}),
            r"Received: encoders=\['imgae'\]",
        ),
    ):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            build()


# --- the user's own parts ------------------------------------------------------


@keras.saving.register_keras_serializable(package="tests")
class Largest(layers.Layer):
    """A fusion of a user's: the largest of the modalities' values."""

    def build(self, tokens_shape, masks_shape):
        self.dense = [layers.Dense(4) for _ in tokens_shape]
        for layer, shape in zip(self.dense, tokens_shape):
            layer.build((None, shape[-1]))

    def call(self, tokens, masks):
        return ops.max(
            ops.stack([d(keras_mm.fusion.fusion.masked_mean(t, m))
                       for d, t, m in zip(self.dense, tokens, masks)]), axis=0)  # fmt: skip

    def compute_output_shape(self, tokens_shape, masks_shape):
        return (tokens_shape[0][0], 4)


@keras.saving.register_keras_serializable(package="tests")
class FusionModel(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras_mm.fusion.Mean(4)

    def call(self, tokens, masks):
        return self.inner(tokens, masks)


def fusion_function(tokens, masks):
    return layers.Concatenate()(
        [layers.GlobalMaxPooling1D()(token) for token in tokens]
    )


def backbone():
    return keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(3, 3, strides=4), layers.Flatten()],
        name="mine",
    )


@pytest.mark.parametrize("fusion", [Largest, FusionModel, lambda: fusion_function])
@pytest.mark.usefixtures("eagerly")
def test_own_fusions(table, fusion, tmp_path):
    model = small_model(small_schema(table), fusion=fusion())
    model.fit(table, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(predict(again, table), predict(model, table), atol=1e-5)


@pytest.mark.parametrize(
    "encoder",
    [
        backbone,
        lambda: layers.Conv2D(3, 5, strides=4),
        lambda: lambda x: layers.Dense(3)(layers.Flatten()(x)),
    ],
    ids=["model", "layer", "function"],
)
@pytest.mark.usefixtures("eagerly")
def test_own_encoders(table, encoder, tmp_path):
    encoders = {
        **small_encoders(),
        "image": encoder(),
        "text": layers.Embedding(202, 3),
    }
    model = small_model(small_schema(table), encoders=encoders)
    assert np.isfinite(model.fit(table, verbose=0).history["loss"]).all()
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(predict(again, table), predict(model, table), atol=1e-5)


# --- files ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "fusion", [pytest.param("hybrid", marks=pytest.mark.backends), "gated"]
)
@pytest.mark.usefixtures("eagerly")
def test_keras_file(fusion, table, tmp_path):
    model = small_model(
        small_schema(table),
        fusion=FUSIONS[fusion](),
        modality_dropout=0.2,
        missing_token=True,
    )
    model.fit(table, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert isinstance(again, keras_mm.MultimodalModel)
    assert again.schema.describe() == model.schema.describe() and again.seed == 0
    np.testing.assert_allclose(predict(again, table), predict(model, table), atol=1e-6)
    np.testing.assert_allclose(
        again.evaluate(table, verbose=0), model.evaluate(table, verbose=0), rtol=1e-5
    )
    again.fit(table, verbose=0)


def rewritten(source, target, change):
    """Copies a `.keras` file with another configuration."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config)
            new.writestr(name, content)
    return target


def test_loading_runs_no_code(table, tmp_path):
    import base64
    import marshal

    marker = tmp_path / "ran"
    code = compile(f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]", "f", "eval")
    function = code.co_consts[0]
    evil = {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {
            "name": "evil",
            "function": {
                "class_name": "__lambda__",
                "config": {
                    "code": base64.b64encode(marshal.dumps(function)).decode(),
                    "defaults": None,
                    "closure": None,
                },
            },
        },
        "registered_name": None,
    }
    model = small_model(small_schema(table))
    model.save(tmp_path / "m.keras")

    def as_augmentation(config):
        image = dict(config["config"]["schema"]["inputs"])["image"]
        image["config"]["augmentation"] = evil

    def as_layer(config):
        layer = config["config"]["layers"][-1]
        layer.update({k: evil[k] for k in ("module", "class_name", "registered_name")})
        layer["config"] = evil["config"]

    def as_popen(config):
        config["config"]["schema"]["inputs"][0][1] = {
            "module": "subprocess",
            "class_name": "Popen",
            "config": {"args": ["touch", str(marker)]},
            "registered_name": None,
        }

    for change in (as_augmentation, as_layer, as_popen):
        path = rewritten(tmp_path / "m.keras", tmp_path / "evil.keras", change)
        with pytest.raises((ValueError, TypeError)):
            keras.models.load_model(path)
        assert not marker.exists()


def test_truncated_model_file(table, tmp_path):
    small_model(small_schema(table)).save(tmp_path / "m.keras")
    content = (tmp_path / "m.keras").read_bytes()
    (tmp_path / "half.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(Exception):  # noqa: B017
        keras.models.load_model(tmp_path / "half.keras")


# --- real data -----------------------------------------------------------------


def test_clipart(clipart):
    schema = keras_mm.Schema(
        {
            "image": keras_mm.Image((24, 24)),
            "text": keras_mm.Text(8, vocabulary_size=500),
        },
        {"category": keras_mm.ClassLabel()},
    ).adapt(clipart)
    encoders = {
        "image": keras_mm.encoders.ResidualCNN((32,), units=8, dropout=0.0),
        "text": keras_mm.encoders.NGrams(units=16, dropout=0.0),
    }
    model = keras_mm.build_classifier(
        schema, encoders=encoders, seed=0, optimizer=keras.optimizers.Adam(0.02)
    )
    history = model.fit(clipart, epochs=2, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert predict(model, clipart.drop(columns="category")).shape == (45, 9)


def test_uint8_pictures_are_a_table():
    pixels = np.stack([random_pixels(i) for i in range(6)])
    x = {"image": pixels, "text": ["a b", "b c", None, "c", "d", "a"]}
    y = ["u", "v"] * 3
    schema = keras_mm.Schema(
        {"image": keras_mm.Image((12, 10)), "text": keras_mm.Text(4)},
        {"y": keras_mm.ClassLabel()},
    ).adapt({**x, "y": y})
    encoders = {
        "image": keras_mm.encoders.CNN(2),
        "text": keras_mm.encoders.NGrams(units=2),
    }
    model = keras_mm.build_classifier(schema, encoders=encoders)
    model.fit(x, y, verbose=0)
    assert predict(model, x).shape == (6, 2)


def test_absent_columns_are_missing_and_the_schema_stays():
    table = dense_table(12)
    model = dense_model(table)
    expected = model.predict(table.assign(bad=None), verbose=0)
    for rows in (
        table.drop(columns="bad"),
        table[["good"]].rename(columns={"good": "Good"}).assign(good=table["good"]),
    ):
        with pytest.warns(UserWarning, match="no column 'bad'.* missing") as caught:
            got = model.predict(rows, verbose=0)
        # Torch has warnings of its own.
        (own,) = [one for one in caught if "no column" in str(one.message)]
        assert own.filename == __file__
        np.testing.assert_array_equal(got, expected)
    for use in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="no column 'bad'.*Received: columns="):
            use(table.drop(columns="bad"), verbose=0)
    with pytest.raises(ValueError, match="no column 'good'"):
        model.predict(table[["category"]], verbose=0)
    with pytest.raises(ValueError, match="from_config.*Received: schema=Schema"):
        model.schema.adapt(table)
    for name, value in {**model.schema.inputs, **model.schema.targets}.items():
        with pytest.raises(ValueError, match=f"from_config.*Received: {name}="):
            value.adapt(table[name], name)
    again = keras_mm.Schema.from_config(model.schema.get_config())
    assert again.adapt(table).get_config() == model.schema.get_config()
