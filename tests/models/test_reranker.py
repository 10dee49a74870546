"""Rerankers: hard negatives, pairs, what is taken over, and the new order."""

import keras
import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm.models import hard_negatives
from keras_mm.models.scored_fusion import ScoredFusion

from ..helpers import make_table, small_encoders, tensors_of
from .test_retriever import build

ENCODERS = {name: small_encoders()[name] for name in ("image", "text")}


@pytest.fixture
def retriever(table):
    return build(table)


def vectors_table(rows=40, seed=0):
    """A row's query has its item's three signs, the other way round."""
    cells = np.random.default_rng(seed).choice([-1.0, 1.0], size=(rows, 3))
    table = pd.DataFrame({"query": list(cells), "item": list(cells[:, ::-1])})
    table["id"] = [f"row {row}" for row in range(rows)]
    return table


def vectors_retriever(table, **kwargs):
    schema = {"query": keras_mm.Vector(3), "item": keras_mm.Vector(3)}
    encoders = {name: keras_mm.encoders.Dense(8, dropout=0.0) for name in schema}
    schema = keras_mm.Schema(schema).adapt(table)
    kwargs.setdefault("units", 4)
    model = keras_mm.build_retriever(schema, encoders=encoders, seed=0, **kwargs)
    return model, encoders


def test_words_for_missing_cells_are_those_of_the_towers():
    table = vectors_table(6)
    retriever, encoders = vectors_retriever(table)
    retriever.schema.missing = ["1", "no"]
    model = keras_mm.build_reranker(retriever, "query", "item", encoders, seed=0)
    schema = keras_mm.Schema.from_config(model.schema.get_config())
    pairs = pd.DataFrame({"query": ["no", "1"], "score": [1.0, 0.5]})
    pairs["match"] = ["no", "yes"]
    known = schema.replace_missing_cells(pairs)
    assert known["query"].tolist() == [None, None]
    assert known["score"].tolist() == [1.0, 0.5]
    assert schema.replace_missing(pairs["match"], "match").tolist() == ["no", "yes"]
    assert schema.preprocess({"score": [1.0]} | {n: [[1.0] * 3] for n in encoders})[
        "score"
    ].numpy().tolist() == [[1.0]]


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.backends
def test_hard_negatives_by_hand(seed):
    """Every pair of rows is looked at; missing, equal cells, and groups."""
    random = np.random.default_rng(seed)
    table = vectors_table(12, seed)
    for name in ("query", "item"):
        table[name] = list(random.normal(size=(12, 3)))
    for name in ("query", "item"):
        for one, other in random.integers(0, 12, (3, 2)):
            table.at[one, name] = table[name][other]
        table.at[random.integers(12), name] = None
    table["group"] = random.choice(["a", "b", "c", "d", None], 12)
    model, _ = vectors_retriever(table, group="group")
    found = hard_negatives(model, table, "query", "item", k=12)
    query, item = (model.embed(table, name) for name in ("query", "item"))
    ids = model.row_ids(table)
    share = (ids[:, None] == ids[None]) & (ids[:, None] >= 0)
    belongs = share.any(axis=2) | np.eye(12, dtype=bool)
    for row in range(12):
        expected = []
        for other in np.argsort(-(query[row] @ item.T), kind="stable"):
            holders = np.flatnonzero(ids[:, 1] == ids[other, 1])
            if not query[row].any() or not item[other].any():
                continue
            if other != holders[0] or belongs[row, holders].any():
                continue
            expected.append(other)
        assert found[row].tolist() == expected + [-1] * (12 - len(expected))


