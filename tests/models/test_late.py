"""Late fusion in `fit`: experts trained each by itself, and weighed."""

import pathlib
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_mm
from keras_mm.models import late

from ..helpers import dense_model, dense_table, small_model, small_schema, tensors_of


def weights_of(model, part):
    """Weights of an encoder, or of an expert of the fusion."""
    if part.endswith("encoder"):
        return model.get_layer(part).weights
    found = [w for w in model.get_layer("modality-fusion").weights if part in w.path]
    assert found
    return found


@pytest.mark.backends
def test_an_expert_learns_as_if_it_were_alone():
    """Nothing of the other modality gets into its gradients."""
    table, sgd = dense_table(), keras.optimizers.SGD
    together = dense_model(table, fusion="late_mean", optimizer=sgd(0.2))
    # The loss is the mean of both experts' losses: half the gradient of each.
    alone = dense_model(table, columns=["good"], fusion="late_mean", optimizer=sgd(0.1))
    for part in ("good-encoder", "expert_0"):
        for mine, other in zip(weights_of(alone, part), weights_of(together, part)):
            mine.assign(ops.convert_to_numpy(other))
    start = [ops.convert_to_numpy(w) for w in weights_of(together, "expert_0")]
    for model in (together, alone):
        model.fit(table, epochs=2, shuffle=False, verbose=0)
    for part in ("good-encoder", "expert_0"):
        pairs = zip(weights_of(alone, part), weights_of(together, part), strict=True)
        for mine, other in pairs:
            np.testing.assert_allclose(
                ops.convert_to_numpy(mine), ops.convert_to_numpy(other), atol=1e-5
            )
    end = [ops.convert_to_numpy(w) for w in weights_of(together, "expert_0")]
    assert np.abs(end[0] - start[0]).max() > 0.01


def test_loss_weights_of_zero_stop_an_expert():
    table = dense_table()
    model = dense_model(table, fusion="late_mean")
    model.get_layer("modality-fusion").loss_weights.assign([0.0, 1.0])
    parts = {"good-encoder": True, "expert_0": True, "bad-encoder": False}
    before = {
        part: [ops.convert_to_numpy(w) for w in weights_of(model, part)]
        for part in parts
    }
    model.fit(table, verbose=0)
    for part, still in parts.items():
        after = [ops.convert_to_numpy(w) for w in weights_of(model, part)]
        same = [np.array_equal(*pair) for pair in zip(before[part], after)]
        assert all(same) if still else not any(same), part


@pytest.mark.backends
def test_the_loss_is_the_mean_of_the_experts_losses_where_they_are():
    table = dense_table()
    table.loc[:9, "bad"] = None
    model = dense_model(table.iloc[::-1].reset_index(drop=True), fusion="hybrid")
    (inputs, truth) = next(iter(model._dataset(table, 90, None, "error")))
    inputs = {name: np.asarray(value) for name, value in inputs.items()}
    fused = model(inputs, training=True)
    loss = float(model.compute_loss(inputs, np.asarray(truth), fused))
    part = keras.Model(
        model.inputs, list(model.get_layer("modality-fusion").output[-2:])
    )
    logits, present = part.predict(inputs, verbose=0)
    assert present[:10, 1].sum() == 0 and present.sum() == 3 * 90 - 10
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    chosen = shares[np.arange(90), :, np.asarray(truth).reshape(-1)]
    np.testing.assert_allclose(loss, (-np.log(chosen) * present).mean(), rtol=1e-5)
    weights = np.linspace(0, 3, 90)[:, None].astype("float32")
    fused = model(inputs, training=True)
    loss = float(model.compute_loss(inputs, np.asarray(truth), fused, weights))
    expected = (-np.log(chosen) * present * weights).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("fusion", ["late_weighted", "hybrid"])
