"""Several targets: what is missing counts nothing, and all else as ever."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import losses, ops

import keras_mm
from keras_mm.evaluation import score, to_frame
from keras_mm.training import fit_cached

from ..helpers import dense_table, make_table, tensors_of

TARGETS = {
    "category": keras_mm.ClassLabel,
    "price": keras_mm.Number,
    "both": lambda: keras_mm.MultiLabel(separator=" "),
}
# Fresh processes and exports take their time, and are tried in tests/serving.
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="takes long on other backends"
)


def make_rows(rows=24):
    """Each target is missing in some rows, and all but one in row 7."""
    table = dense_table(rows).astype(object)
    table.loc[[0, 4, 7], "category"] = None
    table.loc[[1, 5], "price"] = np.nan
    table.loc[[2, 7], "both"] = None
    return table


def make_model(table, targets=("category", "price"), fusion="concat", **kwargs):
    schema = keras_mm.Schema(
        {name: keras_mm.Vector(len(table[name][0])) for name in ("good", "bad")},
        {name: TARGETS[name]() for name in targets},
    ).adapt(table)
    encoders = {n: keras_mm.encoders.Dense(4, dropout=0.0) for n in ("good", "bad")}
    kwargs = {"seed": 0, "modality_dropout": 0.0, "hidden_units": 5, **kwargs}
    return keras_mm.build_multitask(schema, encoders, fusion, **kwargs)


def labels_of(table, schema):
    dataset = keras_mm.data.to_dataset(table, schema, batch_size=len(table))
    return {name: value.numpy() for name, value in next(iter(dataset))[1].items()}


@pytest.fixture(scope="module")
def trained():
    table = make_rows()
    model = make_model(table, TARGETS, fusion=None)
    history = model.fit(table, epochs=1, verbose=0)
    return model, table, history


def test_what_comes_out(trained):
    model, table, history = trained
    assert isinstance(model.get_layer("modality-fusion"), keras_mm.fusion.Gated)
    assert model.get_layer("modality-hidden").units == 5
    assert set(history.history) == {
        "loss", "category_loss", "price_loss", "both_loss", "category_accuracy",
        "price_mean_absolute_error", "both_f1_score", "both_auc",
    }  # fmt: skip
    assert np.isfinite([values for values in history.history.values()]).all()
    predicted = model.predict(table, verbose=0)
    shapes = {name: values.shape for name, values in predicted.items()}
    assert shapes == {"category": (24, 3), "price": (24, 1), "both": (24, 2)}
    frame = to_frame(predicted, model.schema)
    assert list(frame) == [
        "category", "category_x", "category_y", "category_z", "price",
        "both", "both_x", "both_y",
    ]  # fmt: skip
    np.testing.assert_allclose(frame["price"], predicted["price"][:, 0])


def test_scores_are_of_the_rows_that_have_the_label(trained):
    model, table, _ = trained
    predicted = model.predict(table, verbose=0)
    found = model.evaluate(table, verbose=0, return_dict=True)
    scores = score(model, table)
    right = predicted["category"].argmax(1) == np.arange(24) % 3
    known = table.category.notna().to_numpy()
    price = table.price.to_numpy("float64")
    error = np.abs(predicted["price"][:, 0] - price)
    expected = {"category": right[known].mean(), "price": np.nanmean(error)}
    assert known.sum() == 21 and np.isnan(error).sum() == 2
    np.testing.assert_allclose(scores["category"]["accuracy"], expected["category"])
    np.testing.assert_allclose(
        scores["price"]["mean_absolute_error"], expected["price"]
    )
    np.testing.assert_allclose(
        found["category_accuracy"], expected["category"], rtol=1e-5
    )
    np.testing.assert_allclose(
        found["price_mean_absolute_error"], expected["price"], rtol=1e-5
    )
    np.testing.assert_allclose(
        found["both_f1_score"], scores["both"]["macro_f1"], rtol=1e-5
    )
    # One batch: the losses are means over the known rows, too.
    picked = predicted["category"][np.arange(24), np.arange(24) % 3][known]
    np.testing.assert_allclose(
        found["category_loss"], -np.log(picked).mean(), rtol=1e-4
    )
    np.testing.assert_allclose(
        found["price_loss"], np.nanmean(error**2) / np.nanvar(price), rtol=1e-4
    )
    total = found["category_loss"] + found["both_loss"] + found["price_loss"]
    np.testing.assert_allclose(found["loss"], total, rtol=1e-4)


def test_score_where_no_row_has_a_label(trained):
    model, table, _ = trained
    scores = score(model, table.assign(price=None).drop(index=[7]))
    assert scores["price"] == {} and scores["category"]["accuracy"] >= 0


def test_arrays_dicts_and_tables_alike(trained):
    model, table, _ = trained
    inputs, labels = tensors_of(table, model.schema), labels_of(table, model.schema)
    assert labels["category"][[0, 1]].tolist() == [-1, 1]
    expected = model.evaluate(table, verbose=0, return_dict=True)
    beside = table.drop(columns=list(TARGETS)), {n: table[n] for n in TARGETS}
    for given in ((inputs, labels), beside):
        found = model.evaluate(*given, verbose=0, return_dict=True)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4)


@pytest.mark.backends
def test_a_file_holds_all_of_it(trained, tmp_path):
    model, table, _ = trained
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict(table, verbose=0)
    for name, values in again.predict(table, verbose=0).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-6)
    found = again.evaluate(table, verbose=0, return_dict=True)
    for name, value in model.evaluate(table, verbose=0, return_dict=True).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4)


@pytest.mark.backends
def test_a_step_is_that_of_stock_losses_of_the_known_rows():
    """Stock losses with any label where one is missing, of weight 0."""
    table = make_rows()
    weights = {"category": np.float64(0.5)}
    model = make_model(
        table, loss_weights=weights, optimizer=keras.optimizers.SGD(0.05)
    )
    again = keras.models.clone_model(model)
    again.set_weights(model.get_weights())
    weights["price"] = 1.0 / float(np.nanvar(table.price.to_numpy("float64")))
    stock = keras.Model(again.inputs, again.outputs)
    stock.compile(
        keras.optimizers.SGD(0.05),
        # In the order of the names.
        loss=[losses.SparseCategoricalCrossentropy(), losses.MeanSquaredError()],
        loss_weights=[0.5, weights["price"]],
    )
    inputs, labels = tensors_of(table, model.schema), labels_of(table, model.schema)
    known = [labels["category"] >= 0, ~np.isnan(labels["price"][:, 0])]
    filled = [np.maximum(labels["category"], 0), np.nan_to_num(labels["price"])]
    counts = [(part * 24 / part.sum()).astype("float32") for part in known]
    stock.train_on_batch([inputs["good"], inputs["bad"]], filled, counts)
    start = model.get_weights()
    model.train_on_batch(inputs, labels)
    for got, expected, before in zip(model.get_weights(), stock.get_weights(), start):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
        assert (got != before).any()


@on_tensorflow
def test_compiled_by_xla():
    table = make_rows()
    found = []
    for compiled in (False, True):
        model = make_model(table)
        model.jit_compile = compiled
        inputs = tensors_of(table, model.schema)
        model.train_on_batch(inputs, labels_of(table, model.schema))
        found.append(model.get_weights())
    for plain, compiled in zip(*found):
        np.testing.assert_allclose(plain, compiled, rtol=1e-3, atol=1e-5)


def test_sample_weights_and_late_labels():
    """A weight of 0 hides a row as a missing label does."""
    table = make_rows(8)
    model = make_model(table)
    inputs, labels = tensors_of(table, model.schema), labels_of(table, model.schema)
    weights = np.ones(8, "float32")
    weights[3] = 0.0
    found = model.evaluate(inputs, labels, verbose=0, return_dict=True)
    weighted = model.evaluate(
        inputs, labels, sample_weight=weights, verbose=0, return_dict=True
    )
    labels["category"][3] = -1
    labels["price"][3, 0] = np.nan
    again = model.test_on_batch(inputs, labels, return_dict=True)
    # Known are 5 categories, then 4: Keras divides by the rows, not by weights.
    np.testing.assert_allclose(
        weighted["category_loss"], again["category_loss"] * 4 / 5, rtol=1e-4
    )
    assert found["category_loss"] != weighted["category_loss"]


@pytest.mark.parametrize("change, message", [
    (lambda y: y["price"], "labels as a dict.*Received: y of type ndarray"),
    (lambda y: {"price": y["price"]}, r"Received: y of keys \['price'\]"),
    (lambda y: {**y, "more": y["price"]}, "Received: y of keys .*more"),
    (lambda y: {**y, "price": y["price"][:-1]}, "same number of rows.*'price': 23"),
    (lambda y: {**y, "price": y["price"] * np.inf}, "infinite.*Received: price="),
    (lambda y: {**y, "category": y["category"] + 1}, "Received: category from"),
    (lambda y: {**y, "category": np.eye(3)[y["category"]]}, "class indices, -1"),
    (lambda y: {**y, "category": ["x"] * 24}, "Received: category of dtype"),
    (lambda y: {**y, "both": y["both"][:, :1]}, "Received: both of shape"),
    (lambda y: {**y, "both": y["both"] * [1, np.nan]}, "some are NaN in rows 0, 1, 3"),
    (lambda y: {**y, "price": y["price"] * np.nan, "both": y["both"] * np.nan},
     "Every target is missing in rows 0, 4, 7 .3 in all"),
])  # fmt: skip
def test_labels_that_do_not_fit(change, message, trained):
    model, table, _ = trained
    inputs, labels = tensors_of(table, model.schema), labels_of(table, model.schema)
    with pytest.raises(ValueError, match=message):
        model.fit(inputs, change(labels), verbose=0)


def test_rows_without_any_label_are_refused(trained):
    model, table, _ = trained
    table = table.copy()
    table.loc[5, list(TARGETS)] = None
    for function in (model.fit, model.evaluate, lambda rows, **_: score(model, rows)):
        with pytest.raises(ValueError, match="Every target is missing in row 5 "):
            function(table, verbose=0)
    with pytest.raises(ValueError, match="no column 'price'"):
        model.fit(table.drop(columns="price"), verbose=0)


def log_loss(shares, places):
    return -np.log(np.maximum(shares[np.arange(len(places)), places], 1e-7))


@pytest.mark.parametrize(
    "fusion",
    ["hybrid", "late_weighted", keras_mm.fusion.Hybrid(hidden_units=3, members=2)],
    ids=["hybrid", "late_weighted", "members"],
)
def test_experts_of_each_target_learn_from_its_labels(fusion):
    """The loss is that of every expert, over the rows that have it and the label."""
    table = make_rows()
    model = make_model(table, fusion=fusion)
    table.loc[:4, "bad"] = None
    inputs, labels = tensors_of(table, model.schema), labels_of(table, model.schema)
    layers = [layer.name for layer in model.layers if layer.name.endswith("-fusion")]
    assert sorted(layers) == ["category-fusion", "price-fusion"]
    outputs = model(inputs, training=True)
    loss = float(ops.convert_to_numpy(model.compute_loss(inputs, labels, outputs)))
    experts = keras.tree.map_structure(ops.convert_to_numpy, model.experts(outputs))
    total, std = 0.0, model.schema.targets["price"].std
    for name, (logits, present) in experts.items():
        known = model.schema.targets[name].is_known(labels[name])
        members = model.fusion_layers()[name].members
        assert not known.all() and not present[:4, members : 2 * members].any()
        for k, seen in enumerate(present.T):
            both, z = known & seen, logits[:, k]
            if name == "category":
                shares = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
                losses_ = log_loss(shares[both], labels[name][both])
            else:
                truth = (labels[name] - model.schema.targets[name].mean) / std
                losses_ = np.square(truth - z)[both]
            total += losses_.sum() / known.mean() / present.size
    np.testing.assert_allclose(loss, total, rtol=1e-4)
    # Outside training it gives what any model gives.
    assert set(model(inputs)) == {"category", "price"}
    assert set(model.predict(table, verbose=0)) == {"category", "price"}


@pytest.mark.parametrize("fusion", ["hybrid", "stacking"])
def test_late_fusions_of_several_targets_are_fit_and_kept(fusion, tmp_path):
    table = make_rows(30)
    fusion = keras_mm.fusion.Stacking(folds=2) if fusion == "stacking" else fusion
    model = make_model(table, TARGETS, fusion=fusion)
    before = {n: layer.get_weights() for n, layer in model.fusion_layers().items()}
    history = model.fit(table, validation_data=table, epochs=1, verbose=0)
    assert {"category_accuracy", "val_price_loss"} <= set(history.history)
    for name, layer in model.fusion_layers().items():
        changed = [
            not np.array_equal(then, now)
            for then, now in zip(before[name], layer.get_weights())
        ]
        # Weights of experts as well as their scale, or the linear model.
        assert sum(changed) >= 4, name
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for name, values in model.predict(table, verbose=0).items():
        np.testing.assert_allclose(values, again.predict(table, verbose=0)[name])
    assert again.wiring == model.wiring
    labels = labels_of(table, model.schema)
    evaluated = model.evaluate(table, verbose=0, return_dict=True)
    arrays = tensors_of(table, model.schema)
    other = again.evaluate(arrays, labels, verbose=0, return_dict=True)
    assert evaluated == pytest.approx(other, rel=1e-5)


def test_class_weights_of_several_targets():
    """Of one target alone the loss changes, by each class's weight."""
    table, weight = make_rows(), {"x": 3.0, "y": 0.0}
    model = make_model(table)
    inputs, labels = tensors_of(table, model.schema), labels_of(table, model.schema)
    predicted = model.predict(table, verbose=0)
    known = labels["category"] >= 0
    names = np.array(model.schema.targets["category"].class_names)
    each = np.array([weight.get(name, 1.0) for name in names])[labels["category"]]
    losses_ = log_loss(predicted["category"], np.maximum(labels["category"], 0))
    expected = (losses_ * each)[known].mean()
    plain_price = model.evaluate(table, verbose=0, return_dict=True)["price_loss"]
    given = {"category": weight}
    rows = tf_rows(table, model)
    for x, y in ((table, None), (inputs, labels), (rows, None)):
        again = make_model(table, optimizer=keras.optimizers.SGD(0.0))
        history = again.fit(
            x, y, class_weight=given, batch_size=24, shuffle=False, verbose=0
        ).history
        np.testing.assert_allclose(history["category_loss"], [expected], rtol=1e-4)
        np.testing.assert_allclose(history["price_loss"], [plain_price], rtol=1e-4)
    balanced = make_model(table, optimizer=keras.optimizers.SGD(0.0))
    history = balanced.fit(table, class_weight="balanced", batch_size=24, verbose=0)
    counts = np.bincount(labels["category"][known])
    each = (known.sum() / 3 / counts)[np.maximum(labels["category"], 0)]
    expected = (losses_ * each)[known].mean()
    np.testing.assert_allclose(history.history["category_loss"], [expected], rtol=1e-4)
    for wrong in ({"x": 2.0}, {"price": "balanced"}):
        with pytest.raises(ValueError, match="Received: class_weight="):
            model.fit(table, class_weight=wrong, verbose=0)


