"""Scores of rankings, against scikit-learn and against counting by hand."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import label_ranking_average_precision_score

import keras_mm
from keras_mm.evaluation import retrieval_scores

from ..helpers import make_table, small_encoders


def by_hand(similarity, relevant, at):
    """Sorts each query's items; among equal ones the wrong come first."""
    ranks, precisions = [], []
    for values, right in zip(similarity, relevant):
        if not right.any():
            continue
        order = sorted(range(len(values)), key=lambda j: (-values[j], right[j]))
        places = [n for n, j in enumerate(order, 1) if right[j]]
        ranks.append(places[0])
        precisions.append(np.mean([n / p for n, p in enumerate(places, 1)]))
    return {
        **{f"recall_at_{k}": np.mean([rank <= k for rank in ranks]) for k in at},
        "median_rank": np.median(ranks),
        "mean_reciprocal_rank": np.mean([1 / rank for rank in ranks]),
        "mean_average_precision": np.mean(precisions),
        "queries": len(ranks),
        "items": similarity.shape[1],
    }


@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 9)),
    levels=st.integers(1, 4),
    chunk_size=st.integers(1, 5),
)
def test_many_ties_and_several_right_ones(seed, shape, levels, chunk_size):
    random = np.random.default_rng(seed)
    queries = random.integers(0, levels, (shape[0], 2)).astype("float32")
    items = random.integers(0, levels, (shape[1], 2)).astype("float32")
    relevant = random.random(shape) < 0.4
    relevant[0, 0] = True
    expected = by_hand(queries @ items.T, relevant, [1, 3])
    for given_as in (relevant, sparse.csr_array(relevant)):
        got = retrieval_scores(queries, items, given_as, [1, 3], chunk_size)
        assert got == pytest.approx(expected)


def test_average_precision_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    queries, items = random.normal(size=(50, 8)), random.normal(size=(40, 8))
    relevant = random.random((50, 40)) < 0.1
    asked = relevant.any(axis=1)
    expected = label_ranking_average_precision_score(
        relevant[asked], (queries @ items.T)[asked]
    )
    got = retrieval_scores(queries, items, relevant)["mean_average_precision"]
    assert got == pytest.approx(expected)


def test_the_same_for_everything_finds_nothing():
    ones = np.ones((20, 3))
    scores = retrieval_scores(ones, ones)
    assert scores["recall_at_10"] == 0 and scores["median_rank"] == 20


def test_memory_does_not_grow_with_the_product():
    """6,000 queries and items would take 144 MB at once."""
    vectors = np.random.default_rng(0).normal(size=(6000, 16)).astype("float32")
    tracemalloc.start()
    scores = retrieval_scores(vectors, vectors, chunk_size=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scores["recall_at_10"] > 0.3
    assert peak < 20e6


def retriever_of(table, **kwargs):
    schema = keras_mm.Schema(
        {
            "image": keras_mm.Image((12, 12), augmentation=None),
            "text": keras_mm.Text(sequence_length=6),
        }
    ).adapt(table)
    encoders = {name: small_encoders()[name] for name in schema.inputs}
    return keras_mm.build_retriever(
        schema, encoders=encoders, units=8, seed=0, **kwargs
    )


def test_of_a_model_is_counted_by_hand():
    """Equal cells are one item; rows of a group, or with one of both, are right."""
    table = make_table(12)
    table.loc[5, "text"] = table.loc[4, "text"]
    table.at[7, "image"] = table.loc[6, "image"]
    table["pair"] = [f"pair {row // 2}" for row in range(12)]
    table.loc[10, "pair"] = None
    for group in (None, "pair"):
        model = retriever_of(table, group=group)
        scores = keras_mm.evaluation.score_retrieval(model, table, at=[1, 2])
        assert list(scores.index) == ["image to text", "text to image"]
        pictures = table["image"].dropna().drop_duplicates().tolist()
        texts = table["text"].dropna().drop_duplicates().tolist()
        relevant = np.zeros((len(pictures), len(texts)), bool)
        for one in table.to_dict("records"):
            for other in table.to_dict("records"):
                if not (
                    isinstance(one["image"], bytes) and isinstance(other["text"], str)
                ):
                    continue
                mine = one["image"] == other["image"] and isinstance(
                    other["image"], bytes
                )
                theirs = one["text"] == other["text"]
                grouped = group and isinstance(one["pair"], str)
                grouped = grouped and one["pair"] == other["pair"]
                if mine or theirs or grouped:
                    place = pictures.index(one["image"]), texts.index(other["text"])
                    relevant[place] = True
        pixels = pd.DataFrame({"image": pd.Series(pictures, dtype=object)})
        vectors = model.embed(pixels, "image")
        words = model.embed(pd.DataFrame({"text": texts}), "text")
        for direction, query, item, right in (
            ("image to text", vectors, words, relevant),
            ("text to image", words, vectors, relevant.T),
        ):
            expected = by_hand(query @ item.T, right, [1, 2])
            got = scores.loc[direction].drop("random").to_dict()
            assert got == pytest.approx(expected)
            counts = right.sum(1)[right.any(1)]
            chance = np.mean(counts / right.shape[1])
            assert scores.loc[direction, "random"] == pytest.approx(chance)


def test_curves_are_in_the_logs():
    table = make_table(12)
    model = retriever_of(table)
    curves = keras_mm.evaluation.RetrievalCurves(table, at=[1, 5])
    history = model.fit(table, epochs=2, verbose=0, callbacks=[curves]).history
    last = keras_mm.evaluation.score_retrieval(model, table, at=[1, 5])
    pd.testing.assert_frame_equal(curves.tables[-1], last)
    assert history["val_image_to_text_recall_at_5"][-1] == pytest.approx(
        last.loc["image to text", "recall_at_5"]
    )
    assert history["val_recall_at_1"][-1] == pytest.approx(last["recall_at_1"].mean())


def test_what_cannot_be_read_is_no_item():
    table = make_table(12, missing=False)
    model = retriever_of(table)
    expected = keras_mm.evaluation.score_retrieval(model, table.drop(index=[3, 5]))
    table["image"] = table["image"].astype(object)
    table.at[3, "image"], table.at[5, "image"] = b"no picture", None
    found = keras_mm.evaluation.score_retrieval(model, table, on_unreadable="missing")
    row = "image to text"
    assert found.loc[row, "queries"] == expected.loc[row, "queries"] == 10
    assert found.loc["text to image", "items"] == 10


def test_errors():
    ones = np.ones((3, 2))
    with pytest.raises(ValueError, match="equally many columns"):
        retrieval_scores(ones, np.ones((3, 4)))
    with pytest.raises(ValueError, match="one row per query"):
        retrieval_scores(ones, ones, np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="finite"):
        retrieval_scores(ones, ones * np.nan)
    with pytest.raises(ValueError, match="positive ints"):
        retrieval_scores(ones, ones, at=[])
    table = make_table(6)
    model = retriever_of(table)
    with pytest.raises(ValueError, match="values for the tower 'text'"):
        keras_mm.evaluation.score_retrieval(model, table.assign(text=None))
    with pytest.raises(ValueError, match="must be a retriever"):
        keras_mm.evaluation.score_retrieval(model.tower("text"), table)
    apart = pd.concat([table.assign(text=None), table.assign(image=None)])
    with pytest.raises(ValueError, match="no item is relevant"):
        keras_mm.evaluation.score_retrieval(model, apart.reset_index(drop=True))
    with pytest.raises(ValueError, match="No query"):
        retrieval_scores(ones, ones, np.zeros((3, 3), bool))