def test_a_modality_that_errs_weighs_little(fusion):
    train, held = dense_table(), dense_table(seed=1)
    model = dense_model(train, fusion=fusion, optimizer=keras.optimizers.Adam(0.05))
    model.fit(train, validation_data=held, epochs=25, verbose=0)
    layer = model.get_layer("modality-fusion")
    weights = np.exp(ops.convert_to_numpy(layer.weight_logits))
    assert weights[0] > 3 * weights[1], weights
    scores, present, truth, _ = late._answers(
        model, model._dataset(held, 7, None, "error")
    )["category"]
    # The weights are better than those around them, by the layer's own rule.
    best = chosen_shares(layer, scores, present, truth)
    found = ops.convert_to_numpy(layer.weight_logits)
    for other in range(len(found)):
        for step in (-2.0, 2.0):
            layer.weight_logits.assign(found + step * np.eye(len(found))[other])
            worse = chosen_shares(layer, scores, present, truth)
            assert np.log(best).mean() > np.log(worse).mean() - 5e-3


class Linear:
    """The variables of a late fusion, and squared errors of its sum."""

    def __init__(self, count):
        self.weight_logits = keras.Variable(np.zeros(count, "float32"))
        self.scale = keras.Variable(np.float32(1))

    def weights(self):
        return np.array(ops.convert_to_numpy(ops.softmax(self.weight_logits)))


def weigh(columns, truth, present=None):
    """Weights of experts that predict the columns of an array `(rows, experts)`."""
    layer, rows = Linear(columns.shape[1]), len(truth)
    if present is None:
        present = np.ones(columns.shape, bool)
    answers = late._Answers(columns[..., None], present, truth, np.ones(rows))
    late._weigh(layer, lambda x, y: (x[:, 0] - y) ** 2, answers)
    return layer


def test_an_expert_that_adds_nothing_has_no_weight():
    random = np.random.default_rng(0)
    truth = random.normal(size=300)
    noise = random.normal(size=(300, 3))
    good = truth + 0.5 * noise[:, 0]
    other = truth + 0.5 * noise[:, 1]
    # Two that err differently are better than one; a copy of noise is not.
    weights = weigh(np.stack([good, other, 3 * noise[:, 2]], 1), truth).weights()
    assert weights[2] < 1e-12 and weights[:2].min() > 0.3
    # The best one by itself: the others err as it does, and more.
    worse = np.stack([good, good + noise[:, 0], good + 2 * noise[:, 0]], 1)
    np.testing.assert_allclose(weigh(worse, truth).weights(), [1, 0, 0], atol=1e-12)


def test_an_expert_without_weight_predicts_where_it_is_alone():
    random = np.random.default_rng(0)
    truth = random.normal(size=200)
    good, bad = truth + 0.1, truth + random.normal(size=200) * 2
    present = np.ones((200, 2), bool)
    present[:50, 0] = False
    layer = weigh(np.stack([good, bad], 1), truth, present)
    assert layer.weights()[1] < 1e-12
    alone = keras_mm.fusion.fusion.masked_softmax(
        layer.weight_logits[None], ops.convert_to_tensor([[False, True]])
    )
    np.testing.assert_allclose(ops.convert_to_numpy(alone), [[0, 1]])


def chosen_shares(layer, scores, present, truth):
    """Probabilities of the true classes, by the layer's own rule."""
    fused = layer.combine(
        ops.convert_to_tensor(scores.astype("float32")), ops.convert_to_tensor(present)
    )
    shares = ops.convert_to_numpy(ops.softmax(fused, axis=-1))
    return shares[np.arange(len(truth)), truth]


def test_stacking_looks_at_rows_that_it_was_not_trained_on():
    """An expert that knows its training rows by heart is worth nothing."""
    table = dense_table(60)
    table["bad"] = list(np.random.default_rng(5).normal(size=(60, 60)))
    fusion = keras_mm.fusion.Stacking(folds=3)
    model = dense_model(table, fusion=fusion, optimizer=keras.optimizers.Adam(0.05))
    calls, train = [], model._train
    model._train = lambda *args, **kwargs: calls.append(1) or train(*args, **kwargs)
    # The target beside the table, as people have it.
    names = table.pop("category").tolist()
    model.fit(table, names, batch_size=60, epochs=40, verbose=0)
    table["category"] = names
    assert len(calls) == 4
    scores, present, truth, _ = late._answers(
        model, model._dataset(table, 16, None, "error")
    )["category"]
    assert (scores[:, 1].argmax(1) == truth).mean() > 0.7, "known by heart"
    kernel = ops.convert_to_numpy(model.get_layer("modality-fusion").kernel)
    good, bad = (np.abs(part - part.mean(0)).sum() for part in kernel)
    assert good > 2 * bad
    assert (
        keras_mm.evaluation.score(
            model, dense_table(seed=3).assign(bad=table["bad"].tolist() + [None] * 30)
        )["accuracy"]
        > 0.7
    )