def tf_rows(table, model):
    """The rows as a dataset, whose missing labels are empty."""
    import tensorflow as tf

    columns = {name: np.stack(table[name]) for name in model.schema.inputs}
    columns["category"] = table["category"].fillna("").to_numpy(str)
    columns["price"] = table["price"].astype("float32").to_numpy()
    return tf.data.Dataset.from_tensor_slices(columns)


def test_what_is_cached_trains_several_targets():
    table = make_rows()
    models = [make_model(table, optimizer=keras.optimizers.SGD(0.1)) for _ in range(2)]
    for model in models:
        model.encoders["good"].trainable = False
        model.compile(keras.optimizers.SGD(0.1), model.loss)
    settings = {"batch_size": 24, "epochs": 2, "verbose": 0, "shuffle": False}
    fit_cached(models[0], table, **settings)
    models[1].fit(table, **settings)
    one, other = (model.predict(table, verbose=0) for model in models)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-5)


def test_a_picture_of_each_target(trained):
    model, table, _ = trained
    figure = keras_mm.evaluation.plot_targets(model, table)
    assert [axes.get_title() for axes in figure.axes] == list(model.schema.targets)


def test_builders_refuse(trained):
    schema = trained[0].schema
    one = keras_mm.Schema(schema.inputs, {"price": keras_mm.Number()})
    unknown = keras_mm.Schema(
        schema.inputs, {"price": keras_mm.Number(), "kind": keras_mm.ClassLabel()}
    )
    build = keras_mm.build_multitask
    for function, message in (
        (lambda: keras_mm.build_classifier(schema), "build_multitask.*Received: targe"),
        (lambda: keras_mm.build_regressor(schema), "build_multitask.*Received: target"),
        (lambda: build(one), "build_classifier or .*Received: targets="),
        (lambda: build(unknown), "classes of target 'kind' are unknown"),
        (lambda: build(schema.inputs), "must be a keras_mm.Schema.*Received: dict"),
        (
            lambda: build(schema, loss_weights={"x": 1}),
            "unknown targets.*Received: loss_w",
        ),
        (lambda: build(schema, loss_weights={"price": -1}), "finite.*Received: loss"),
    ):
        with pytest.raises(ValueError, match=message):
            function()


