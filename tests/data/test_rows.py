"""Datasets of rows: their cells mean what those of a table mean."""

import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm import data
from keras_mm.data.rows import plain_errors

from ..helpers import encode_picture, make_table, random_pixels, small_schema
from .test_dataset import collect

tf = pytest.importorskip("tensorflow")


def test_datasets_of_rows(table):
    table = make_table(missing=False)
    schema = small_schema(table)
    rows = tf.data.Dataset.from_tensor_slices({k: list(v) for k, v in table.items()})
    got = collect(data.to_dataset(rows, schema, batch_size=5))
    expected = collect(data.to_dataset(table, schema))
    np.testing.assert_array_equal(got[1], expected[1])
    for name, value in expected[0].items():
        np.testing.assert_allclose(got[0][name], value, atol=1e-6)
    adapted = small_schema(rows)
    assert adapted.describe() == schema.describe()
    with pytest.raises(ValueError, match="no column 'image'"):
        data.to_dataset(rows.map(lambda row: {"text": row["text"]}), schema)


def test_batches_are_no_rows():
    cells = {"t": ["a", "b"], "n": [1.0, 2.0], "y": ["u", "v"]}
    rows = tf.data.Dataset.from_tensor_slices(cells)
    schema = keras_mm.Schema(
        {"t": keras_mm.Category(), "n": keras_mm.Number()}, {"y": keras_mm.ClassLabel()}
    ).adapt(cells)
    columns = {name: tf.constant(values)[:, None] for name, values in cells.items()}
    batches = tf.data.Dataset.from_tensor_slices(columns).batch(2)
    for dataset in (rows.batch(2), rows.batch(2, drop_remainder=True), batches):
        with pytest.raises(ValueError, match="unbatch.*Received: t="):
            data.to_dataset(dataset, schema)
        with pytest.raises(ValueError, match="unbatch.*Received: t="):
            keras_mm.Schema(schema.inputs, schema.targets).adapt(dataset)
    data.to_dataset(rows.batch(2).unbatch(), schema)


def test_weights():
    table = make_table(missing=False)[["price", "category"]]
    schema = small_schema(table, price=keras_mm.Number())
    rows = tf.data.Dataset.from_tensor_slices({k: list(v) for k, v in table.items()})
    for weights in ("balanced", {"basil": 5, 2: 3.0}):
        given = [
            collect(data.to_dataset(source, schema, class_weight=weights))[2]
            for source in (rows, table)
        ]
        np.testing.assert_array_equal(*given)
    settings = {"class_weight": {"basil": 5}, "sample_weight": "price"}
    given = [
        collect(data.to_dataset(source, schema, **settings))[2]
        for source in (
            rows.map(lambda row: {**row, "price": abs(row["price"])}),
            table.assign(price=table["price"].abs()),
        )
    ]
    np.testing.assert_allclose(*given, rtol=1e-6)
    for settings, message in (
        ({"sample_weight": [1.0] * 24}, "one of its columns.*Received: sample_w"),
        ({"sample_weight": "mass"}, "no column 'mass'"),
        ({"class_weight": {"z": 1}}, "classes are .*Received: class_weight="),
    ):
        with pytest.raises(ValueError, match=message):
            data.to_dataset(rows, schema, **settings)
    with pytest.raises(ValueError, match="known length.*Received: class_weight='bal"):
        data.to_dataset(rows.repeat(), schema, class_weight="balanced")


def test_arrays_in_datasets_of_rows():
    pixels = np.stack([random_pixels(i) for i in range(3)])
    schema = keras_mm.Schema({"image": keras_mm.Image((12, 10))})
    rows = tf.data.Dataset.from_tensor_slices({"image": pixels})
    (inputs,) = next(iter(data.to_dataset(rows, schema)))
    np.testing.assert_allclose(inputs["image"], pixels / 255, atol=1e-6)


def test_rows_of_a_dataset_with_missing_labels():
    rows = {
        "size": np.arange(3, dtype="float32"),
        "kind": np.array(["b", "", "a"]),
        "price": np.array([1.5, 2.5, np.nan], "float32"),
    }
    schema = keras_mm.Schema(
        {"size": keras_mm.Number(0.0, 1.0)},
        {
            "kind": keras_mm.ClassLabel(class_names=["a", "b"]),
            "price": keras_mm.Number(),
        },
    )
    dataset = tf.data.Dataset.from_tensor_slices(rows)
    _, target = collect(data.to_dataset(dataset, schema))
    assert target["kind"].tolist() == [1, -1, 0]
    np.testing.assert_array_equal(target["price"][:, 0], rows["price"])
    rows["kind"][1] = "c"
    dataset = tf.data.Dataset.from_tensor_slices(rows)
    message = "^Column 'kind': a label .* in row 1 .*Received: kind='c'$"
    with pytest.raises(ValueError, match=message), plain_errors():
        collect(data.to_dataset(dataset, schema, batch_size=1))
    rows["kind"][1], rows["price"][1] = "", np.nan
    dataset = tf.data.Dataset.from_tensor_slices(rows)
    with pytest.raises(ValueError, match="^Every target .* row 1 "), plain_errors():
        collect(data.to_dataset(dataset, schema))


