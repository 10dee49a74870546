"""What happens to tensors of a table is what happens to its cells."""

import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm import evaluation
from keras_mm.evaluation import tensors as room
from keras_mm.evaluation.parts import Parts
from keras_mm.evaluation.trials import predict

from ..helpers import make_table, small_model, small_schema

_NUMBERS = ["price", "weight"]


@pytest.fixture(scope="module")
def made():
    table = make_table(24)
    model = small_model(small_schema(table))
    return model, table, room.table_tensors(table, model.schema)


@pytest.mark.parametrize("columns", [["image"], ["text", "shop"], _NUMBERS, []])
def test_withheld_tensors_are_missing_cells(made, columns):
    model, table, tensors = made
    expected = evaluation.predict_without(model, table, columns)
    got = predict(model, room.withhold(tensors, columns))["category"]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    if columns:
        assert not np.allclose(got, predict(model, tensors)["category"])


def test_parts_of_a_model(made):
    """Encoding once, then withholding, is withholding, then encoding."""
    model, _, tensors = made
    parts = Parts(model, model.wiring.modalities)
    assert set(parts.encoders) == {"image", "text", "numbers", "shop"}
    arrays = parts.encode(tensors)

    def compare(arrays, tensors):
        got, expected = parts.predict(arrays), predict(model, tensors)
        assert list(got) == list(expected) == ["category"]
        np.testing.assert_allclose(got["category"], expected["category"], atol=1e-6)

    compare(arrays, tensors)
    for names, columns in ((["numbers"], _NUMBERS), (["image", "text"],) * 2):
        withheld = parts.withhold(arrays, names, slice(5, None))
        compare(withheld, room.withhold(tensors, columns, slice(5, None)))
    order = np.random.default_rng(0).permutation(24)
    swapped = {**tensors, "text": tensors["text"][order]}
    mixed = {**arrays, **room.take(arrays, order, parts.keys["text"])}
    compare(mixed, swapped)


def test_withheld_in_some_rows(made):
    model, table, tensors = made
    some = np.arange(24) % 5 == 0
    holed = table.copy()
    holed["text"] = holed.text.astype(object).where(~some, None)
    got = predict(model, room.withhold(tensors, ["text"], some))["category"]
    np.testing.assert_allclose(got, model.predict(holed, verbose=0), atol=1e-6)
    # What went in is as it was.
    assert room.is_present(tensors, ["text"]).sum() == 22


def test_presence(made):
    _, table, tensors = made
    for name in ("image", "text", "shop"):
        there = table[name].notna().to_numpy()
        np.testing.assert_array_equal(room.is_present(tensors, [name]), there)
    either = table[_NUMBERS].notna().any(axis=1).to_numpy()
    np.testing.assert_array_equal(room.is_present(tensors, _NUMBERS), either)
    assert table.price.isna().sum() == 2 and (~either).sum() == 1


def test_a_graph_withheld():
    nodes = [{"nodes": [[1.0], [2.0]], "edges": [[0, 1]]}, None] * 3
    table = pd.DataFrame({"graph": nodes, "label": list("abcabc")})
    schema = keras_mm.Schema(
        {"graph": keras_mm.Graph(3, node_features=1)}, {"label": keras_mm.ClassLabel()}
    ).adapt(table)
    tensors = room.table_tensors(table, schema)
    gone = room.withhold(tensors, ["graph"])["graph"]
    np.testing.assert_array_equal(gone[0], tensors["graph"][1])
    random = np.random.default_rng(0)
    noisy = room.add_noise(tensors, schema, ["graph"], 1.0, random)["graph"]
    np.testing.assert_array_equal(noisy[..., 1:], tensors["graph"][..., 1:])
    known = ~np.isnan(tensors["graph"][..., 0])
    assert (noisy[..., 0] != tensors["graph"][..., 0])[known].all()


def test_noise_never_revives(made):
    model, _, tensors = made
    columns = list(tensors)
    random = np.random.default_rng(0)
    noisy = room.add_noise(tensors, model.schema, columns, 0.7, random)
    for name, array in tensors.items():
        if array.dtype.kind == "i":
            np.testing.assert_array_equal(noisy[name] == 0, array == 0)
            assert set(noisy[name].ravel()) <= set(array.ravel())
        else:
            np.testing.assert_array_equal(np.isnan(noisy[name]), np.isnan(array))
        assert noisy[name].dtype == array.dtype
        assert not np.array_equal(noisy[name], array, equal_nan=array.dtype.kind == "f")
    assert np.nanmin(noisy["image"]) >= 0 and np.nanmax(noisy["image"]) <= 1
    np.testing.assert_array_equal(tensors["price"][3], made[2]["price"][3])


def test_size_of_noise():
    table = pd.DataFrame({"x": np.random.default_rng(0).normal(5, 3, 4000)})
    table["label"] = ["a", "b"] * 2000
    table["kind"] = ["red", "blue", "green", "grey"] * 1000
    schema = keras_mm.Schema(
        {"x": keras_mm.Number(), "kind": keras_mm.Category()},
        {"label": keras_mm.ClassLabel()},
    ).adapt(table)
    tensors = room.table_tensors(table, schema)
    random = np.random.default_rng(0)
    noisy = room.add_noise(tensors, schema, ["x", "kind"], 0.5, random)
    assert np.std(noisy["x"] - tensors["x"]) == pytest.approx(0.5, abs=0.03)
    # A quarter of the replaced ones is replaced by the same.
    changed = np.mean(noisy["kind"] != tensors["kind"])
    assert changed == pytest.approx(0.5 * 0.75, abs=0.03)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
def test_removed_cells(rate):
    random = np.random.default_rng(0)
    present = random.random((300, 3)) < 0.8
    gone = room.remove_cells(present, rate, random)
    assert not (gone & ~present).any()
    left = present & ~gone
    np.testing.assert_array_equal(left.any(axis=1), present.any(axis=1))
    most = present.sum() - present.any(axis=1).sum()
    assert gone.sum() == min(round(rate * present.sum()), most)