def test_one_modality_and_any_layer_of_ones_own():
    """A fusion of the user's, and a single column, which is not fused."""
    table = make_rows(8)
    schema = keras_mm.Schema(
        {"good": keras_mm.Vector(3)}, {n: TARGETS[n]() for n in ("category", "price")}
    ).adapt(table)
    model = keras_mm.build_multitask(schema, seed=0)
    assert isinstance(model.get_layer("modality-fusion"), keras_mm.fusion.Concat)
    own = make_model(table, fusion=lambda tokens, masks: ops.mean(tokens[0], axis=1))
    for found in (model, own):
        assert set(found.predict(table, verbose=0)) == {"category", "price"}


def test_heads_of_ones_own(tmp_path):
    table = make_table(24, missing=False)
    schema = keras_mm.Schema(
        {"weight": keras_mm.Number()},
        {"price": keras_mm.Number(), "category": keras_mm.ClassLabel()},
    ).adapt(table)
    heads = {
        "price": keras_mm.heads.Dense(hidden_units=3, dropout=0.5, loss="Huber"),
        "category": "dense",
    }
    model = keras_mm.build_multitask(schema, heads=heads, hidden_units=None, seed=0)
    assert model.get_layer("price-hidden").units == 3
    assert model.get_layer("price-dropout").rate == 0.5
    with pytest.raises(ValueError, match="No such layer"):
        model.get_layer("category-hidden")
    # The loss is Huber's, in the price's own unit.
    price, kind = model.predict(table, verbose=0), table["category"]
    names = schema.targets["category"].names
    truth = np.asarray(table["price"], "float32")
    huber = keras.losses.Huber()(truth[:, None], price["price"])
    found = model.evaluate(table, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["price_loss"], float(huber), rtol=1e-4)
    right = price["category"][range(24), [names.index(k) for k in kind]]
    np.testing.assert_allclose(found["category_loss"], -np.log(right).mean(), rtol=1e-4)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    head = again.heads["price"]
    assert (head.hidden_units, head.dropout, head.label_smoothing) == (3, 0.5, 0.0)
    assert isinstance(head.own_loss, keras.losses.Huber)
    assert again.evaluate(table, verbose=0, return_dict=True) == pytest.approx(
        found, rel=1e-5
    )


