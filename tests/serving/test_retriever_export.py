"""A retriever's export: each tower answers raw requests, in the C library."""

import keras
import numpy as np
import pytest

import keras_mm

from ..helpers import make_table, small_encoders
from .test_proof import check_with_fault, recorded
from .test_subsets import subsets_of

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are written by TensorFlow"
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    table = make_table(16, missing=False)
    schema = keras_mm.Schema(
        {
            "image": keras_mm.Image((12, 12)),
            "text": keras_mm.Text(sequence_length=6),
            "price": keras_mm.Number(),
        }
    ).adapt(table)
    made = small_encoders()
    model = keras_mm.build_retriever(
        schema,
        towers={"item": ["image", "price"], "text": ["text"]},
        encoders={name: made[name] for name in ("image", "text")},
        units=8,
        memory=4,
        seed=0,
    )
    model.fit(table, epochs=1, verbose=0)
    folder = tmp_path_factory.mktemp("retriever")
    model.save(folder / "model.keras")
    # The one that is exported comes from a file, as on another day.
    model = keras.models.load_model(folder / "model.keras")
    table["id"] = [f"number {row}" for row in range(16)]
    index = keras_mm.SearchIndex(model, "item")
    index.add(table, id="id")
    path = keras_mm.export(
        model, folder / "found", rows=table, verbose=False, index=index, k=3
    )
    return table, model, path, index


def raw_of(model, table):
    raw = keras_mm.data.raw.to_raw(table, model.schema)
    return {
        name: value.raw_array(list(keras_mm.data.raw.read_files(raw[name])))
        for name, value in model.schema.inputs.items()
    }


def test_every_subset_in_the_c_library(exported):
    table, model, path, _ = exported
    rows = subsets_of(table, ["image", "text", "price"])
    raw, expected = raw_of(model, rows), model.predict(rows, verbose=0)
    answer = keras_mm.serving.run_in_libtensorflow(path, "serving_default", raw)
    assert sorted(answer) == ["image_ok", "item_embedding", "text_embedding"]
    for name, vectors in expected.items():
        np.testing.assert_allclose(answer[f"{name}_embedding"], vectors, atol=1e-5)
        columns = model.towers[name]
        given = {column: raw[column] for column in columns}
        alone = keras_mm.serving.run_in_libtensorflow(path, f"embed_{name}", given)
        np.testing.assert_allclose(alone["embedding"], vectors, atol=1e-5)
        lengths = np.linalg.norm(alone["embedding"], axis=1)
        present = rows[columns].notna().any(axis=1).to_numpy()
        np.testing.assert_allclose(lengths, present, atol=1e-5)


def test_it_says_what_comes_out(exported):
    table, model, path, _ = exported
    with open(path.rsplit("/", 1)[0] + "/SERVING.md", encoding="utf-8") as file:
        text = file.read()
    assert "`item_embedding` | a unit vector" in text
    assert "| `embed_item` | `image`, `price` | `embedding` |" in text
    found = keras_mm.load_exported(path)(table.head(3))
    np.testing.assert_allclose(
        np.stack(found["text_embedding"]), model.embed(table.head(3), "text"), atol=1e-5
    )


def test_search_in_the_c_library(exported):
    """Raw bytes and words in, ids out."""
    table, model, path, index = exported
    rows = table.iloc[[0, 4, 1, 2, 3]].copy()
    rows["image"] = [None, rows["image"].iloc[1], None, b"no picture", None]
    rows["price"] = [None, rows["price"].iloc[1], None, None, None]
    rows["text"] = ["blue sky", None, None, None, "red tomato"]
    raw = keras_mm.data.raw.to_raw(rows, model.schema, on_unreadable="missing")
    raw["image"][3] = b"no picture"
    answer = keras_mm.serving.run_in_libtensorflow(path, "search", raw)
    ids = [[name.decode() for name in row] for row in answer["ids"].tolist()]
    assert ids[2] == ids[3] == ["", "", ""], "an empty query finds nothing"
    assert ids[1][0] == "number 4"
    expected = index.search({"text": ["blue sky", "red tomato"]}, k=3)
    assert ids[0] + ids[4] == expected["id"].tolist()
    got = np.concatenate([answer["scores"][0], answer["scores"][4]])
    np.testing.assert_allclose(got, expected["score"], atol=1e-5)


@pytest.fixture(scope="module")
def calls(exported):
    table, model, path, index = exported
    return recorded(path, model, table, index)


@pytest.mark.parametrize(
    "signature, output, fault",
    [
        ("search", "ids", lambda ids: np.roll(ids, 1, axis=1)),
        ("search", "ids", lambda ids: np.roll(ids, 1, axis=0)),
        ("search", "ids", lambda ids: np.where(ids == ids[0, 0], b"nobody", ids)),
        ("search", "scores", lambda scores: scores + 0.01),
        ("serving_default", "item_embedding", lambda vectors: np.roll(vectors, 1, 1)),
        ("embed_text", "embedding", lambda vectors: vectors[::-1]),
    ],
)
def test_faults_are_found(calls, signature, output, fault):
    with pytest.raises(RuntimeError, match=f"output '{output}' of '{signature}' is"):
        check_with_fault(calls, signature, output, fault)
