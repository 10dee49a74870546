"""The nearest rows of a query, by hand and in the exported model."""

import keras
import numpy as np
import pandas as pd
import pytest

import keras_mm

WORDS = ["red tomato", "green leaf", "blue sky"]


def filled(retriever, rows):
    index = keras_mm.SearchIndex(retriever, "image")
    with pytest.warns(UserWarning, match=r"2 rows have no values .* rows 0, 2"):
        assert index.add(rows, id="id", columns=["shop", "category"]) == 10
    return index


def test_search_by_hand(retriever, rows):
    index = filled(retriever, rows)
    queries = pd.DataFrame({"text": [WORDS[0], None, WORDS[2]]})
    found = index.search(queries, k=4)
    assert list(found.columns) == [
        *("query", "rank", "id", "score", "shop", "category")
    ]
    assert found["query"].tolist() == [0] * 4 + [2] * 4
    assert found["rank"].tolist() == [1, 2, 3, 4] * 2
    items = retriever.embed(rows, "image")
    vectors = retriever.embed(queries, "text")
    for number, part in found.groupby("query"):
        scores = {
            name: score
            for name, score, item in zip(rows["id"], items @ vectors[number], items)
            if item.any()
        }
        best = sorted(scores.values(), reverse=True)[:4]
        np.testing.assert_allclose(part["score"], best, atol=1e-5)
        assert [scores[name] for name in part["id"]] == pytest.approx(best, abs=1e-5)
        shops = rows.set_index("id")["shop"].loc[part["id"]].tolist()
        assert part["shop"].fillna("").tolist() == pd.Series(shops).fillna("").tolist()


def test_filter_add_remove(retriever, rows):
    index = filled(retriever, rows)
    query = {"text": ["blue sky"]}
    found = index.search(query, k=20, where={"shop": "north"})
    expected = rows["image"].notna() & (rows["shop"] == "north")
    assert sorted(found["id"]) == sorted(rows["id"][expected])
    for shops in (["north", "south"], pd.Series(["north", "south"])):
        both = {"shop": shops, "category": ["basil"]}
        found = index.search(query, k=20, where=both)
        assert set(found["category"]) == {"basil"}
    everything = index.search(query, k=20)["id"].tolist()
    index.remove(everything[:2])
    assert index.search(query, k=20)["id"].tolist() == everything[2:]
    again = rows[rows["id"].isin(everything[:2])]
    assert index.add(again, id="id", columns=["shop", "category"]) == 2
    found = index.search(query, k=20)
    assert sorted(found["id"]) == sorted(everything) and len(index) == 10
    assert len(index.search(query, where={"shop": "nowhere"})) == 0


def test_a_picture_and_words(retriever, rows):
    """A query of several parts is the sum of their vectors."""
    index = filled(retriever, rows)
    query = rows.iloc[[4]][["image"]].assign(text="blue sky")
    parts = retriever.embed(query, "image") + retriever.embed(query, "text")
    expected = parts / np.linalg.norm(parts) @ index.vectors.T
    found = index.search(query, k=10)
    np.testing.assert_allclose(found["score"], -np.sort(-expected[0]), atol=1e-5)
    alone = index.search(query, k=1, towers=["image"])
    assert alone["id"].tolist() == ["number 4"]
    assert alone["score"].tolist() == pytest.approx([1.0])


def test_file(retriever, rows, tmp_path):
    index = filled(retriever, rows)
    index.save(tmp_path / "index.parquet")
    retriever.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    again = keras_mm.SearchIndex.load(tmp_path / "index.parquet", model)
    query = {"text": WORDS}
    pd.testing.assert_frame_equal(
        again.search(query), index.search(query), check_dtype=False
    )
    # Any reader of Parquet has the vectors.
    plain = pd.read_parquet(tmp_path / "index.parquet")
    np.testing.assert_array_equal(np.stack(plain["vector"]), index.vectors)
    keras_mm.SearchIndex(model, "text").save(tmp_path / "empty.parquet")
    assert not len(keras_mm.SearchIndex.load(tmp_path / "empty.parquet", model))
    model.get_layer("text-encoder").trainable = False
    again.check()
    model.fit(rows, epochs=1, verbose=0)
    for use in (
        lambda: again.save(tmp_path / "other.parquet"),
        lambda: again.add(rows, id="id"),
        lambda: keras_mm.export(model, tmp_path / "export", index=again),
    ):
        with pytest.raises(ValueError, match="trained further"):
            use()
    with pytest.raises(ValueError, match="another model"):
        keras_mm.SearchIndex.load(tmp_path / "index.parquet", model)


@pytest.mark.skipif(
    keras.backend.backend() != "torch",
    reason="the process is jax's, too; for TensorFlow see test_retriever_export",
)
def test_search_in_the_exported_model(retriever, rows, tmp_path):
    """Raw bytes and words in, ids out, by the C library that TF Serving runs."""
    index = filled(retriever, rows)
    path = keras_mm.export(
        retriever, tmp_path / "search", rows=rows, verbose=False, index=index, k=3
    )
    raw = {
        "image": [b"", rows["image"][4], b"", b"no picture", b""],
        "text": [b"blue sky", b"", b"", b"", b"red tomato"],
    }
    raw = {name: np.array(cells, dtype=object) for name, cells in raw.items()}
    answer = keras_mm.serving.run_in_libtensorflow(path, "search", raw)
    ids = [[name.decode() for name in row] for row in answer["ids"].tolist()]
    assert ids[2] == ids[3] == ["", "", ""], "an empty query finds nothing"
    assert ids[1][0] == "number 4"
    expected = index.search({"text": ["blue sky", "red tomato"]}, k=3)
    assert ids[0] + ids[4] == expected["id"].tolist()
    got = np.concatenate([answer["scores"][0], answer["scores"][4]])
    np.testing.assert_allclose(got, expected["score"], atol=1e-5)


def test_errors(retriever, rows):
    index = keras_mm.SearchIndex(retriever, "image")
    rows = rows[rows["image"].notna()]
    with pytest.raises(ValueError, match="must be present and unique"):
        index.add(rows.assign(id="same"), id="id")
    with pytest.raises(ValueError, match="must be present and unique"):
        index.add(rows.assign(id=None), id="id")
    index.add(rows, id="id", columns=["shop"])
    with pytest.raises(ValueError, match="must be present and unique"):
        index.add(rows, id="id", columns=["shop"])
    with pytest.raises(ValueError, match="are reserved"):
        index.add(rows.assign(score=1), id="id", columns=["score"])
    with pytest.raises(ValueError, match="the same columns"):
        index.add(rows.assign(id=rows["id"] + "b"), id="id")
    with pytest.raises(ValueError, match="not in the index"):
        index.remove(["number 99"])
    with pytest.raises(ValueError, match="columns of a tower"):
        index.search({"words": ["red"]})
    with pytest.raises(ValueError, match="no column 'colour'"):
        index.search({"text": ["red"]}, where={"colour": "red"})
    with pytest.raises(ValueError, match="must be positive"):
        index.search({"text": ["red"]}, k=0)
    with pytest.raises(ValueError, match="The towers are"):
        keras_mm.SearchIndex(retriever, "sound")
    empty = keras_mm.SearchIndex(retriever, "image")
    with pytest.raises(ValueError, match="not empty"):
        keras_mm.export(retriever, "nowhere", index=empty)
