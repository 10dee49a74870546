"""Export and loading: the same answers everywhere, on every backend."""

import importlib.util
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys

import jsonschema
import keras
import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm.serving import libtensorflow, run_in_libtensorflow
from keras_mm.serving.export import next_version
from keras_mm.serving.verify import verification_rows

from ..helpers import encode_picture, make_table, random_pixels
from .test_client import Stub

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="exports of the other backends are tried in processes of their own",
)
pytestmark = on_tensorflow

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

TRAIN = """
import sys
import numpy as np, pandas as pd
import keras, keras_mm
table = pd.read_pickle(sys.argv[1])
rows = pd.read_pickle(sys.argv[2])
schema = keras_mm.Schema(
    inputs={
        "image": keras_mm.Image(
            (16, 16), augmentation=keras.Sequential([keras.layers.RandomFlip()])
        ),
        "text": keras_mm.Text(sequence_length=6),
        "price": keras_mm.Number(),
        "shop": keras_mm.Category(),
    },
    targets={"label": keras_mm.ClassLabel()},
).adapt(table)
model = keras_mm.build_classifier(
    schema,
    encoders={
        "image": keras_mm.encoders.CNN(4),
        "text": keras_mm.encoders.LSTM(4, 4),
        "price": keras_mm.encoders.Dense(4),
        "shop": keras_mm.encoders.Embedding(4),
    },
    fusion=keras_mm.fusion.Gated(6),
    label_smoothing=0.1,
    seed=0,
)
model.fit(table, epochs=1, verbose=0)
model.save(sys.argv[3] + "/model.keras")
np.save(sys.argv[3] + "/predicted.npy", model.predict(rows, verbose=0))
print(keras_mm.export(model, sys.argv[3] + "/model", verbose=False))
"""

LOAD = """
import sys
import numpy as np, pandas as pd
import keras, keras_mm
model = keras.models.load_model(sys.argv[1] + "/model.keras")
np.save(sys.argv[1] + "/loaded.npy", model.predict(pd.read_pickle(sys.argv[2]), verbose=0))
"""


def run(code, *arguments, backend="tensorflow"):
    paths = [ROOT, os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]


def every_subset(table, columns):
    """One row for each subset of the columns that is missing."""
    rows = []
    for size in range(len(columns) + 1):
        for absent in itertools.combinations(columns, size):
            row = table.iloc[len(rows) % len(table)].to_dict()
            rows.append({**row, **dict.fromkeys(absent)})
    return pd.DataFrame(rows)


def raw_of(rows, schema):
    raw = keras_mm.data.raw.to_raw(rows, schema)
    return {
        name: np.array([v for v in values], dtype=values.dtype)
        for name, values in raw.items()
    }


@pytest.mark.parametrize(
    "backend",
    [
        "tensorflow",
        *(pytest.param(b, marks=pytest.mark.large) for b in ("jax", "torch")),
    ],
)
def test_same_answers_in_fresh_processes(backend, tmp_path):
    """Model, its file, and its export on the C library: one set of numbers."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    table = make_table(24, missing=False)
    table["label"] = [str(row % 3) for row in range(len(table))]
    columns = ["image", "text", "price", "shop"]
    table = table[[*columns, "label"]]
    rows = every_subset(table, columns)
    table.to_pickle(tmp_path / "table.pkl")
    rows.to_pickle(tmp_path / "rows.pkl")
    run(
        TRAIN,
        tmp_path / "table.pkl",
        tmp_path / "rows.pkl",
        tmp_path,
        backend=backend,
    )
    run(LOAD, tmp_path, tmp_path / "rows.pkl", backend=backend)
    predicted = np.load(tmp_path / "predicted.npy")
    assert predicted.shape == (16, 3) and np.isfinite(predicted).all()
    np.testing.assert_allclose(np.load(tmp_path / "loaded.npy"), predicted, atol=1e-6)

    schema = keras.models.load_model(tmp_path / "model.keras").schema
    raw = raw_of(rows, schema)
    path = str(tmp_path / "model" / "1")
    answer = run_in_libtensorflow(path, "serving_default", raw)
    np.testing.assert_allclose(answer["label_probabilities"], predicted, atol=1e-5)
    best = predicted.argmax(axis=1)
    assert [name.decode() for name in answer["label"]] == [str(b) for b in best]
    assert answer["image_ok"].tolist() == [cell is not None for cell in rows.image]


ASK = """
import os, sys
package, folder, path, *names = sys.argv[1:]
sys.path.append(os.path.dirname(package))
import libtensorflow
for name in names:
    raw = libtensorflow.load_arrays(f"{folder}/{name}.npz")
    answer = libtensorflow.run_saved_model(path, name, raw)
    libtensorflow.save_arrays(f"{folder}/{name}_answer.npz", answer)