@pytest.mark.usefixtures("eagerly")
def test_pairs_match_or_do_not(table, retriever):
    table.loc[5, "text"] = table.loc[4, "text"]
    table.at[8, "image"] = table.loc[7, "image"]
    table.loc[10, "text"] = ""
    reranker = keras_mm.build_reranker(retriever, "text", "image", ENCODERS)
    pairs = reranker.pairs(retriever, table, negatives=2)
    whole = table.replace({"text": {"": None}})[["text", "image"]].dropna()
    assert list(pairs.columns) == ["text", "image", "score", "match"]
    assert len(whole) == 20 and len(pairs) == 5 * 20
    wanted = pairs[pairs["match"] == "yes"][["text", "image"]]
    assert wanted.values.tolist() == whole.values.tolist()
    right = {
        (text, image)
        for text in whole["text"]
        for image in whole["image"]
        if any((whole["text"] == text) & (whole["image"] == image))
    }
    wrong = pairs[pairs["match"] == "no"]
    assert not right & set(zip(wrong["text"], wrong["image"]))
    # Each query has its wrong items, and each item its wrong queries.
    assert (wrong["text"].iloc[:40].value_counts() >= 2).all()
    assert set(whole["image"]) <= set(wrong["image"].iloc[40:])
    again = reranker.pairs(retriever, table, negatives=2)
    pd.testing.assert_frame_equal(pairs, again)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("among", [2, 30])
def test_scores_of_pairs_by_hand(among):
    """The retriever's cosine, but where a search would not find the right one."""
    table = vectors_table(20)
    random = np.random.default_rng(1)
    for name in ("query", "item"):
        table[name] = list(random.normal(size=(20, 3)))
    retriever, encoders = vectors_retriever(table)
    reranker = keras_mm.build_reranker(
        retriever, "query", "item", encoders, fusion="concat", seed=0
    )
    pairs = reranker.pairs(retriever, table, negatives=2, among=among)
    cosines = retriever.embed(table, "query") @ retriever.embed(table, "item").T
    row_of = {
        name: {tuple(cell): row for row, cell in enumerate(table[name])}
        for name in ("query", "item")
    }
    ones, others = (
        [row_of[name][tuple(cell)] for cell in pairs[name]] for name in row_of
    )
    by_query = (cosines > cosines.diagonal()[:, None]).sum(axis=1)
    by_item = (cosines > cosines.diagonal()).sum(axis=0)
    assert len(pairs) == 5 * 20
    for place, (one, other) in enumerate(zip(ones, others)):
        assert (pairs["match"][place] == "yes") == (one == other) == (place < 20)
        nearer = by_query[one] if place < 60 else by_item[other]
        expected = cosines[one, other] if nearer < among else np.nan
        np.testing.assert_allclose(pairs["score"][place], expected, atol=1e-6)
    assert pairs["score"].isna().any() == (among == 2)


def with_random_head(reranker):
    """As trained as it needs to be for tokens to change the answer."""
    head = reranker.get_layer("match")
    random = np.random.default_rng(0)
    head.set_weights([random.normal(size=w.shape) for w in head.get_weights()])


@pytest.mark.usefixtures("eagerly")
def test_an_untrained_one_keeps_the_order(table, retriever):
    """Its logit is twice the score; what has none is in between."""
    reranker = keras_mm.build_reranker(
        retriever, "text", "image", ENCODERS, dropout=0.9, seed=0
    )
    scores = np.array([-1.0, 0.2, 0.3, 0.4, 1.0, np.nan])
    rows = table[["text", "image"]].iloc[3:9].assign(score=scores, match="no")

    def logits():
        no, yes = reranker.predict(rows, verbose=0).T
        return np.log(yes / no)

    np.testing.assert_allclose(logits(), np.nan_to_num(2 * scores), atol=1e-5)
    # The first pairs say in what unit scores are read, and later ones do not.
    weights = reranker.get_weights()
    for pairs in (rows, rows.assign(score=5.0), rows.assign(score=None)):
        reranker.fit(pairs, epochs=1, verbose=0)
        reranker.set_weights(weights)
        known = scores[:5]
        expected = 2 * (scores - known.mean()) / known.std()
        np.testing.assert_allclose(logits(), np.nan_to_num(expected), atol=1e-5)