@pytest.mark.parametrize(
    "cells",
    [
        [1, 2, 5, 2],
        [True, False, False, True],
        [0.0, 1.0, 2.5, 0.1],
        ["01", "1", "NA", "None"],
        ["é", "1.0", "[1]", "true"],
    ],
)
def test_categories_and_labels_by_how_they_are_written(cells):
    table = pd.DataFrame({"a": cells, "y": cells})
    schema = keras_mm.Schema({"a": keras_mm.Category()}, {"y": keras_mm.ClassLabel()})
    rows = tf.data.Dataset.from_tensor_slices({"a": cells, "y": cells})
    assert schema.adapt(rows).get_config() == schema.adapt(table).get_config()
    expected = collect(data.to_dataset(table, schema))
    got = collect(data.to_dataset(rows, schema, batch_size=3))
    np.testing.assert_array_equal(got[0]["a"], expected[0]["a"])
    np.testing.assert_array_equal(got[1], expected[1])


def test_files_by_path_and_broken_ones(tmp_path):
    for name in "ab":
        pixels = np.full((8, 8, 3), 80 if name == "a" else 200)
        (tmp_path / f"{name}.png").write_bytes(encode_picture(pixels))
    whole = (tmp_path / "b.png").read_bytes()
    noise = encode_picture(np.random.default_rng(0).integers(0, 256, (40, 40, 3)))
    middle = len(noise) // 2
    # A header that can be read, and pixels that cannot.
    broken = noise[:middle] + bytes(200) + noise[middle + 200 :]
    cells = ["a.png", whole, "", "none.png", broken]
    schema = keras_mm.Schema({"image": keras_mm.Image((8, 8), augmentation=None)})
    rows = tf.data.Dataset.from_tensor_slices({"image": cells})
    settings = {"base_dir": tmp_path, "batch_size": 2}
    (got,) = collect(data.to_dataset(rows, schema, on_unreadable="missing", **settings))
    mean = got["image"].mean((1, 2, 3)) * 255
    np.testing.assert_allclose(mean, [80, 200, *[np.nan] * 3], atol=1)
    for wrong, message in ((3, "no such file"), (4, "cannot be decoded")):
        rows = tf.data.Dataset.from_tensor_slices({"image": [cells[0], cells[wrong]]})
        with pytest.raises(ValueError, match=f"^Column 'image'.*{message}.* in row 1 "):
            with plain_errors():
                collect(data.to_dataset(rows, schema, **settings))


def test_lists_of_any_length():
    """Ragged tensors, arrays of any shape, and lists of texts."""
    cells = [[[1.0, 2.0]], [], [[3.0, 4.0], [5.0, 6.0]]]
    texts = [["a b"], ["b", "c"], []]
    pictures = [random_pixels(i, (6 + i, 9)) for i in range(3)]
    table = pd.DataFrame({"s": cells, "t": texts, "p": pictures, "tags": texts})

    def generate():
        for row, picture in zip(zip(cells, texts), pictures):
            steps = np.reshape(np.array(row[0], "float32"), (-1, 2))
            yield {"s": steps, "t": row[1], "p": picture, "tags": row[1]}

    text = tf.TensorSpec([None], tf.string)
    signature = {
        "s": tf.TensorSpec([None, 2], tf.float32),
        "t": text,
        "p": tf.TensorSpec([None, None, 3], tf.uint8),
        "tags": text,
    }
    arrays = tf.data.Dataset.from_generator(generate, output_signature=signature)
    ragged = tf.data.Dataset.from_tensor_slices(
        {
            "s": tf.ragged.constant(cells, ragged_rank=1, inner_shape=(2,)),
            "t": tf.ragged.constant(texts),
            "p": tf.ragged.stack(pictures),
            "tags": tf.ragged.constant(texts),
        }
    )
    schema = keras_mm.Schema(
        {
            "s": keras_mm.Sequence(3, 2),
            "t": keras_mm.Text(num_texts=2, sequence_length=3, tokens="words"),
            "p": keras_mm.Image((8, 8), augmentation=None),
        },
        {"tags": keras_mm.MultiLabel()},
    ).adapt(table)
    expected = collect(data.to_dataset(table, schema))
    for rows in (arrays, ragged):
        if rows is ragged:
            # What a ragged tensor holds are lists; a picture is an array.
            rows = rows.map(lambda row: {**row, "p": row["p"].to_tensor()})
            rows = rows.take(1)
        got = collect(data.to_dataset(rows, schema, batch_size=2))
        for name, value in got[0].items():
            np.testing.assert_array_equal(value, expected[0][name][: len(value)])
        np.testing.assert_array_equal(got[1], expected[1][: len(got[1])])


def test_large_numbers_stay_apart():
    values = 1e9 + np.arange(4.0)
    rows = tf.data.Dataset.from_tensor_slices({"x": values})
    schema = keras_mm.Schema({"x": keras_mm.Number()}).adapt(rows)
    (got,) = collect(data.to_dataset(rows, schema))
    np.testing.assert_allclose(got["x"].std(), 1.0, rtol=1e-4)


def test_absent_columns_of_a_dataset():
    from keras_mm.data.columns import fill_absent

    rows = tf.data.Dataset.from_tensor_slices({"a": [1.0, 2.0]})
    schema = keras_mm.Schema(
        {"a": keras_mm.Number(0.0, 1.0), "b": keras_mm.Vector(2, 0.0, 1.0)}
    )
    with pytest.warns(UserWarning, match="no column 'b'"):
        rows = fill_absent(rows, schema.inputs)
    (got,) = collect(data.to_dataset(rows, schema))
    assert got["a"].tolist() == [[1.0], [2.0]] and np.isnan(got["b"]).all()
