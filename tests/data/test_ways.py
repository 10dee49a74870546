"""A cell means the same, whichever way it comes.

A DataFrame, a dict, CSV, JSON Lines, Parquet, a `tf.data.Dataset`, a TFDS builder,
the model's file and a request to its export.
"""

import json
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm import data, encoders

from ..helpers import encode_picture, random_pixels
from .test_dataset import collect

tf = pytest.importorskip("tensorflow")
tfds = pytest.importorskip("tensorflow_datasets")

PICTURES = [encode_picture(random_pixels(row)) for row in range(6)]
SOUND = keras_mm.Audio(0.1, 8000, num_mels=8)
SOUNDS = [SOUND.sample(np.random.default_rng(row)) for row in range(6)]
EDGES = [[0, 1], [1, 0]]


class Column(NamedTuple):
    """An input or a target, six cells as a DataFrame holds them, and their form.

    `form` is the shape of a cell in a dataset and its dtype; a dict has one for
    each key. What `is_file` goes into text files as paths. `encoder` is that of a
    modality of its own.
    """

    value: Any
    cells: list
    form: Any = ((), tf.string)
    encoder: Any = None
    is_file: bool = False


# Numbers that float32 has, which is what TFDS keeps of them.
TEXTS, WIDE = ((None,), tf.string), ((None, 2), tf.float64)
INPUTS = {
    "picture": Column(
        keras_mm.Image((12, 12), augmentation=None),
        [*PICTURES[:4], None, PICTURES[5]],
        encoder=encoders.CNN(2),
        is_file=True,
    ),
    "pictures": Column(
        keras_mm.Image((12, 12), augmentation=None, num_images=2),
        [PICTURES[:2], PICTURES[2:3], [], PICTURES[3:5], PICTURES[:2], PICTURES[5:]],
        TEXTS,
        encoders.CNN(2),
        is_file=True,
    ),
    "sound": Column(
        SOUND,
        [None, *SOUNDS[1:]],
        encoder=encoders.SpectrogramCNN((2,), units=2),
        is_file=True,
    ),
    "clip": Column(
        keras_mm.Video(2, (12, 12)),
        [PICTURES[:2], PICTURES[2:5], PICTURES[:1], [], PICTURES[1:3], PICTURES[:3]],
        TEXTS,
        encoders.Frames(units=2),
        is_file=True,
    ),
    "text": Column(
        keras_mm.Text(sequence_length=4, tokens="words"),
        ["red bird", "NA", "01", None, "true", 'a "b", [c]'],
        encoder=encoders.Average(2),
    ),
    "texts": Column(
        keras_mm.Text(sequence_length=3, tokens="words", num_texts=2),
        [["a", "b c"], ["NA"], ["01", "1"], [], ["it's"], ['"a"', "b"]],
        TEXTS,
        encoders.Average(2),
    ),
    "steps": Column(
        keras_mm.Sequence(3, 2),
        [[[1.0, 2.0]], [[0.25, 5.0]] * 4, None, [[1e9, 0.0]], [[1.0, 3.0]], [[2, 2]]],
        WIDE,
        encoders.TemporalCNN((2,), 3),
    ),
    "graph": Column(
        keras_mm.Graph(3, 2),
        [
            None if row == 1 else {"nodes": [[row, 0.5], [1.0, 2.0]], "edges": EDGES}
            for row in range(6)
        ],
        {"nodes": WIDE, "edges": WIDE},
        encoders.GCN(2, num_layers=1),
    ),
    "vector": Column(
        keras_mm.Vector(2),
        [[0.5, 0.25], [1.0, -1.0], None, [0.75, 0.75], [0.125, 5.0], [0.0, 0.0]],
        ((2,), tf.float64),
        encoders.Dense(2),
    ),
    "number": Column(
        keras_mm.Number(),
        [1.5, None, 2.0**40, -3.0, 0.125, 2.0],
        ((), tf.float64),
    ),
    "large": Column(
        keras_mm.Number(), [10**9 + row for row in range(6)], ((), tf.int64)
    ),
    "date": Column(
        keras_mm.Date(), ["2024-05-01", None, "2024-05-01T13:30", *["1999-12-31"] * 3]
    ),
    "code": Column(keras_mm.Category(), ["01", "1", "001", "1", "01", None]),
    "country": Column(keras_mm.Category(), ["NA", "None", "null", "NA", "nan", "NO"]),
    "flag": Column(keras_mm.Category(), [True, False] * 3, ((), tf.bool)),
    "shop": Column(keras_mm.Category(), [3, 10, 3, 2, 2, 3], ((), tf.int64)),
}
TARGETS = {
    "stars": Column(keras_mm.ClassLabel(), [5, 1, 10, 1, 5, 5], ((), tf.int64)),
    "good": Column(keras_mm.ClassLabel(), [True, False] * 3, ((), tf.bool)),
    "zip": Column(keras_mm.ClassLabel(), ["01", "1", None, "01", "NA", "1"]),
    "tags": Column(
        keras_mm.MultiLabel(),
        [["a", "b"], ["NA"], ["01"], ["b"], ["1", "a"], ["a"]],
        TEXTS,
    ),
    "price": Column(
        keras_mm.Number(), [0.125, 0.5, None, 0.25, 0.125, 2.0], ((), tf.float64)
    ),
}
COLUMNS = {**INPUTS, **TARGETS}


