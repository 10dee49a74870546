"""Retrievers: what they compare, learn, save, and name without labels."""

import itertools

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import ops

import keras_mm

from ..helpers import make_table, small_encoders, tensors_of

LOSSES = ("contrastive", "sigmoid", "triplet")


def build(table, columns=("image", "text", "price"), encoders=None, **kwargs):
    available = {
        "image": keras_mm.Image((12, 12), augmentation=None),
        "text": keras_mm.Text(sequence_length=6),
        "price": keras_mm.Number(),
        "weight": keras_mm.Number(),
    }
    schema = keras_mm.Schema({name: available[name] for name in columns})
    made = small_encoders()
    encoders = encoders or {n: made[n] for n in ("image", "text") if n in columns}
    kwargs.setdefault("units", 8)
    return keras_mm.build_retriever(
        schema.adapt(table), encoders=encoders, seed=0, **kwargs
    )


def own_loss(model, name, vectors, ids, pairs):
    """The loss in NumPy: each pair of towers, each direction, each row."""
    scale, bias = {
        "contrastive": (1 / 0.07, 0.0),
        "sigmoid": (10.0, -10.0),
        "triplet": (1.0, 0.0),
    }[name]
    towers, losses = list(model.towers), []
    for one, other in pairs:
        for query, item in ((one, other), (other, one)):
            each = []
            for i, vector in enumerate(vectors[query]):
                matches, values = [], []
                for j, candidate in enumerate(vectors[item]):
                    if not (vector.any() and candidate.any()):
                        continue
                    columns = [towers.index(query), towers.index(item), -1]
                    equal = [ids[i][c] == ids[j][c] >= 0 for c in columns]
                    matches.append(i == j or any(equal))
                    values.append(scale * vector @ candidate + bias)
                matches, values = np.array(matches, bool), np.array(values)
                if not matches.any():
                    continue
                if name == "contrastive":
                    total = np.log(np.exp(values).sum())
                    each.append(np.mean(total - values[matches]))
                elif name == "sigmoid":
                    signs = np.where(matches, -1, 1)
                    each.append(np.log1p(np.exp(signs * values)).sum())
                else:
                    nearest = values[matches].min()
                    others = values[~matches]
                    lower = others[others < nearest - 1e-6]
                    if not len(others):
                        each.append(0.0)
                        continue
                    negative = lower.max() if len(lower) else others.min()
                    each.append(max(0.0, 0.2 - nearest + negative))
            losses.append(np.mean(each) if each else 0.0)
    return np.mean(losses)