@pytest.mark.parametrize("fusion", ["stacking", "hybrid"])
@pytest.mark.parametrize(
    "target",
    [{"both": keras_mm.MultiLabel(separator=" ")}, {"price": keras_mm.Number()}],
    ids=["labels", "number"],
)
def test_labels_and_numbers(fusion, target, tmp_path):
    table = dense_table()
    if fusion == "stacking":
        fusion = keras_mm.fusion.Stacking(folds=2)
    model = dense_model(table, target, fusion=fusion)
    model.compile(keras.optimizers.Adam(0.05), model.loss)
    held = None if isinstance(fusion, keras_mm.fusion.Stacking) else dense_table(30, 1)
    model.fit(table, validation_data=held, epochs=12, verbose=0)
    scores = keras_mm.evaluation.score(model, dense_table(seed=2))
    assert scores.get("r2", scores.get("micro_f1")) > 0.5, scores
    without = keras_mm.evaluation.predict_without(model, table, ["good", "bad"])
    assert np.isfinite(without).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        again.predict(table, verbose=0), model.predict(table, verbose=0)
    )


def test_arrays_with_one_hot_labels_and_a_split():
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    x = {
        "a": (random.normal(size=(40, 3)) + 2 * labels[:, None]).astype("float32"),
        "b": random.normal(size=(40, 2)).astype("float32"),
    }
    inputs = {"a": keras_mm.Vector(3), "b": keras_mm.Vector(2)}
    model = keras_mm.build_classifier(inputs, num_classes=2, fusion="late_weighted")
    model.fit(x, np.eye(2)[labels], validation_split=0.25, epochs=2, verbose=0)
    assert float(model.get_layer("modality-fusion").scale) != 1.0
    model = keras_mm.build_classifier(
        inputs, num_classes=2, fusion=keras_mm.fusion.Stacking(folds=2)
    )
    model.fit([x["a"], x["b"]], labels, epochs=1, verbose=0)
    assert ops.convert_to_numpy(model.get_layer("modality-fusion").bias).any()


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rows = slice(10 * index, 10 * index + 10)
        return {name: value[rows] for name, value in self.x.items()}, self.y[rows]