assert "tensorflow" not in sys.modules
"""


def test_every_signature_runs_on_the_c_library(shop, tmp_path):
    _, model, path = shop
    raw = verification_rows(model.schema)
    # Formats that are read by operations of their own, or by arithmetic.
    formats = ("JPEG", "WEBP", "GIF", "BMP")
    for row, kind in enumerate(formats):
        raw["image"][row] = encode_picture(random_pixels(), kind)
    here = keras_mm.serving.ExportedModel(path)
    names = set(here.signatures)
    assert {"serving_default", "serving_tensors", "embed", "explain"} <= names
    assert {"embed_image", "embed_product_text"} <= names
    served, tensors = model.schema.served_names, model.schema.preprocess(raw)
    raw = {served[name]: value for name, value in raw.items()}
    tensors = {served[name]: np.asarray(value) for name, value in tensors.items()}
    feeds = {}
    for name in names:
        feed = tensors if name == "serving_tensors" else raw
        feeds[name] = {key: feed[key] for key in here.inputs(name)}
        libtensorflow.save_arrays(tmp_path / f"{name}.npz", feeds[name])
    # One process for all of them: `run_in_libtensorflow` starts one for each.
    run(ASK, *libtensorflow.__path__, tmp_path, path, *names)
    answer = here.run("serving_default", feeds["serving_default"])
    assert answer["image_ok"][: len(formats)].all()
    for name in names:
        there = libtensorflow.load_arrays(tmp_path / f"{name}_answer.npz")
        for key, value in here.run(name, feeds[name]).items():
            if value.dtype == object:
                assert value.tolist() == there[key].tolist(), (name, key)
            else:
                np.testing.assert_allclose(there[key], value, atol=1e-5)
                assert np.isfinite(value).all()


def test_words_for_missing_cells_are_served(shop):
    table, model, path = shop
    exported = keras_mm.load_exported(path)
    rows = table.head(2).assign(**{"2nd price (EUR)": [-999.0, 1.0]})
    rows["product text"] = ["?", "red"]
    none = rows.assign(**{"2nd price (EUR)": [None, 1.0]})
    none["product text"] = [None, "red"]
    expected = model.predict(none, verbose=0)["sum"]
    np.testing.assert_allclose(model.predict(rows, verbose=0)["sum"], expected)
    raw = {
        "image": [b"", b""],
        "product_text": [b" ?", b""],
        "column_2nd_price_EUR": [-999.0, np.nan],
    }
    answer = exported.run("serving_default", raw)["sum"]
    assert answer[0] == answer[1]
    guide = (pathlib.Path(path).parent / "SERVING.md").read_text()
    assert '| `""`, `"-999"`, `"?"` |' in guide and "| `NaN`, `-999.0` |" in guide
    # Of a table words that are no numbers are known, too.
    rows["2nd price (EUR)"] = ["?", "1.0"]
    np.testing.assert_allclose(exported(rows)["sum"], expected[:, 0], rtol=1e-4)


def test_bad_picture_costs_its_own_row_only(shop):
    table, model, path = shop
    exported_model = keras_mm.load_exported(os.path.dirname(path))
    rows = table.head(4).copy()
    before = exported_model(rows)
    rows["image"] = [rows.image[0], b"garbage", rows.image[2][:40], rows.image[3]]
    after = exported_model(rows)
    assert after.image_ok.tolist() == [True, False, False, True]
    for row in (0, 3):
        np.testing.assert_allclose(
            after["best_of_probabilities"][row],
            before["best_of_probabilities"][row],
            atol=1e-6,
        )
    absent = rows.copy()
    absent["image"] = [rows.image[0], None, None, rows.image[3]]
    np.testing.assert_allclose(
        np.array(exported_model(absent)["best_of_probabilities"].tolist()),
        np.array(after["best_of_probabilities"].tolist()),
        atol=1e-6,
    )


def test_report_and_versions(shop, tmp_path):
    _, model, path = shop
    with open(os.path.join(path, "verification.json")) as file:
        report = json.load(file)
    assert report["rows"] >= 32
    assert report["largest_difference"] < 1e-5
    assert report["columns"] == model.schema.served_names
    for name in ("7", "8", ".export-x", "9a"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == 9
    shutil.copytree(path, tmp_path / "10")
    assert keras_mm.load_exported(tmp_path).path == str(tmp_path / "10")
    assert sorted(os.listdir(os.path.dirname(path))) == [
        *("1", "SERVING.md", "batching.config", "models.config", "monitoring.config"),
        *("request.json", "request.schema.json"),
    ]


def test_wrong_export_is_refused_and_leaves_nothing(shop, tmp_path, monkeypatch):
    """The proof must be able to fail: weights change after they were written."""
    _, model, path = shop
    module = sys.modules[next_version.__module__]
    bias = model.get_layer("best_of-logits").bias
    before = np.array(bias)

    def write_and_change(model, path_of_copy, *args):
        shutil.copytree(path, path_of_copy, dirs_exist_ok=True)
        bias.assign(bias + np.arange(bias.shape[0]) * 0.1)

    monkeypatch.setattr(module, "write_saved_model", write_and_change)
    with pytest.raises(RuntimeError, match="differs from the Keras model"):
        keras_mm.export(model, tmp_path / "wrong", verbose=False)
    bias.assign(before)
    assert os.listdir(tmp_path / "wrong") == []


@pytest.mark.parametrize("name", ["my model", "a:b", 'a"b', "a'b", ".hidden", "größe"])
def test_folders_that_no_server_can_name(shop, tmp_path, name):
    with pytest.raises(ValueError, match="Export to another folder. Received: path"):
        keras_mm.export(shop[1], tmp_path / name, verbose=False)
    assert not os.listdir(tmp_path)


def test_models_without_schema_are_refused(tmp_path):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    with pytest.raises(ValueError, match="Received: model="):
        keras_mm.export(model, tmp_path)


def test_textbook_without_a_table_takes_tensors(tmp_path):
    model = keras_mm.build_classifier()
    path = keras_mm.export(model, tmp_path / "textbook", verbose=False)
    exported_model = keras_mm.serving.ExportedModel(path)
    assert sorted(exported_model.signatures) == ["serving_default", "serving_tensors"]
    images = np.random.default_rng(0).random((2, 224, 224, 3), dtype="float32")
    tokens = np.array([[5, 6] + [0] * 98, [0] * 100], dtype="int32")
    answer = exported_model.run("serving_default", {"image": images, "text": tokens})
    expected = model.predict([images, tokens], verbose=0)
    np.testing.assert_allclose(answer["category_probabilities"], expected, atol=1e-5)
    # What goes along with it is of tensors, too.
    folder = tmp_path / "textbook"
    request = json.loads((folder / "request.json").read_text())
    schema = json.loads((folder / "request.schema.json").read_text())
    jsonschema.validate(request, schema)
    (answer,) = Stub(path).predict(request)["predictions"]
    assert sum(answer["category_probabilities"]) == pytest.approx(1, abs=1e-5)
    assert "| `image` | array of 224 x 224 x 3 numbers" in (
        folder / "SERVING.md"
    ).read_text(encoding="utf-8")
    assert os.listdir(os.path.join(path, "assets.extra"))