@pytest.mark.parametrize("anchor", [None, "text"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.usefixtures("eagerly")
def test_loss_by_hand(loss, anchor):
    """Missing cells, equal cells, groups; all pairs of towers, or the anchor's."""
    table = make_table(12)
    table.loc[5, "text"] = table.loc[4, "text"]
    table.at[8, "image"] = table.loc[7, "image"]
    table["set"] = ["a", "b", None] * 4
    model = build(table, loss=loss, anchor=anchor, group="set")
    towers = ["image", "text", "price"]
    assert list(model.towers) == towers
    ids = np.array(
        [
            [
                next(
                    (n for n, cell in enumerate(table[c]) if cell == value),
                    -1,
                )
                for c, value in zip([*towers, "set"], row)
            ]
            for row in table[[*towers, "set"]].itertuples(index=False)
        ]
    )
    vectors = {k: v.astype("float64") for k, v in model.predict(table).items()}
    assert not vectors["image"][0].any() and not vectors["text"][2].any()
    pairs = list(itertools.combinations(towers, 2))
    if anchor:
        pairs = [pair for pair in pairs if anchor in pair]
    penalties = sum(float(value) for value in model.losses)
    expected = penalties + own_loss(model, loss, vectors, ids, pairs)
    got = model.evaluate(table, verbose=0)
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    # Tensors know of equal rows, too; they have no groups.
    tensors = tensors_of(table, model.schema)
    ids[:, -1] = -1
    listed = [ops.convert_to_tensor(tensors[name]) for name in towers]
    labels = model.row_ids({**tensors, "set": [None] * 12})
    got = model.compute_loss(None, labels, model(listed), training=False)
    expected = penalties + own_loss(model, loss, vectors, ids, pairs)
    np.testing.assert_allclose(float(got), expected, rtol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_compiled_loss_is_the_same(jit_compile):
    """Groups, equal cells in the second tower, and what is in no group."""
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("torch takes a minute to compile")
    table = make_table(12, missing=False)
    table.loc[5, "text"] = table.loc[4, "text"]
    table["set"] = ["a", "b", None, "a"] * 3
    model = build(table, ("image", "text"), group="set", loss="sigmoid")
    tensors = tensors_of(table, model.schema)
    listed = [ops.convert_to_tensor(tensors[name]) for name in ("image", "text")]
    labels = model.row_ids(table)
    assert len(set(labels[:, 2])) == 3 and labels[4, 1] == labels[5, 1]
    expected = float(model.compute_loss(None, labels, model(listed), training=False))
    model.compile("adam", jit_compile=jit_compile)
    assert model.evaluate(table, verbose=0) == pytest.approx(expected, rel=1e-4)
    nothing = np.full_like(labels, -1)
    other = float(model.compute_loss(None, nothing, model(listed), training=False))
    assert abs(other - expected) > 0.01 * expected
    # Arrays know what is equal, and are told the groups.
    told = model.evaluate(tensors, labels[:, 2], verbose=0)
    assert told == pytest.approx(expected, rel=1e-4)
    nothing = labels.copy()
    nothing[:, 2] = -1
    other = float(model.compute_loss(None, nothing, model(listed), training=False))
    assert model.evaluate(tensors, verbose=0) == pytest.approx(other, rel=1e-4)


@pytest.mark.usefixtures("eagerly")
def test_a_second_fit_forgets_other_rows():
    table = make_table(12)
    model = build(table, ("image", "text"), memory=6)
    weights = model.get_weights()
    losses = []
    for past in (table[6:], table[:6]):
        model.fit(past, epochs=1, verbose=0)
        model.set_weights(weights[:-3] + model.get_weights()[-3:])
        model.compile(keras.optimizers.Adam(1e-3))
        history = model.fit(table[:6], epochs=1, verbose=0, shuffle=False)
        losses += history.history["loss"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    # A batch alone does not say which rows of another hold the same.
    tensors = tensors_of(table, model.schema)
    for batch in (table, tensors):
        with pytest.raises(ValueError, match="comparable across batches.*memory=6"):
            model.train_on_batch(batch)
    np.testing.assert_array_equal(model.similarity.past_ids, -1)
    labels = model.row_ids(table)
    model.train_on_batch(tensors, labels)
    np.testing.assert_array_equal(model.similarity.past_ids, labels[:6])
    with pytest.raises(ValueError, match="memory needs the rows"):
        rows = keras_mm.data.to_dataset(table, model.schema)
        model.fit(rows, verbose=0)


@pytest.mark.usefixtures("eagerly")
def test_single_batches_know_what_is_equal():
    """Tensors as well as tables: equal cells match each other."""
    table = make_table(12, missing=False)
    table.loc[5, "text"] = table.loc[4, "text"]
    model = build(table, ("image", "text"))
    expected = model.evaluate(table, verbose=0)
    tensors = tensors_of(table, model.schema)
    for batch in (table, tensors):
        assert model.test_on_batch(batch) == pytest.approx(expected, rel=1e-5)
    assert model.train_on_batch(tensors) == pytest.approx(expected, rel=1e-4)


@pytest.mark.usefixtures("eagerly")
def test_half_precision():
    table = make_table(12)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build(table, ("image", "text"))
        model.fit(table, epochs=1, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    vectors = model.predict(table, verbose=0)["text"]
    assert vectors.dtype == "float32"
    np.testing.assert_array_equal(vectors, model.embed(table, "text"))
    np.testing.assert_allclose(np.linalg.norm(vectors[3:], axis=1), 1, atol=1e-5)


@pytest.mark.backends
def test_past_rows_are_compared_with():
    table = make_table(8, missing=False)
    model = build(table, ("image", "text"), memory=6)
    first = {"image": np.eye(8)[:4], "text": np.eye(8)[[0, 2, 1, 4]]}
    second = {"image": np.eye(8)[4:], "text": np.eye(8)[[1, 3, 6, 5]]}
    nothing = np.full((4, 3), -1)
    ids = nothing.copy()
    # The first row of the second batch shows what the last of the first did.
    ids[3], ids[0] = [5, -1, -1], [-1, -1, -1]
    later = nothing.copy()
    later[0] = [5, -1, -1]

    def loss(batch, labels, training):
        vectors = {k: ops.convert_to_tensor(v, "float32") for k, v in batch.items()}
        return float(model.compute_loss(None, labels, vectors, training=training))

    def by_hand(batch, past, labels, past_labels):
        both = {k: np.concatenate([batch[k], past[k]]) for k in batch}
        everything = np.concatenate([labels, past_labels])
        losses = []
        for query, item in (("image", "text"), ("text", "image")):
            for i in range(4):
                values = both[item] @ batch[query][i] / 0.07
                same = [
                    i == j or (everything[j] == 5).any() and labels[i][0] == 5
                    for j in range(len(values))
                ]
                total = np.log(np.exp(values).sum())
                losses.append(np.mean(total - values[np.array(same)]))
        return np.mean(losses)

    empty = {k: np.zeros((0, 8)) for k in first}
    none = np.full((0, 3), -1)
    expected = by_hand(first, empty, ids, none)
    assert loss(first, ids, True) == pytest.approx(expected, rel=1e-4)
    expected = by_hand(second, first, later, ids)
    assert loss(second, later, True) == pytest.approx(expected, rel=1e-4)
    # In validation the batch stands alone.
    expected = by_hand(second, empty, later, none)
    assert loss(second, later, False) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.usefixtures("eagerly")
def test_every_weight_is_trained(loss):
    table = make_table(12)
    towers = {"item": ["image", "price"], "query": ["text"]}
    model = build(table, loss=loss, towers=towers, modality_dropout=0.0)
    model.optimizer.learning_rate = 0.01
    before = {id(w): ops.convert_to_numpy(w) for w in model.trainable_weights}
    model.fit(table, epochs=2, verbose=0)
    learned = {"contrastive": 1, "sigmoid": 2, "triplet": 0}[loss]
    assert len(model.similarity.trainable_weights) == learned
    for weight in model.trainable_weights:
        new = ops.convert_to_numpy(weight)
        assert np.isfinite(new).all(), weight.path
        assert np.abs(new - before[id(weight)]).max() > 0, weight.path


def test_dropout_is_for_training_alone():
    table = make_table(12)
    plain, dropped = build(table), build(table, dropout=0.5)
    dropped.set_weights(plain.get_weights())
    for name, vectors in plain.predict(table, verbose=0).items():
        np.testing.assert_allclose(dropped.embed(table, name), vectors, atol=1e-6)
    tensors = tensors_of(table, dropped.schema)
    tensors = [ops.convert_to_tensor(tensors[name]) for name in dropped.towers]
    one, other = (dropped(tensors, training=True) for _ in range(2))
    for name in dropped.towers:
        lengths = np.linalg.norm(ops.convert_to_numpy(one[name]), axis=1)
        assert set(lengths.round(4)) <= {0.0, 1.0}
        assert np.abs(ops.convert_to_numpy(one[name] - other[name])).max() > 0.1


def test_it_learns_what_belongs_together():
    """Colours and their names, with prices that say the same."""
    table = make_table(48)
    table["kind"] = table["category"]
    model = build(table, ("image", "text"), group="kind", memory=32)
    model.optimizer.learning_rate = 0.01
    model.fit(table, epochs=12, verbose=0)
    test = make_table(30, seed=1)
    test["kind"] = test["category"]
    scores = keras_mm.evaluation.score_retrieval(model, test)
    assert scores["recall_at_1"].min() > 0.9
    # Classes by their names, by examples, and by both.
    names = {"apple": "red tomato", "basil": ["green leaf"], "cloud": "blue sky"}
    shown = test[test["image"].notna()]
    truth = shown["category"].to_numpy()
    few = table[table["image"].notna()].head(6)
    for mixture, examples in ((0.0, None), (0.5, few), (1.0, few)):
        found = model.classify(
            shown,
            names,
            mixture=mixture,
            examples=examples,
            label=None if examples is None else "category",
        )
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
        assert np.mean(np.array(list(names))[found.argmax(1)] == truth) > 0.9


@pytest.mark.backends
def test_absent_rows_and_content():
    """A row's vector is 0 where it has nothing, and hangs on nothing else."""
    table = make_table(12)
    model = build(table, towers={"item": ["image", "price"], "query": ["text"]})
    vectors = model.predict(table, verbose=0)
    lengths = {k: np.linalg.norm(v, axis=1) for k, v in vectors.items()}
    assert lengths["item"].round(5).tolist() == [0.0] + [1] * 1 + [0.0] + [1] * 9
    assert lengths["query"].round(5).tolist() == [1, 0.0, 0.0] + [1] * 9
    mixed = table.sample(frac=1, random_state=0)[["text", "price", "image"]]
    again = model.predict(mixed.assign(more=1), verbose=0)
    for name, values in again.items():
        np.testing.assert_allclose(values, vectors[name][mixed.index], atol=1e-5)
        alone = model.embed(table[model.towers[name]], name)
        np.testing.assert_allclose(alone, vectors[name], atol=1e-5)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.backends
def test_file_keeps_everything(tmp_path):
    table = make_table(12)
    table["set"] = ["a", "b", "c"] * 4
    model = build(
        table,
        towers={"item": ["image", "price"], "query": ["text"]},
        anchor="query",
        group="set",
        memory=5,
        loss=keras_mm.heads.SemiHardTriplet(margin=0.4),
    )
    model.fit(table, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    assert (again.towers, again.anchor, again.group) == (
        {"item": ["image", "price"], "query": ["text"]},
        "query",
        "set",
    )
    assert again.objective.pair_loss.margin == 0.4
    for one, other in zip(model.weights, again.weights):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other)
        )
    expected, got = model.predict(table), again.predict(table)
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6)
    np.testing.assert_allclose(
        again.evaluate(table, verbose=0), model.evaluate(table, verbose=0), rtol=1e-5
    )
    history = again.fit(table, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    # As files of before had it: what an objective says now, in the model.
    config = model.get_config()
    own = config.pop("objective")["config"]
    del config["wiring"]
    own["retrieval_loss"] = own.pop("loss")
    old = type(model).from_config({**config, **own})
    assert (old.towers, old.anchor, old.group) == (again.towers, "query", "set")
    assert old.objective.pair_loss.margin == 0.4
    assert set(old.parts()) == {"embed_item", "embed_query"}


@pytest.mark.usefixtures("eagerly")
def test_arrays_and_datasets():
    """Tensors, by name or listed, and batches of them are the table's rows."""
    table = make_table(12)
    model = build(table, ("image", "text"))
    tensors = tensors_of(table, model.schema)
    expected = model.evaluate(table, verbose=0)
    rows = keras_mm.data.to_dataset(table, model.schema)
    for given in (tensors, [tensors["image"], tensors["text"]], rows):
        assert model.evaluate(given, verbose=0) == pytest.approx(expected, rel=1e-5)
    history = model.fit(tensors, validation_data=tensors, epochs=1, verbose=0).history
    expected = model.evaluate(table, verbose=0)
    assert history["val_loss"][0] == pytest.approx(expected, rel=1e-5)
    model.fit(tensors, np.arange(12) // 2, epochs=1, verbose=0)
    model.fit([tensors["image"], tensors["text"]], epochs=1, verbose=0)
    model.fit(keras_mm.data.to_dataset(table, model.schema), epochs=1, verbose=0)
    values = model.predict(tensors, verbose=0)["text"]
    np.testing.assert_allclose(values, model.embed(table, "text"), atol=1e-5)


def test_classes_are_points():
    """By hand: means of unit vectors, softmax of scaled cosines."""
    table = make_table(12)
    model = build(table, ("image", "text"))
    templates = ["a {} thing", "the {}"]
    classes = {"hot": ["red", "tomato"], "cold": "sky"}
    texts = [
        [t.replace("{}", w) for w in words for t in templates]
        for words in (["red", "tomato"], ["sky"])
    ]
    points = [
        model.embed(pd.DataFrame({"text": words}), "text").mean(0) for words in texts
    ]
    points = np.stack([p / np.linalg.norm(p) for p in points])
    vectors = model.embed(table, "image")
    examples = table.loc[[3, 4, 5, 6]].assign(y=["hot"] * 4)
    mean = vectors[3:7].mean(0)
    both = 0.3 * mean / np.linalg.norm(mean) + 0.7 * points[0]
    mixed = np.stack([both / np.linalg.norm(both), points[1]])
    for expected, kwargs in (
        (points, {}),
        (mixed, {"examples": examples, "label": "y", "mixture": 0.3}),
    ):
        logits = vectors @ expected.T / 0.07
        expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        got = model.classify(table, classes, template=templates, **kwargs)
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)
        assert got[0].tolist() == [0.5, 0.5], "no picture, no answer"


@pytest.mark.usefixtures("eagerly")
def test_errors():
    table = make_table(12)

    def refused(match, **kwargs):
        with pytest.raises(ValueError, match=match):
            build(table, **kwargs)

    refused("must be one of", loss="cosine")
    refused("two towers or more", columns=["text"])
    refused("one of the towers", anchor="sound")
    refused("must be in one tower", towers={"a": ["image"], "b": ["text"]})
    refused("no column 'sound'", towers={"a": ["image", "sound"], "b": ["text"]})
    refused(
        "share an encoder",
        columns=["text", "price", "weight"],
        towers={"a": ["text", "price"], "b": ["weight"]},
    )
    refused(
        "fused late", towers={"a": ["image", "price"], "b": ["text"]}, fusion="hybrid"
    )
    refused("a column beside", group="text")
    refused("plain cosines", loss="triplet", temperature=0.1)
    refused("has unknown modalities", encoders={"sound": "cnn"})
    model = build(table, group="set")
    with pytest.raises(ValueError, match="no column 'set'"):
        model.fit(table, verbose=0)
    with pytest.raises(ValueError, match="have no target"):
        model.fit(table, np.arange(12), verbose=0)
    with pytest.raises(ValueError, match="no classes"):
        model.fit(table.assign(set=1), class_weight="balanced", verbose=0)
    with pytest.raises(ValueError, match="towers are"):
        model.embed(table, "sound")
    with pytest.raises(ValueError, match="tower that embeds"):
        model.classify(table, ["red"])
    with pytest.raises(ValueError, match="where the name"):
        model.classify(table, ["red"], template="a picture", tower="image")
    with pytest.raises(ValueError, match="not in `classes`"):
        model.classify(table, ["red"], tower="image", examples=table, label="category")
    with pytest.raises(ValueError, match="go together"):
        model.classify(table, ["red"], tower="image", examples=table)
    with pytest.raises(ValueError, match="must be unique"):
        model.classify(table, ["red", "red"], tower="image")
    rows = table[["image", "text", "price"]].dropna()
    rows = tf.data.Dataset.from_tensor_slices({n: rows[n].tolist() for n in rows})
    with pytest.raises(ValueError, match="groups of a dataset that is streamed"):
        model.fit(rows, verbose=0)
    for refuses in (
        lambda: keras_mm.evaluation.score(model, table),
        lambda: keras_mm.evaluation.to_frame({}, model.schema),
        lambda: model.fit(
            table.assign(set=1),
            verbose=0,
            callbacks=[keras_mm.evaluation.ModalityCurves(table)],
        ),
    ):
        with pytest.raises(ValueError, match="This needs a target"):
            refuses()
    with pytest.raises(ValueError, match="There are no classes"):
        model.classify(table, [], tower="image")