def test_validation_rows_in_every_form():
    """Arrays, batches and endless datasets give the same weights."""
    labels = np.arange(40) % 2
    random = np.random.default_rng(0)
    x = {
        "a": (random.normal(size=(40, 3)) + 2 * labels[:, None]).astype("float32"),
        "b": random.normal(size=(40, 2)).astype("float32"),
    }
    inputs = {"a": keras_mm.Vector(3), "b": keras_mm.Vector(2)}
    model = keras_mm.build_classifier(inputs, num_classes=2, fusion="hybrid")
    layer, found = model.get_layer("modality-fusion"), []
    endless = tf.data.Dataset.from_tensor_slices((x, labels)).batch(10).repeat()
    for rows, steps in (((x, labels), None), (Batches(x, labels), 4), (endless, 4)):
        late.weigh_experts(model, rows, steps)
        found.append([*ops.convert_to_numpy(layer.weight_logits), float(layer.scale)])
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-3)
    with pytest.warns(UserWarning, match="The weights stay equal"):
        late.check_late(layer, x, iter([(x, labels)]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A table may be a path.
        late.check_late(layer, x, pathlib.Path("rows.csv"))
    with pytest.raises(ValueError, match="Received: validation_data of type"):
        late.check_late(keras_mm.fusion.LateWeighted(), x, iter([(x, labels)]))


def test_refused_before_training(table):
    schema = small_schema(table)
    with pytest.raises(ValueError, match="late_mean.*Received: validation_data=None"):
        small_model(schema, fusion="late_weighted").fit(table, verbose=0)
    rows = keras_mm.data.to_dataset(table, schema, batch_size=4)
    with pytest.raises(ValueError, match="Received: x of type"):
        small_model(schema, fusion="stacking").fit(rows, verbose=0)
    with pytest.raises(ValueError, match="Received: of='votes'"):
        keras_mm.fusion.LateMean(of="votes")
    with pytest.raises(ValueError, match="Received: folds=1"):
        keras_mm.fusion.Stacking(folds=1)
    with pytest.raises(ValueError, match="Received: activation='relu'"):
        keras_mm.fusion.LateMean(activation="relu")


def test_hidden_units_and_dropout_go_to_the_experts(table):
    model = small_model(
        small_schema(table), fusion="late_mean", hidden_units=3, dropout=0.4
    )
    layer = model.get_layer("modality-fusion")
    assert (layer.hidden_units, layer.dropout) == (3, 0.4)
    assert not [
        x for x in model.layers if x.name in ("modality-hidden", "fusion-dropout")
    ]


def test_rows_of_no_weight_say_nothing_about_experts():
    table = dense_table()
    wrong = np.arange(len(table)) % 3 == 1
    table.loc[wrong, "category"] = "z"
    table["count"] = np.where(wrong, 0.0, 2.0)
    model = dense_model(table, fusion="hybrid")
    layer = model.get_layer("modality-fusion")
    found = []
    for rows, weight in ((table, "count"), (table[~wrong].reset_index(), None)):
        dataset = model._dataset(rows, 16, None, "error", sample_weight=weight)
        late.weigh_experts(model, dataset)
        losses = late.experts_losses(model, dataset)
        found.append([*layer.get_weights(), losses["category"]])
    for one, other in zip(*found):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_stacking_heeds_weights(shape):
    random = np.random.default_rng(0)
    x = [random.normal(size=(200, 2)).astype("float32") for _ in "ab"]
    wrong = np.arange(200) % 4 != 0
    y = ((x[0][:, 0] > 0) ^ wrong).astype("int32")
    columns = {name: keras_mm.Vector(2) for name in "ab"}
    encoders = {name: keras_mm.encoders.Dense(4) for name in "ab"}
    model = keras_mm.build_classifier(
        columns, 2, encoders=encoders, fusion="stacking", modality_dropout=0.0, seed=1
    )
    model.compile(keras.optimizers.Adam(0.03), model.loss)
    model.fit(x, y, sample_weight=np.reshape(~wrong * 1.0, shape), epochs=15, verbose=0)
    predicted = model.predict(x, verbose=0).argmax(axis=1)
    assert np.mean((predicted == y)[~wrong]) > 0.9


@pytest.mark.backends
def test_experts_stay_inside_where_another_model_is_around():
    table = dense_table()
    model = dense_model(table, fusion="hybrid")
    tensors = tensors_of(table, model.schema)
    x = [tensors[tensor.name] for tensor in model.inputs]
    outer = keras.Model(model.inputs, keras.layers.Dense(1)(model(model.inputs)))
    outer.compile("sgd", "mse")
    outer.fit(x, np.zeros((len(table), 1)), verbose=0)
    assert outer.predict(x, verbose=0).shape == (len(table), 1)
    alone = keras.Model(model.inputs, model.output)
    np.testing.assert_allclose(
        alone.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5
    )
    # By itself it trains its experts as ever.
    model.fit(table, verbose=0)
    assert set(model(x, training=True)) == {"predictions", "experts"}
    # A training loop of one's own may have the predictions alone.
    labels = np.arange(len(table)) % 3
    assert float(model.compute_loss(x, labels, model(x))) > 0


def test_weights_of_experts_by_name():
    table = dense_table()
    model = dense_model(table, fusion="hybrid")
    layer = model.late_fusions()["category"]
    layer.weight_logits.assign([np.log(3.0), 0.0, late.UNUSED])
    weights = keras_mm.evaluation.expert_weights(model)["category"]
    assert list(weights) == [*model.modalities, "joint"]
    np.testing.assert_allclose(list(weights.values()), [0.75, 0.25, 0], atol=1e-6)
    assert weights["joint"] == 0
    assert keras_mm.evaluation.expert_weights(dense_model(table, fusion="gated")) == {}