@pytest.mark.backends
def test_dropout_leaves_the_score():
    tokens = [np.ones((50, 1, 4), "float32"), np.ones((50, 1, 1), "float32")]
    masks = [np.ones((50, 1), bool), np.arange(50)[:, None] > 9]
    layer = ScoredFusion(keras_mm.fusion.Mean(units=8), dropout=0.9)
    plain = keras.ops.convert_to_numpy(layer(tokens, masks))
    dropped = keras.ops.convert_to_numpy(layer(tokens, masks, training=True))
    assert 0.8 < (dropped[:, :8] == 0).mean() < 1 and np.all(plain[:, :8] != 0)
    for found in (plain, dropped):
        np.testing.assert_array_equal(found[:, 8], masks[1][:, 0])


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    "hidden_units", [None, pytest.param(5, marks=pytest.mark.backends)]
)
def test_every_weight_is_trained(table, retriever, hidden_units):
    reranker = keras_mm.build_reranker(
        retriever, "text", "image", ENCODERS, "transformer", hidden_units, seed=0
    )
    pairs = reranker.pairs(retriever, table)
    # At the start only the last layer is: the others' way to the answer is 0.
    reranker.fit(pairs, epochs=1, verbose=0)
    before = [keras.ops.convert_to_numpy(w) for w in reranker.trainable_weights]
    reranker.fit(pairs, epochs=1, verbose=0)
    for weight, old in zip(reranker.trainable_weights, before):
        assert not np.array_equal(keras.ops.convert_to_numpy(weight), old), weight.path


@pytest.mark.usefixtures("eagerly")
def test_learned_weights_are_taken_over_and_left_alone(table, retriever):
    before = retriever.get_weights()
    reranker = keras_mm.build_reranker(retriever, "text", "image", ENCODERS, seed=1)
    for name in ("text-encoder", "image-encoder"):
        own, learned = reranker.get_layer(name), retriever.get_layer(name)
        assert own is not learned
        assert len(own.weights) and len(own.weights) == len(learned.weights)
        for one, other in zip(own.get_weights(), learned.get_weights()):
            np.testing.assert_array_equal(one, other)
    reranker.fit(reranker.pairs(retriever, table), epochs=1, verbose=0)
    for one, other in zip(before, retriever.get_weights()):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(
        reranker.get_layer("image-encoder").get_weights()[0],
        retriever.get_layer("image-encoder").get_weights()[0],
    )