def test_heads_that_do_not_fit():
    table = make_table(24, missing=False)
    schema = keras_mm.Schema(
        {"weight": keras_mm.Number()}, {"category": keras_mm.ClassLabel()}
    ).adapt(table)
    dense = keras_mm.heads.Dense()
    for heads, message in (
        ({"price": dense}, r"unknown targets.*Received: heads=\['price'\]"),
        ({"category": "tall"}, r"one of \['dense'\].*Received: heads"),
        ({"category": keras_mm.heads.Head()}, "does not predict.*Received: heads"),
    ):
        with pytest.raises(ValueError, match=message):
            keras_mm.build_classifier(schema, heads=heads)
    with pytest.raises(ValueError, match="Received: label_smoothing=0.1"):
        keras_mm.build_classifier(
            schema, heads={"category": dense}, label_smoothing=0.1
        )
    with pytest.raises(ValueError, match="must be a keras.losses.Loss.*Received: loss"):
        keras_mm.heads.Dense(loss="mae")
    # Its layers are those of each expert of a late fusion.
    head = keras_mm.heads.Dense(hidden_units=3)
    schema = keras_mm.Schema(
        {"weight": keras_mm.Number(), "text": keras_mm.Text()},
        {"category": keras_mm.ClassLabel()},
    ).adapt(table)
    model = keras_mm.build_classifier(
        schema,
        encoders={"text": "ngrams"},
        fusion="late_mean",
        heads={"category": head},
    )
    assert model.get_layer("modality-fusion").hidden_units == 3