def new_schema():
    again = {
        name: type(column.value).from_config(column.value.get_config())
        for name, column in COLUMNS.items()
    }
    return keras_mm.Schema(
        {name: again[name] for name in INPUTS}, {name: again[name] for name in TARGETS}
    )


def frame():
    return pd.DataFrame(
        {
            name: pd.Series(column.cells, dtype=object)
            for name, column in COLUMNS.items()
        }
    )


def with_paths(folder):
    """The same rows, of which text files can hold the cells."""

    def path_of(cell):
        if not isinstance(cell, bytes):
            return [path_of(part) for part in cell] if cell else cell
        path = folder / f"{abs(hash(cell))}.bin"
        path.write_bytes(cell)
        return path.name

    table = frame()
    for name, column in COLUMNS.items():
        if column.is_file:
            table[name] = pd.Series(list(map(path_of, column.cells)), dtype=object)
    return table


def to_tensor(cell, form):
    if isinstance(form, dict):
        return {key: to_tensor(cell and cell[key], form[key]) for key in form}
    shape, dtype = form
    if dtype == tf.string:
        return cell or ("" if not shape else [])
    if cell is None:
        return np.full([length or 0 for length in shape], np.nan)
    return np.array(cell, dtype.as_numpy_dtype)


def examples():
    for row in range(6):
        yield {n: to_tensor(c.cells[row], c.form) for n, c in COLUMNS.items()}


def by_form(make):
    """dict from each column's name to what `make` gives for its form."""

    def of(form):
        if isinstance(form, dict):
            return {key: of(part) for key, part in form.items()}
        return make(*form)

    return {name: of(column.form) for name, column in COLUMNS.items()}