@pytest.mark.usefixtures("eagerly")
def test_layers_of_three_towers():
    """A layer is copied; encoders of what is not looked at are left aside."""
    table = vectors_table(12)
    table["other"] = table["item"]
    schema = keras_mm.Schema(
        {n: keras_mm.Vector(3) for n in ("query", "item", "other")}
    )
    encoders = {name: keras.layers.Dense(5) for name in schema.inputs}
    retriever = keras_mm.build_retriever(
        schema.adapt(table), encoders=encoders, units=4, seed=0
    )
    before = retriever.embed(table, "query")
    reranker = keras_mm.build_reranker(
        retriever, "query", "item", encoders, fusion="concat", seed=0
    )
    pairs = reranker.pairs(retriever, table[["query", "item"]])
    reranker.fit(pairs, epochs=1, verbose=0)
    np.testing.assert_array_equal(retriever.embed(table, "query"), before)
    shared = {name: lambda x, layer=layer: layer(x) for name, layer in encoders.items()}
    with pytest.raises(ValueError, match="shares layers with the retriever"):
        keras_mm.build_reranker(retriever, "query", "item", shared)
    # Some of its encoders may have run elsewhere since.
    rows = table.assign(match="yes", score=0.5)
    expected = reranker.predict(rows, verbose=0)[:, 1]
    # What has no weights is not what is frozen.
    with pytest.raises(ValueError, match="No encoder of the model is frozen"):
        keras_mm.training.fit_cached(reranker, rows, epochs=0, verbose=0)
    reranker.get_layer("item-encoder").trainable = False
    reranker.compile("sgd", reranker.loss)
    keras_mm.training.fit_cached(reranker, rows, epochs=0, verbose=0)
    found = pd.DataFrame({"query": range(12), "id": table["id"], "score": 0.5})
    best = reranker.rerank(found, table, table)
    np.testing.assert_allclose(best["match"], expected, atol=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_trunk_is_taken_over_where_the_end_differs():
    """Single places need another last layer than the flattened picture."""
    table = make_table(8, missing=False)
    encoders = {
        "image": keras_mm.encoders.ResidualCNN(filters=(4, 6), units=5),
        "text": ENCODERS["text"],
    }
    retriever = build(table, ("image", "text"), encoders)
    reranker = keras_mm.build_reranker(retriever, "text", "image", encoders)
    own = reranker.get_layer("image-encoder").weights
    learned = retriever.get_layer("image-encoder").weights
    shapes = [one.shape == other.shape for one, other in zip(own, learned)]
    same = shapes.index(False)
    assert same > 5
    for one, other in zip(own[:same], learned[:same]):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("fusion", ["co_attention", "transformer", "gated"])
def test_rerank_gives_what_predict_gives(table, retriever, fusion, tmp_path):
    table["id"] = [f"row {row}" for row in range(len(table))]
    reranker = keras_mm.build_reranker(
        retriever, "text", "image", ENCODERS, fusion=fusion, seed=0
    )
    with_random_head(reranker)
    items = table[table["image"].notna()].sample(frac=1, random_state=0)
    random = np.random.default_rng(0)
    queries = table[table["text"].notna()].reset_index(drop=True)
    found = pd.DataFrame(
        [
            {"query": query, "rank": rank, "id": name, "score": random.uniform(-1, 1)}
            for query in (3, 0, 7)
            for rank, name in enumerate(random.permutation(items["id"])[:6], 1)
        ]
    )
    best = reranker.rerank(found, queries, items, batch_size=4)
    assert list(best.columns) == ["query", "rank", "id", "score", "match"]
    assert best["query"].tolist() == sorted(found["query"])
    assert best["rank"].tolist() == [1, 2, 3, 4, 5, 6] * 3
    assert set(zip(best["query"], best["id"], best["score"])) == set(
        zip(found["query"], found["id"], found["score"])
    )
    pictures = items.set_index("id")["image"]
    joined = pd.DataFrame(
        {
            "text": queries["text"].to_numpy()[best["query"]],
            "image": pictures[best["id"]].to_numpy(),
            "score": best["score"],
        }
    )
    expected = reranker.predict(joined, verbose=0)[:, 1]
    np.testing.assert_allclose(best["match"], expected, atol=1e-5)
    ranked = best["match"].groupby(best["query"])
    assert all(part.is_monotonic_decreasing for _, part in ranked)

    reranker.save(tmp_path / "reranker.keras")
    again = keras.models.load_model(tmp_path / "reranker.keras")
    two = again.rerank(best, queries, items, k=2)
    np.testing.assert_allclose(
        two["match"], best[best["rank"] <= 2]["match"], atol=1e-6
    )
    assert two["id"].tolist() == best[best["rank"] <= 2]["id"].tolist()


def test_finds_what_the_towers_do_not():
    """Towers that were never trained find little; the reranker learns it."""
    table = vectors_table(48)
    retriever, encoders = vectors_retriever(table)
    reranker = keras_mm.build_reranker(
        retriever, "query", "item", encoders, fusion="concat", seed=0
    )
    pairs = reranker.pairs(retriever, table, among=7)
    reranker.fit(pairs, epochs=60, verbose=0)
    index = keras_mm.SearchIndex(retriever, "item")
    index.add(table, id="id")
    found = index.search(table[["query"]], k=48)
    best = reranker.rerank(found, table, table)

    def right(ranked):
        signs = np.stack(table["query"])
        places = ranked["id"].str.removeprefix("row ").astype(int)
        first = ranked["rank"] == 1
        same = signs[ranked["query"][first]] == signs[places[first]]
        return same.all(axis=1).mean()

    assert right(found) < 0.4 and right(best) > 0.9


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are written by TensorFlow"
)
def test_export_answers_as_the_model(table, retriever, tmp_path):
    reranker = keras_mm.build_reranker(retriever, "text", "image", ENCODERS, seed=0)
    with_random_head(reranker)
    pairs = reranker.pairs(retriever, table)
    path = keras_mm.export(reranker, tmp_path / "reranker", rows=pairs, verbose=False)
    answers = keras_mm.load_exported(path)(pairs)
    expected = reranker.predict(pairs, verbose=0)
    got = np.stack(answers["match_probabilities"])
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_the_scale_of_scores_stays_once_it_has_learned(table, retriever):
    def scale(first):
        reranker = keras_mm.build_reranker(retriever, "text", "image", ENCODERS)
        reranker.train_on_batch(first(reranker.schema), np.arange(6) % 2)
        before = reranker.schema.inputs["score"].get_config()
        reranker.fit(pairs.assign(score=pairs["score"] * 100), epochs=1, verbose=0)
        assert reranker.schema.inputs["score"].get_config() == before
        return before["mean"], before["std"]

    reranker = keras_mm.build_reranker(retriever, "text", "image", ENCODERS)
    pairs = reranker.pairs(retriever, table, negatives=1)
    few = pairs[pairs["score"].notna()].head(6).drop(columns="match")
    mean, std = few["score"].mean(), few["score"].std(ddof=0)
    np.testing.assert_allclose(scale(lambda schema: few), (mean, std), rtol=1e-4)
    # Tensors are what they are.
    assert scale(lambda schema: tensors_of(few, schema)) == (0.0, 1.0)