def test_weights_of_each_target():
    """A dict of them, alone and beside class weights, in all that trains."""
    table = make_rows(32)
    model = make_model(table, fusion="hybrid", optimizer=keras.optimizers.SGD(0.1))
    x, y = tensors_of(table, model.schema), labels_of(table, model.schema)
    weights = {"category": np.arange(32.0), "price": np.zeros(32)}
    start, ends = model.get_weights(), []
    for settings in ({}, {"class_weight": "balanced"}, {"validation_split": 0.25}):
        model.set_weights(start)
        model.fit(x, y, sample_weight=weights, verbose=0, shuffle=False, **settings)
        before, after = start, model.get_weights()
        layers = [weight.path for weight in model.weights]
        moved = {
            target: any(
                not np.array_equal(*pair)
                for path, *pair in zip(layers, before, after)
                if path.startswith(f"{target}-fusion") and "expert" in path
            )
            for target in y
        }
        assert moved == {"category": True, "price": False}, settings
        ends.append(after)
    for settings in ({}, {"class_weight": "balanced"}):
        # NumPy's `float64` too.
        model.set_weights(start)
        model.train_on_batch(x, y, sample_weight=weights, **settings)
        each = zip(ends.pop(0), model.get_weights())
        assert all(np.allclose(*pair, atol=1e-5) for pair in each), settings
    # The same of a DataFrame of labels, where a missing class is NaN.
    frame = pd.DataFrame({name: values.reshape(-1) for name, values in y.items()})
    frame["category"] = frame["category"].where(frame["category"] >= 0)
    each = [
        model.test_on_batch(x, labels, sample_weight=weights) for labels in (y, frame)
    ]
    np.testing.assert_allclose(*each, rtol=1e-6)
    model.fit(x, frame, class_weight="balanced", validation_data=(x, frame), verbose=0)
    # A target that the dict does not name has weight 1.
    part = {"price": np.ones(32)}
    for name in ("fit", "evaluate", "test_on_batch"):
        getattr(model, name)(x, y, sample_weight=part)
    with pytest.raises(ValueError, match="has unknown targets.*'size'"):
        model.fit(x, y, sample_weight={"size": np.ones(32)})


def test_stacking_of_a_target_without_any_label():
    table = make_rows()
    model = make_model(table, fusion=keras_mm.fusion.Stacking(folds=2))
    model.fit(table.iloc[8:].assign(price=np.nan), verbose=0)
    kernels = {n: np.array(f.kernel) for n, f in model.late_fusions().items()}
    assert np.allclose(kernels["price"].ravel(), 0.5)
    assert not np.allclose(
        kernels["category"][0], np.eye(len(kernels["category"][0])) / 2
    )
