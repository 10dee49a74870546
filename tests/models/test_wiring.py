"""Which layer of a model is which, and what its parts are."""

import pathlib

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm
from keras_mm.models.graph import part_of
from keras_mm.names import pair_names

# Names that run into one another where they are joined.
NAMES = ["c", "a_to_b", "a", "b_to_c"]


def rows():
    random = np.random.default_rng(0)
    table = pd.DataFrame({name: random.normal(size=8) for name in NAMES})
    table["y"] = ["no", "yes"] * 4
    return table


def build(table, **options):
    schema = keras_mm.Schema(
        {name: keras_mm.Number() for name in NAMES}, {"y": keras_mm.ClassLabel()}
    ).adapt(table)
    encoders = dict.fromkeys(NAMES, "dense")
    return keras_mm.build_classifier(schema, encoders=encoders, seed=0, **options)


def tensors(table):
    return {n: table[[n]].to_numpy("float32") for n in NAMES}


@pytest.mark.parametrize(
    "options",
    [
        {"fusion": "attention"},
        {"fusion": "gated", "missing_token": True},
        {"fusion": "gated", "imputation": True},
        {"fusion": "hybrid"},
    ],
)
def test_each_modality_is_where_the_wiring_says(options, tmp_path):
    """A modality that is withheld changes its tokens alone, and its vector alone."""
    table = rows()
    model = build(table, **options)
    assert list(model.modalities) == list(model.encoders) == NAMES
    (fusion,) = model.wiring.fusions.values()
    model.save(tmp_path / "model.keras")
    for one in (model, keras.models.load_model(tmp_path / "model.keras")):
        assert one.wiring == model.wiring
        part = part_of(one, lambda graph: {"tokens": list(graph.given[fusion][0])})
        whole = part.predict(list(tensors(table).values()), verbose=0)["tokens"]
        parts = one.parts()
        for place, name in enumerate(NAMES):
            without = {**tensors(table), name: np.full((8, 1), np.nan, "float32")}
            changed = part.predict(list(without.values()), verbose=0)["tokens"]
            differs = [not np.array_equal(x, y) for x, y in zip(whole, changed)]
            assert np.flatnonzero(differs).tolist() == [place]
            vectors = [parts[f"embed_{name}"](x)["embedding"] for x in (without,)]
            assert not ops.convert_to_numpy(vectors[0]).any()


def test_explanations_are_called_by_their_modalities():
    table = rows()
    model = build(table, fusion="gated")
    weights = model.parts()["explain"](tensors(table))
    assert list(weights) == NAMES
    for name in NAMES:
        without = {**tensors(table), name: np.full((8, 1), np.nan, "float32")}
        weights = model.parts()["explain"](without)
        zero = [n for n, w in weights.items() if not ops.convert_to_numpy(w).any()]
        assert zero == [name]
    model = build(table, fusion="attention")
    for name in NAMES:
        without = {**tensors(table), name: np.full((8, 1), np.nan, "float32")}
        maps = model.parts()["explain"](without)
        assert list(maps) == pair_names(NAMES)
        # Nothing attends to it, nor does it attend.
        zero = [n for n, m in maps.items() if not ops.convert_to_numpy(m).any()]
        attended = [f"{other}_to_{name}" for other in NAMES if other != name]
        assert set(zero) >= set(attended) & set(maps)


def test_the_parts_of_a_model_leave_it_as_it_is(tmp_path):
    table = rows()
    model = build(table, fusion="hybrid")
    expected = model.predict(table, verbose=0)
    keras_mm.evaluation.modality_report(model.schema, table, model=model, emap_rows=0)
    model.parts()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(table, verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["hybrid", "first"])
def test_files_of_before_do_all_that_they_did(name, tmp_path):
    """One from before wiring was kept, and one of the first version's."""
    file = pathlib.Path(__file__).parent / "files" / name
    table = pd.read_csv(f"{file}.csv")
    model = keras.models.load_model(f"{file}.keras")
    predicted = model.predict(table, verbose=0)
    np.testing.assert_allclose(predicted[:, 0], table["p"], atol=1e-6)
    assert list(model.encoders) == list(model.modalities) == ["a", "w"]
    model.fit(table, validation_data=table, epochs=1, verbose=0)
    changed = model.predict(table, verbose=0)
    assert not np.allclose(predicted, changed)
    model.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_allclose(again.predict(table, verbose=0), changed, atol=1e-6)
    if keras.backend.backend() == "tensorflow":
        path = keras_mm.export(again, tmp_path / "served", rows=table, verbose=False)
        assert {"embed", "embed_a"} <= set(keras_mm.load_exported(path).signatures)
