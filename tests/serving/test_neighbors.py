"""Approximate search: near to exact, and never a row that is not allowed."""

import sys

import faiss
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_mm
from keras_mm.serving import neighbors
from keras_mm.serving.neighbors import Neighbors, exact

from ..helpers import make_table


def vectors_of(rows, seed=0, units=16, centres=40):
    """Rows that lie around centres."""
    random = np.random.default_rng(seed)
    middles = np.random.default_rng(0).normal(size=(centres, units))
    vectors = middles[random.integers(centres, size=rows)]
    vectors = vectors + 0.5 * random.normal(size=(rows, units))
    return keras_mm.models.unit.unit(vectors)


@pytest.fixture(autouse=True)
def one_thread():
    """On busy cores threads wait for each other."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


@pytest.fixture
def lists_for_few(monkeypatch):
    """Lists are made of few rows already."""
    monkeypatch.setattr(neighbors, "_FEW", 20)
    monkeypatch.setattr(neighbors, "_FEW_OF", 1)


def test_exact():
    vectors, queries = vectors_of(50), vectors_of(7, seed=1)
    allowed = np.arange(3, 50, 2)
    scores = queries @ vectors[allowed].T
    expected = allowed[np.argsort(-scores, axis=1, kind="stable")]
    for k in (1, 5, len(allowed), 100):
        rows, found = exact(vectors, queries, k, allowed)
        np.testing.assert_array_equal(rows, expected[:, :k])
        np.testing.assert_allclose(found, -np.sort(-scores)[:, :k], rtol=1e-5)
    rows, _ = exact(np.ones((6, 2), "float32"), np.ones((1, 2), "float32"), 6)
    assert rows.tolist() == [[0, 1, 2, 3, 4, 5]], "of equal ones the first"


def test_exact_in_chunks(monkeypatch):
    vectors, queries = vectors_of(50), vectors_of(7, seed=1)
    expected = exact(vectors, queries, 5)
    monkeypatch.setattr(neighbors, "_SCORES", 110)
    for one, other in zip(exact(vectors, queries, 5), expected):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_recall(lists_for_few):
    vectors, queries = vectors_of(4000), vectors_of(200, seed=1)
    found = Neighbors()
    found.follow(vectors, np.arange(4000))
    allowed = np.arange(0, 4000, 4)
    for choice in (None, allowed):
        rows, scores = found.search(queries, 10, choice)
        truth, best = exact(vectors, queries, 10, choice)
        shared = [len(set(one) & set(other)) for one, other in zip(rows, truth)]
        assert np.mean(shared) > 9.3
        np.testing.assert_allclose(
            scores, np.einsum("qu,qku->qk", queries, vectors[rows]), rtol=1e-5
        )
        assert (scores <= best + 1e-5).all()


_STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "filter"]), st.integers(0, 2**31)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=10)
@given(_STEPS)
def test_whatever_comes_and_goes(steps):
    """There are k rows, or all, of those allowed, with their scores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbors, "_FEW", 20)
        patch.setattr(neighbors, "_FEW_OF", 1)
        vectors, keys, last = vectors_of(60, units=8), np.arange(60), 60
        queries, found = vectors_of(3, seed=1, units=8), Neighbors()
        for what, seed in steps:
            random = np.random.default_rng(seed)
            allowed = None
            if what == "add":
                count = int(random.integers(1, 80))
                vectors = np.concatenate([vectors, vectors_of(count, seed, 8)])
                keys = np.concatenate([keys, np.arange(last, last + count)])
                last += count
            elif what == "remove":
                kept = random.random(len(keys)) < random.random()
                vectors, keys = vectors[kept], keys[kept]
            else:
                allowed = np.flatnonzero(random.random(len(keys)) < random.random())
            k = int(random.integers(1, 40))
            found.follow(vectors, keys)
            rows, scores = found.search(queries, k, allowed)
            choice = np.arange(len(keys)) if allowed is None else allowed
            assert rows.shape == (3, min(k, len(choice)))
            assert np.isin(rows, choice).all()
            assert all(len(set(row)) == len(row) for row in rows.tolist())
            expected = np.einsum("qu,qku->qk", queries, vectors[rows])
            np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
            assert (np.diff(scores, axis=1) <= 0).all()


def test_lists_are_made_anew(lists_for_few):
    found = Neighbors()
    found.follow(vectors_of(30), np.arange(30))
    first = found._lists
    found.follow(vectors_of(60), np.arange(60))
    assert found._lists is first and first.ntotal == 60
    found.follow(vectors_of(61), np.arange(61))
    assert found._lists is not first and found._lists.ntotal == 61


def test_index(retriever, lists_for_few, tmp_path, monkeypatch):
    """The same rows as the exact index, as rows come and go, and from the file."""
    table = make_table(60, missing=False)
    table["id"] = [f"number {row}" for row in range(60)]
    path = tmp_path / "index.parquet"
    exact_one = keras_mm.SearchIndex(retriever, "image")
    exact_one.add(table[:40], id="id", columns=["shop"])
    exact_one.save(path)
    query = {"text": ["red tomato", "", "blue sky"]}
    # Embedding them again and again takes long.
    vectors = exact_one.embed_queries(query)
    monkeypatch.setattr(
        keras_mm.SearchIndex, "embed_queries", lambda self, *args: vectors
    )
    index = keras_mm.SearchIndex.load(path, retriever, approximate=True)

    def same(k=60, **kwargs):
        one, other = (part.search(query, k, **kwargs) for part in (exact_one, index))
        assert list(one.columns) == list(other.columns)
        assert one.dtypes.tolist() == other.dtypes.tolist()
        for number in (0, 2):
            found = [set(part["id"][part["query"] == number]) for part in (one, other)]
            assert found[0] == found[1]
        np.testing.assert_allclose(one["score"], other["score"], atol=1e-5)

    same()
    same(where={"shop": "north"})
    again = pd.concat([table[40:], table[5:8]])
    for part in (exact_one, index):
        part.remove([f"number {row}" for row in range(5, 15)])
        part.add(again, id="id", columns=["shop"])
    same()
    same(k=22, where={"shop": ["north", "east"]})
    index.save(path)
    index = keras_mm.SearchIndex.load(path, retriever)
    assert index._neighbors is not None
    same()
    assert not len(index.search(query, 5, where={"shop": np.array(["nowhere"])}))
    monkeypatch.setattr(
        keras_mm.SearchIndex, "embed_queries", lambda self, *args: 0 * vectors
    )
    assert not len(index.search(query, 5))
    monkeypatch.setattr(
        keras_mm.SearchIndex, "embed_queries", lambda self, *args: vectors
    )
    index.remove(["number 50"])
    found = index.search(query, 60)
    assert len(found) == 104 and "number 50" not in set(found["id"])
    plain = keras_mm.SearchIndex.load(path, retriever, approximate=False)
    assert plain._neighbors is None


def test_without_the_extra(retriever, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    keras_mm.SearchIndex(retriever, "image")
    with pytest.raises(
        ImportError, match=r"keras_mm\[search\].*Received: import faiss"
    ):
        keras_mm.SearchIndex(retriever, "image", approximate=True)