def csv_file(folder):
    with_paths(folder).to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def json_file(folder):
    rows = with_paths(folder).to_dict("records")
    (folder / "table.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "table.jsonl"


def parquet_file(folder):
    frame().to_parquet(folder / "table.parquet")
    return folder / "table.parquet"


def dataset(folder):
    return tf.data.Dataset.from_generator(
        examples, output_signature=by_form(tf.TensorSpec)
    ).apply(tf.data.experimental.assert_cardinality(6))


def tfds_set(folder):
    features = tfds.features.FeaturesDict(
        by_form(lambda shape, dtype: tfds.features.Tensor(shape=shape, dtype=dtype))
    )

    class EveryColumn(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=features, disable_shuffling=True
            )

        def _split_generators(self, manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            yield from enumerate(examples())

    builder = EveryColumn(data_dir=folder)
    builder.download_and_prepare()
    return builder.as_dataset(split="train")


WAYS = {
    "DataFrame": lambda folder: frame(),
    "dict": lambda folder: {name: column.cells for name, column in COLUMNS.items()},
    "paths": with_paths,
    "CSV": csv_file,
    "JSON Lines": json_file,
    "Parquet": parquet_file,
    "tf.data": dataset,
    "TFDS": tfds_set,
}


@pytest.fixture(scope="module")
def schema():
    return new_schema().adapt(frame())


@pytest.fixture(scope="module")
def batch(schema):
    return collect(data.to_dataset(frame(), schema))


@pytest.mark.parametrize("way", WAYS)
def test_the_same_is_learned_and_read(way, schema, batch, tmp_path):
    source = WAYS[way](tmp_path)
    learned = new_schema().adapt(source)
    assert learned.get_config() == schema.get_config()
    rows = data.to_dataset(source, schema, 4, base_dir=tmp_path)
    for got, expected in zip(collect(rows), batch, strict=True):
        assert list(got) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(got[name], value, err_msg=name)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a model of everything once"
)
def test_predictions_scores_and_answers(schema, tmp_path):
    model = keras_mm.build_multitask(
        schema,
        encoders={n: c.encoder for n, c in INPUTS.items() if c.encoder},
        fusion="mean",
        hidden_units=None,
        seed=0,
    )
    # Six rows are gone through sooner than a graph is made.
    model.run_eagerly = True
    table = frame()
    model.fit(table, batch_size=6, verbose=0)
    expected = model.predict(table, verbose=0)
    scores = model.evaluate(table, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    got = loaded.predict(WAYS["CSV"](tmp_path), base_dir=tmp_path, verbose=0)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-6, rtol=1e-5)
    got = loaded.evaluate(WAYS["tf.data"](tmp_path), verbose=0)
    np.testing.assert_allclose(got, scores, rtol=1e-5)
    path = keras_mm.export(model, tmp_path / "exported", verbose=False)
    answers = keras_mm.load_exported(path)(table)
    for name, target in model.schema.targets.items():
        if target.kind == "number":
            got = np.array(answers[name].tolist()).reshape(-1, 1)
        else:
            assert answers[f"{name}_classes"][0] == target.names
            got = np.array(answers[f"{name}_probabilities"].tolist())
        np.testing.assert_allclose(got, expected[name], atol=1e-5, err_msg=name)


# Three spellings of the same cells: what each means, and where they can stand.
LISTS = [[0.5, 2.0], [1.0, -1.0]]
SPELLINGS = {
    "leading zeros": (
        keras_mm.Category(["007", "7"]),
        [2, 3],
        [["007", "7"], [b"007", b"7"], [np.str_("007"), np.str_("7")]],
    ),
    "booleans": (
        keras_mm.Category(["True", "False"]),
        [2, 3],
        [[True, False], [np.True_, np.False_], ["True", "False"]],
    ),
    "NA": (
        keras_mm.Category(["NA", "None"]),
        [2, 3],
        [["NA", "None"], [b"NA", b"None"], [np.str_("NA"), np.str_("None")]],
    ),
    "integers": (
        keras_mm.ClassLabel(class_names=["5", "1"]),
        [1, 0],
        [[1, 5], [np.int8(1), np.int8(5)], ["1", "5"]],
    ),
    "whole floats as texts": (
        keras_mm.Text(tokens="words", sequence_length=2, vocabulary=["12", "7"]),
        [[2, 0], [3, 0]],
        [[12.0, 7.0], ["12.0", "7.0"], [12, 7]],
    ),
    "large and negative floats": (
        keras_mm.Category(["10000000000000000", "0"]),
        [2, 3],
        [[1e16, -0.0], ["1e+16", "-0.0"], [10**16, 0]],
    ),
    "whole floats among names": (
        keras_mm.Category(["5", "1.0", "1.50"]),
        [3, 2],
        [[1.0, 5.0], [1, 5], ["1.0", "5.0"]],
    ),
    "whole floats": (
        keras_mm.ClassLabel(class_names=["5", "1"]),
        [1, 0],
        [[1.0, 5.0], [np.float32(1), np.float32(5)], ["1", "5"]],
    ),
    "indices": (
        keras_mm.ClassLabel(class_names=["cat", "dog"]),
        [1, 0],
        [[1, 0], ["dog", "cat"], ["1", "0"]],
    ),
    "lists": (
        keras_mm.Vector(2, mean=0.0, std=1.0),
        LISTS,
        [LISTS, list(np.array(LISTS)), ["[0.5, 2.0]", "[1, -1]"]],
    ),
    "tags": (
        keras_mm.MultiLabel(["a", "b"]),
        [[1, 1], [0, 1]],
        [[["a", "b"], ["b"]], ["a|b", "b"], ['["a", "b"]', "['b']"]],
    ),
    "indicators": (
        keras_mm.MultiLabel(["a", "b"]),
        [[1, 1], [0, 1]],
        [[[1, 1], [0, 1]], list(np.array([[True, True], [False, True]])), ["a|b", "b"]],
    ),
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_spellings(kind, tmp_path):
    value, expected, spellings = SPELLINGS[kind]
    is_input = hasattr(value, "to_raw")
    schema = keras_mm.Schema(
        {"cell": value} if is_input else {"x": keras_mm.Number(0.0, 1.0)},
        {} if is_input else {"cell": value},
    )
    for number, cells in enumerate(spellings):
        table = pd.DataFrame({"cell": pd.Series(cells, dtype=object), "x": [0.0, 1.0]})
        are_alike = len({np.shape(cell) for cell in cells}) == 1
        tensor = (tf.constant if are_alike else tf.ragged.constant)(cells)
        ways = {
            "DataFrame": table,
            "dict": {"cell": cells, "x": [0.0, 1.0]},
            "tf.data": tf.data.Dataset.from_tensor_slices(
                {"cell": tensor, "x": [0.0, 1.0]}
            ),
        }
        if not isinstance(cells[0], bytes):
            table.to_parquet(tmp_path / "t.parquet")
            table.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
            ways |= {"Parquet": tmp_path / "t.parquet", "JSON": tmp_path / "t.jsonl"}
            table.to_csv(tmp_path / "t.csv", index=False)
            ways["CSV"] = tmp_path / "t.csv"
        for way, source in ways.items():
            found = collect(data.to_dataset(source, schema))
            found = found[0]["cell"] if is_input else found[1]
            np.testing.assert_array_equal(
                np.reshape(found, np.shape(expected)), expected, f"{way}, {number}"
            )


def test_columns_of_shape_one():
    schema = keras_mm.Schema(
        {"c": keras_mm.Category(["x", "y"]), "n": keras_mm.Number(0.0, 1.0)}, {}
    )
    columns = {"c": [["x"], ["y"]], "n": np.array([[0.5], [0.25]])}
    for source in (columns, tf.data.Dataset.from_tensor_slices(columns)):
        [(found,)] = data.to_dataset(source, schema, with_target=False)
        assert found["c"].numpy().tolist() == [[2], [3]]
        assert found["n"].numpy().tolist() == [[0.5], [0.25]]


def test_a_models_columns_do_not_learn_anew(schema):
    schema, table = keras_mm.Schema.from_config(schema.get_config()), frame()
    for name, value in {**schema.inputs, **schema.targets}.items():
        value.is_in_use = True
        if type(value).adapt is not keras_mm.inputs.Input.adapt:
            with pytest.raises(ValueError, match="weights depend on"):
                value.adapt(table[name], name)


# Three rows of which the second is missing, by a word or a number that says so.
MISSING_WORDS = {
    "code": (keras_mm.Category(["a"]), ["a", "?", "a"]),
    "number": (keras_mm.Number(0.0, 1.0), [1.5, -999, 2.0]),
    "decimals": (keras_mm.Number(0.0, 1.0), ["1.50", "-999.00", "2.00"]),
    "day": (keras_mm.Date(False, 19844.0, 1.0), ["2024-05-01", " ?", "2024-05-02"]),
    "text": (keras_mm.Text(tokens="words", vocabulary=["a"]), ["a", "?", "a"]),
    "texts": (
        keras_mm.Text(tokens="words", vocabulary=["a"], num_texts=2),
        [["a", "a"], ["?", "-999"], ["a", "a"]],
    ),
}


def test_words_for_missing_cells_go_with_the_schema(tmp_path):
    schema = keras_mm.Schema(
        {name: value for name, (value, _) in MISSING_WORDS.items()},
        {"y": keras_mm.Number()},
        missing=["?", -999],
    )
    schema = keras_mm.Schema.from_config(schema.get_config())
    columns = {name: cells for name, (_, cells) in MISSING_WORDS.items()}
    table = pd.DataFrame(columns | {"y": [1.0, -999.0, 3.0]})
    with pytest.raises(ValueError, match="no label, but one of missing=.* in row 1"):
        data.to_dataset(table, schema)
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    for source in (
        table,
        tmp_path / "t.csv",
        tmp_path / "t.jsonl",
        tf.data.Dataset.from_tensor_slices(dict(columns, number=[1.5, -999.0, 2.0])),
    ):
        found = collect(data.to_dataset(source, schema, with_target=False))[0]
        for name, tensor in found.items():
            rows = np.reshape(tensor, (3, -1))
            gone = np.isnan(rows) if rows.dtype.kind == "f" else rows == 0
            assert gone.all(axis=1).tolist() == [False, True, False], name
    # A request's way is that of the graph.
    raw = {
        name: value.raw_array(columns[name])
        for name, (value, _) in MISSING_WORDS.items()
        if name != "decimals"
    }
    raw = {name: tf.constant(array.tolist()) for name, array in raw.items()}
    raw["decimals"] = tf.constant([1.5, -999.0, 2.0], tf.float64)
    for name, tensor in schema.preprocess(raw).items():
        np.testing.assert_array_equal(tensor, found[name], err_msg=name)
    schema.adapt(table.drop(index=1))
    assert keras_mm.Schema(schema.inputs, {}, missing=["?", -999]).adapt(table)
    assert schema.inputs["number"].mean == schema.inputs["decimals"].mean == 1.75
