"""Embedding in chunks: the same file as at once, and read by a database."""

import json
import warnings

import duckdb
import numpy as np
import pytest
from pyarrow import parquet

import keras_mm
from keras_mm.serving import embed_to_parquet

from .test_search_index import WORDS, filled

KEPT = {"id": "id", "columns": ["shop", "category"]}


@pytest.mark.parametrize("kind", ["table", "parquet", "csv", "iterator"])
def test_as_at_once(retriever, rows, tmp_path, kind, capsys):
    tower, table = "image", rows
    if kind == "iterator":
        # An empty one does no harm.
        table = (part for part in [rows[:7], rows[7:], rows[:0]])
    elif kind == "parquet":
        table = tmp_path / "rows.parquet"
        rows.assign(other=1.0).to_parquet(table)
    elif kind == "csv":
        table, tower = tmp_path / "rows.csv", "text"
        rows.drop(columns="image").to_csv(table, index=False)
    path = tmp_path / "found.parquet"
    with pytest.warns(UserWarning, match="rows have no values") as caught:
        count = embed_to_parquet(retriever, table, tower, path, rows=7, **KEPT)
    (message,) = [str(w.message) for w in caught if "no values" in str(w.message)]
    assert "embed" in capsys.readouterr().out
    found = parquet.read_table(path)
    if kind == "csv":
        assert count == 10 and found["id"][0].as_py() == "number 0"
        return
    filled(retriever, rows).save(tmp_path / "index.parquet")
    expected = parquet.read_table(tmp_path / "index.parquet")
    assert count == 10 and "2 rows" in message and "rows 0, 2" in message
    assert found.drop_columns("vector").equals(expected.drop_columns("vector"))
    assert found.schema.equals(expected.schema, check_metadata=False)
    one, other = (
        json.loads(part.schema.metadata[b"keras_mm"]) for part in (found, expected)
    )
    assert one == other
    vectors = [np.stack(part["vector"].to_numpy()) for part in (found, expected)]
    np.testing.assert_allclose(*vectors, atol=1e-6)
    assert parquet.ParquetFile(path).metadata.num_row_groups == 2
    again = keras_mm.SearchIndex.load(path, retriever)
    assert len(again.search({"text": WORDS}, k=3)) == 9


def test_refused(retriever, rows, tmp_path):
    path = tmp_path / "found.parquet"
    rows = rows[rows["image"].notna()].reset_index(drop=True)

    def embed(table, **kwargs):
        embed_to_parquet(retriever, table, "image", path, rows=4, **{**KEPT, **kwargs})

    twice = rows.assign(id=[*rows["id"][:9], rows["id"][1]])
    with pytest.raises(ValueError, match="unique.*Received: id='number 3'") as caught:
        embed(twice)
    assert caught.value.__notes__ == ["Rows are counted from row 8 of the table."]
    with pytest.raises(ValueError, match="must be present"):
        embed(rows.assign(id=[*rows["id"][:9], None]))
    with pytest.raises(ValueError, match="no column 'number'"):
        embed(rows, id="number")
    with pytest.raises(ValueError, match="no column 'colour'"):
        embed(rows, columns=["colour"])
    with pytest.raises(ValueError, match="are reserved"):
        embed(rows, columns=["score"])
    with pytest.raises(ValueError, match="differs between chunks"):
        embed([rows[:4].assign(shop=1), rows[4:]])
    with pytest.raises(ValueError, match="There are no rows"):
        embed(iter([]))
    with pytest.raises(ValueError, match="must be positive"):
        embed_to_parquet(retriever, rows, "image", path, rows=0, **KEPT)
    with pytest.raises(ValueError, match="The towers are"):
        embed_to_parquet(retriever, rows, "sound", path, **KEPT)
    # Neither the file nor a part of it.
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def answers(retriever, rows, tmp_path_factory):
    """A file, queries and what exact search finds."""
    path = tmp_path_factory.mktemp("answers") / "found.parquet"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        embed_to_parquet(retriever, rows, "image", path, rows=5, **KEPT)
    index = keras_mm.SearchIndex.load(path, retriever)
    found = index.search({"text": WORDS}, k=4)
    return path, retriever.embed({"text": WORDS}, "text"), found


def test_duckdb(answers):
    """DuckDB gives the same rows with the same cosines."""
    path, queries, expected = answers
    kind = f"float[{queries.shape[1]}]"
    for number, query in enumerate(queries):
        found = duckdb.execute(
            f"select id, shop, array_cosine_similarity(vector::{kind}, ?::{kind}) "
            f"as score from '{path}' order by score desc limit 4",
            [query.tolist()],
        ).df()
        part = expected[expected["query"] == number]
        assert found["id"].tolist() == part["id"].tolist()
        np.testing.assert_allclose(found["score"], part["score"], atol=1e-5)


def test_lancedb(answers, tmp_path):
    """LanceDB takes the file as it is, and finds the same rows."""
    lancedb = pytest.importorskip("lancedb")
    path, queries, expected = answers
    table = lancedb.connect(tmp_path / "lance").create_table(
        "rows", parquet.read_table(path)
    )
    for number, query in enumerate(queries):
        found = table.search(query).distance_type("cosine").limit(4).to_pandas()
        part = expected[expected["query"] == number]
        assert found["id"].tolist() == part["id"].tolist()