@pytest.mark.usefixtures("eagerly")
def test_errors(table, retriever):
    def refused(words, call, *args, **kwargs):
        with pytest.raises(ValueError, match=words):
            call(*args, **kwargs)

    build_reranker = keras_mm.build_reranker
    refused("two of the towers", build_reranker, retriever, "text", "text")
    refused("two of the towers", build_reranker, retriever, "text", "sound")
    refused(
        "query and item interact",
        build_reranker,
        retriever,
        "text",
        "image",
        fusion="hybrid",
    )
    other = {**ENCODERS, "text": keras_mm.encoders.NGrams(units=7)}
    refused(
        "differs from the retriever", build_reranker, retriever, "text", "image", other
    )
    reranker = build_reranker(retriever, "text", "image", ENCODERS)
    grouped = build(table, ("image", "text"), group="set")
    refused("no column 'set'", hard_negatives, grouped, table, "text", "image")
    refused("must be positive", reranker.pairs, retriever, table, negatives=0)
    nothing = table.iloc[:3]
    refused("both a query and an item", reranker.pairs, retriever, nothing)
    refused("positive", hard_negatives, retriever, table, "text", "image", k=0)
    refused(
        "must be different towers", hard_negatives, retriever, table, "text", "text"
    )
    items = table.assign(id=range(len(table)))
    found = pd.DataFrame({"query": [0], "rank": [1], "id": ["99"], "score": [0.5]})
    refused("1\n?.*are in none", reranker.rerank, found, table, items)
    found["id"] = "3"
    twice = items.assign(id=3)
    refused("in several", reranker.rerank, found, table, twice)
    refused("no column 'score'", reranker.rerank, found[["query", "id"]], table, items)
    found["query"] = 24
    refused("passed to the search", reranker.rerank, found, table, items)
    schema = {"text": keras_mm.Text(), "score": keras_mm.Number()}
    named = table.rename(columns={"price": "score"})
    named = keras_mm.build_retriever(keras_mm.Schema(schema).adapt(named))
    refused("are reserved in pairs. Rename", build_reranker, named, "text", "score")
