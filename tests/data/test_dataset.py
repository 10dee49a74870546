"""Tables to batches: order, shuffling, memory, damage, weights."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm import data
from keras_mm.data import dataset as module
from keras_mm.data.class_weights import class_weights
from keras_mm.data.content import content_ids

from ..helpers import (
    encode_picture,
    make_table,
    random_pixels,
    small_schema,
    tensors_of,
)


def collect(dataset):
    batches = [entry for entry in dataset.as_numpy_iterator()]
    return [_joined(parts) for parts in zip(*batches)]


def _joined(parts):
    if isinstance(parts[0], dict):
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    return np.concatenate(parts)


def test_rows_keep_their_order_and_their_missing_cells(table):
    schema = small_schema(table)
    inputs, target = collect(data.to_dataset(table, schema, batch_size=7))
    assert target.tolist() == [0, 1, 2] * 8
    assert np.isnan(inputs["image"]).all((1, 2, 3)).nonzero()[0].tolist() == [0, 2]
    assert (~inputs["text"].any(1)).nonzero()[0].tolist() == [1, 2]
    assert np.isnan(inputs["price"][:, 0]).nonzero()[0].tolist() == [0, 2]
    assert (inputs["shop"][:, 0] == 0).nonzero()[0].tolist() == [1, 2]
    # Numbers are standardised, and rows stay together.
    price = pd.to_numeric(table["price"]).to_numpy()
    np.testing.assert_allclose(
        inputs["price"][:, 0], (price - np.nanmean(price)) / np.nanstd(price), rtol=1e-4
    )
    for row in range(3, 24):
        assert inputs["image"][row].mean((0, 1)).argmax() == target[row]


def test_copies_and_pickles_of_a_used_schema(table):
    schema = small_schema(table)
    expected = next(iter(data.to_dataset(table, schema)))[0]
    for again in (copy.deepcopy(schema), pickle.loads(pickle.dumps(schema))):
        inputs = next(iter(data.to_dataset(table, again)))[0]
        for name, tensor in expected.items():
            np.testing.assert_array_equal(inputs[name], tensor)


def test_without_memory_the_same_comes_out(table, monkeypatch, tmp_path):
    for row in range(3, 24, 2):
        (tmp_path / f"{row}.png").write_bytes(table.loc[row, "image"])
        table.loc[row, "image"] = f"{row}.png"
    schema = small_schema(make_table())
    paths = table.assign(
        image=[v if isinstance(v, str) else None for v in table["image"]]
    )
    sources = [table, paths]
    # JPEG alone has a way of its own, from bytes and from files.
    jpeg = table.iloc[5:10].reset_index(drop=True)
    jpeg["image"] = [encode_picture(random_pixels(i), "JPEG") for i in range(5)]
    sources.append(jpeg)
    for row, value in enumerate(jpeg["image"]):
        (tmp_path / f"{row}.jpg").write_bytes(value)
    sources.append(jpeg.assign(image=[f"{row}.jpg" for row in range(5)]))
    expected = [
        collect(data.to_dataset(source, schema, base_dir=tmp_path))
        for source in sources
    ]
    monkeypatch.setattr(module, "MEMORY_LIMIT", 0)
    for source, wanted in zip(sources, expected):
        got = collect(data.to_dataset(source, schema, base_dir=tmp_path))
        np.testing.assert_array_equal(got[1], wanted[1])
        for name, value in wanted[0].items():
            np.testing.assert_array_equal(got[0][name], value)


@pytest.mark.parametrize("limit", [0, 2**30])
def test_shuffling_keeps_rows_together_and_follows_the_seed(table, limit, monkeypatch):
    monkeypatch.setattr(module, "MEMORY_LIMIT", limit)
    table = table.assign(price=np.arange(24.0))
    schema = small_schema(table, price=keras_mm.Number())
    plain, labels = collect(data.to_dataset(table, schema))
    one, two = (data.to_dataset(table, schema, shuffle=True, seed=1) for _ in range(2))
    (a, y), (b, _) = collect(one), collect(two)
    np.testing.assert_array_equal(a["price"], b["price"])
    assert not np.array_equal(a["price"], plain["price"])
    assert not np.array_equal(a["price"], collect(one)[0]["price"]), (
        "anew in every epoch"
    )
    order = a["price"][:, 0].argsort()
    np.testing.assert_array_equal(a["price"][order], plain["price"])
    np.testing.assert_array_equal(y[order], labels)


@pytest.mark.parametrize("limit", [0, 2**30])
def test_pictures_that_only_decoding_finds(limit, monkeypatch):
    table = make_table(8, missing=False)
    schema = small_schema(table)
    noise = encode_picture(np.random.default_rng(0).integers(0, 256, (40, 40, 3)))
    middle = len(noise) // 2
    table.loc[5, "image"] = noise[:middle] + bytes(200) + noise[middle + 200 :]
    monkeypatch.setattr(module, "MEMORY_LIMIT", limit)
    missing, _ = collect(data.to_dataset(table, schema, on_unreadable="missing"))
    assert np.isnan(missing["image"]).all((1, 2, 3)).nonzero()[0].tolist() == [5]
    with pytest.raises(
        ValueError, match=r"cannot be decoded in row 5 .*Received: image=b"
    ):
        data.to_dataset(table, schema)
        # A large table is decoded while training.
        model = keras_mm.build_classifier(schema, encoders={"image": "cnn"})
        model.fit(table, verbose=0)


def test_bad_cells_become_missing_when_asked(table):
    schema = small_schema(table)
    table = table.astype(object)
    table.loc[5, "image"] = b"no picture"
    table.loc[6, "price"] = "many"
    table.loc[7, "text"] = b"\xff"
    for name in ("image", "price", "text"):
        with pytest.raises(
            ValueError, match=f"Column '{name}'.* in row .*Received: {name}="
        ):
            schema_of_one = keras_mm.Schema({name: schema.inputs[name]})
            data.to_dataset(table, schema_of_one)
    got = collect(data.to_dataset(table, schema, on_unreadable="missing"))[0]
    assert np.isnan(got["image"][5]).all() and np.isnan(got["price"][6]).all()
    assert not got["text"][7].any()


def test_extra_columns_and_their_order_do_not_matter(table):
    schema = small_schema(table)
    expected = tensors_of(table, schema)
    other = table.assign(extra=1, another=None)[
        ["another", *table.columns[::-1], "extra"]
    ]
    other.index = [5] * len(other)
    for name, value in tensors_of(other, schema).items():
        np.testing.assert_array_equal(value, expected[name])


def test_unseen_category_and_label(table):
    schema = small_schema(table)
    assert tensors_of(table.assign(shop="moon"), schema)["shop"].tolist() == [[1]] * 24
    table.loc[4, "category"] = "dragon"
    with pytest.raises(
        ValueError, match=r"not made for in row 4 .*Received: category='dragon'"
    ):
        data.to_dataset(table, schema)
    table.loc[4, "category"] = None
    with pytest.raises(ValueError, match=r"no label in row 4 "):
        data.to_dataset(table, schema)


@pytest.mark.parametrize("limit", [0, 2**30])
def test_missing_labels_of_several_targets(limit, monkeypatch):
    monkeypatch.setattr(module, "MEMORY_LIMIT", limit)
    table = pd.DataFrame(
        {
            "size": np.arange(5.0),
            "kind": ["b", None, "a", np.nan, "b"],
            "price": [1.5, 2.5, np.nan, -1.0, 4.0],
            "tags": ["x|y", "", None, "y", np.nan],
        }
    )
    targets = {
        "kind": keras_mm.ClassLabel(),
        "price": keras_mm.Number(),
        "tags": keras_mm.MultiLabel(),
    }
    schema = keras_mm.Schema({"size": keras_mm.Number()}, targets).adapt(table)
    inputs, target = collect(data.to_dataset(table, schema, batch_size=2))
    gap = [np.nan, np.nan]
    assert target["kind"].tolist() == [1, -1, 0, -1, 1]
    expected = np.array([[1, 1], [0, 0], gap, [0, 1], gap])
    np.testing.assert_array_equal(target["tags"], expected)
    np.testing.assert_array_equal(target["price"][:, 0], table.price)
    table.loc[2, "kind"] = None
    with pytest.raises(ValueError, match="Every target is missing in row 2 .*Receiv"):
        data.to_dataset(table, schema)
    table.loc[2, "kind"] = "c"
    with pytest.raises(ValueError, match="not made for in row 2 .*Received: kind='c'"):
        data.to_dataset(table, schema)


def test_errors(table):
    schema = small_schema(table)
    with pytest.raises(ValueError, match="no column 'shop'.*Received: columns="):
        data.to_dataset(table.drop(columns="shop"), schema)
    with pytest.raises(ValueError, match="no column 'category'"):
        data.to_dataset(table.drop(columns="category"), schema)
    with pytest.raises(ValueError, match="Received: on_unreadable='ignore'"):
        data.to_dataset(table, schema, on_unreadable="ignore")
    fresh = keras_mm.Schema(
        {"text": keras_mm.Text()}, {"category": keras_mm.ClassLabel()}
    )
    with pytest.raises(ValueError, match="schema.adapt.*Received: schema="):
        data.to_dataset(table, fresh)


# --- class weights -------------------------------------------------------------


def test_class_weights():
    label = keras_mm.ClassLabel(class_names=["a", "b", "c"])
    target = np.array([0, 0, 0, 1, 2, 2])
    got = class_weights(target, label, "balanced")
    np.testing.assert_allclose(got, [2 / 3] * 3 + [2] + [1] * 2)
    from sklearn.utils.class_weight import compute_sample_weight

    np.testing.assert_allclose(got, compute_sample_weight("balanced", target))
    for weights in ({"b": 3}, {1: 3}):
        assert class_weights(target, label, weights).tolist() == [1, 1, 1, 3, 1, 1]
    # A class without rows must not make the others heavier.
    assert class_weights(np.array([0, 1]), label, "balanced").tolist() == [1, 1]
    # A number is a name, if any is: never a place by accident.
    stars = keras_mm.ClassLabel().adapt(pd.Series([1, 2, 3]))
    for weights in ({1: 10, 2: 5}, {"1": 10, 2.0: 5}):
        assert class_weights([0, 1, 2], stars, weights).tolist() == [10, 5, 1]
    flags = keras_mm.ClassLabel().adapt(pd.Series([True, False]))
    assert class_weights([0, 1], flags, {True: 2}).tolist() == [1, 2]
    assert class_weights([0, 1], flags, {1: 2}).tolist() == [1, 2]
    with pytest.raises(
        ValueError, match=r"unknown class. The classes are \['1', '2', '3'\]"
    ):
        class_weights([0, 1], stars, {0: 1, 1: 10, 2: 5})
    for wrong in ("even", {"z": 1}, {7: 1}, {"b": 1, 1: 2}):
        with pytest.raises(ValueError, match="Received: class_weight="):
            class_weights(target, label, wrong)
    with pytest.raises(ValueError, match="Received: class_weight="):
        class_weights(np.zeros((2, 1)), keras_mm.targets.NumberTarget(), "balanced")


def test_class_weights_reach_the_batches(table):
    schema = small_schema(table)
    dataset = data.to_dataset(table, schema, class_weight={"basil": 5})
    _, target, weight = collect(dataset)
    assert (weight == np.where(target == 1, 5, 1)).all()


def test_equal_content_has_equal_numbers():
    """Whatever holds it: what is printed short differs all the same."""
    import tensorflow as tf

    pixels = np.zeros((3, 40, 40), "float32")
    pixels[1, 20, 20] = 1
    cells = {"a": list(pixels), "b": list(tf.constant(pixels)), "c": pixels.tolist()}
    for name in cells:
        assert content_ids(cells, [name]).tolist() == [0, 1, 0]
    cells = {"x": ["ab", None, "ab", ["a", "b"], ["ab"]], "y": [1, None, 2, 1, 1]}
    assert content_ids(cells, ["x"]).tolist() == [0, -1, 0, 1, 2]
    assert content_ids(cells, ["x", "y"]).tolist() == [0, -1, 1, 2, 3]
