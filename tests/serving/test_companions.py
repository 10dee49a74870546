import base64
import json
import os

import jsonschema
import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm.serving.companions import MAX_BATCH_SIZE, write_companions
from keras_mm.serving.guide import guide
from keras_mm.serving.runtime import run_in_libtensorflow

WARMUP = "assets.extra/tf_serving_warmup_requests"


@pytest.fixture(scope="module")
def schema():
    table = pd.DataFrame(
        {
            "text": ["a red bird", "a blue fish"],
            "price": [1.0, 3.0],
            "shop": ["a|b", "c"],
            "animal": ["bird", "fish"],
        }
    )
    return keras_mm.Schema(
        inputs={
            "image": keras_mm.Image((16, 16)),
            "text": keras_mm.Text(),
            "price": keras_mm.Number(),
            "shop": keras_mm.Category(),
        },
        targets={"animal": keras_mm.ClassLabel()},
    ).adapt(table)


def test_words_for_missing_cells_are_said_once_where_they_are_known():
    inputs = {"price": keras_mm.Number(), "score": keras_mm.Number()}
    words = {"price": ["", "1e400", "inf", "7"], "score": []}
    lines = guide("m", inputs, {}, {}, {}, words).splitlines()
    price, score = (
        line for line in lines if line.startswith(("| `price`", "| `score`"))
    )
    assert price.endswith("`NaN`, `Infinity`, `7.0` |") and score.endswith("| `NaN` |")


@pytest.fixture(scope="module")
def requests(schema):
    random = np.random.default_rng(0)
    rows = {
        name: [value.sample(random), value.missing, value.sample(random)]
        for name, value in schema.inputs.items()
    }
    raw = {
        # float32 on purpose: the warm-up must have the signature's dtype.
        name: np.array(values, dtype="float32" if name == "price" else object)
        for name, values in rows.items()
    }
    return {"serving_default": raw, "embed": {"text": raw["text"]}}


@pytest.fixture(scope="module")
def exported(tmp_path_factory, schema, requests):
    """A model with the right inputs; what it computes does not matter here."""
    import tensorflow as tf

    def count(**raw):
        return {"rows": tf.stack([tf.shape(value)[0] for value in raw.values()])}

    def specs(names):
        return {name: schema.inputs[name].serving_spec(name) for name in names}

    folder = tmp_path_factory.mktemp("saved_models") / "toy"
    module = tf.Module()
    functions = {
        name: tf.function(count).get_concrete_function(**specs(raw))
        for name, raw in requests.items()
    }
    module.functions = list(functions.values())
    tf.saved_model.save(module, str(folder / "1"), signatures=functions)
    write_companions(folder, "toy", folder / "1", schema, requests)
    return folder


def read(folder, name):
    return (folder / name).read_text(encoding="utf-8")


def warmup_records(exported):
    import tensorflow as tf

    dataset = tf.data.TFRecordDataset(str(exported / "1" / WARMUP))
    return list(dataset.as_numpy_iterator())


def test_all_files_are_there_and_no_temporary_one(exported):
    assert sorted(os.listdir(exported)) == [
        "1",
        "SERVING.md",
        "batching.config",
        "models.config",
        "monitoring.config",
        "request.json",
        "request.schema.json",
    ]
    assert os.listdir(exported / "1" / "assets.extra") == [os.path.basename(WARMUP)]


def test_warmup_is_what_tensorflow_serving_reads(exported, requests):
    """The hand-written protos, read and written again by the real classes."""
    import tensorflow as tf

    pytest.importorskip("tensorflow_serving")
    from tensorflow_serving.apis import prediction_log_pb2

    records = warmup_records(exported)
    seen = []
    for record in records:
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "toy"
        signature = request.model_spec.signature_name
        raw = requests[signature]
        arrays = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        assert set(arrays) == set(raw)
        rows = len(next(iter(arrays.values())))
        seen.append((signature, rows))
        for key, array in arrays.items():
            expected = raw[key][:rows]
            if key == "price":
                assert array.dtype == "float64"
                np.testing.assert_array_equal(array, expected)
            else:
                assert array.tolist() == expected.tolist()
        # Nothing unknown, nothing lost: the real class writes as much.
        assert log.ByteSize() == len(record)
    assert seen == [("serving_default", n) for n in (1, 3)] + [
        ("embed", n) for n in (1, 3)
    ]


def test_model_runs_on_the_warmup_rows(exported, requests):
    result = run_in_libtensorflow(
        exported / "1", "serving_default", requests["serving_default"]
    )
    assert result["rows"].tolist() == [3, 3, 3, 3]


def test_models_config_is_a_model_server_config(exported):
    pytest.importorskip("tensorflow_serving")
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = text_format.Parse(
        read(exported, "models.config"), model_server_config_pb2.ModelServerConfig()
    )
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("toy", "/models/toy")


def test_request_fits_its_schema(exported, requests):
    request_schema = json.loads(read(exported, "request.schema.json"))
    request = json.loads(read(exported, "request.json"))
    jsonschema.Draft202012Validator.check_schema(request_schema)
    jsonschema.validate(request, request_schema)
    first, second = request["instances"]
    raw = requests["serving_default"]
    assert base64.b64decode(first["image"]["b64"]) == raw["image"][0]
    assert first["text"] == raw["text"][0].decode()
    assert second["image"] == second["text"] == second["shop"] == ""
    assert np.isnan(second["price"])


@pytest.mark.parametrize(
    "change",
    [
        {"price": "12"},
        {"image": "no base64"},
        {"image": {"b64": "", "more": 1}},
        {"text": 3},
        {"unknown": 1},
        {"text": None},
    ],
    ids=str,
)
def test_schema_refuses_what_the_server_refuses(exported, change):
    request_schema = json.loads(read(exported, "request.schema.json"))
    request = json.loads(read(exported, "request.json"))
    request["instances"][0].update(change)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(request, request_schema)


def test_schema_refuses_an_absent_input_and_too_many_rows(exported):
    request_schema = json.loads(read(exported, "request.schema.json"))
    (row, _) = json.loads(read(exported, "request.json"))["instances"]
    jsonschema.validate({"instances": [row] * MAX_BATCH_SIZE}, request_schema)
    with pytest.raises(jsonschema.ValidationError, match="too long"):
        jsonschema.validate({"instances": [row] * (MAX_BATCH_SIZE + 1)}, request_schema)
    del row["text"]
    with pytest.raises(jsonschema.ValidationError, match="'text' is a required"):
        jsonschema.validate({"instances": [row]}, request_schema)


def test_guide_names_every_input_output_and_file(exported):
    guide = read(exported, "SERVING.md")
    for name in (
        *("image", "text", "price", "shop"),
        *("animal", "animal_classes", "animal_probabilities", "image_ok"),
        *("serving_default", "embed"),
    ):
        assert f"`{name}`" in guide
    for file in set(os.listdir(exported)) - {"1", "SERVING.md"}:
        assert file in guide
    assert "curl -d @request.json http://localhost:8501/v1/models/toy:predict" in guide
    assert str(exported.parent) not in guide
    # Every row of a table has as many cells as its head.
    for line in guide.splitlines():
        if line.startswith("| `"):
            bars = line.replace("\\|", "").count("|")
            assert bars in (3, 4), line


def test_writing_again_replaces(exported, schema, requests):
    before = {
        name: read(exported, name) for name in os.listdir(exported) if "." in name
    }
    write_companions(str(exported), "toy", str(exported / "1"), schema, requests)
    assert before == {name: read(exported, name) for name in before}


def test_refuses_to_go_without_rows(tmp_path, schema):
    with pytest.raises(ValueError, match=r"Received: requests for \['embed'\]"):
        write_companions(tmp_path, "toy", tmp_path / "1", schema, {"embed": {}})
    assert os.listdir(tmp_path) == []


def test_refuses_rows_for_no_signature(tmp_path, exported, schema, requests):
    wrong = {**requests, "nothing": {}}
    with pytest.raises(ValueError, match=r"Received: requests for \['nothing'\]"):
        write_companions(tmp_path, "toy", exported / "1", schema, wrong)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "target, lines",
    [
        (
            keras_mm.MultiLabel(["red", "round"]),
            ["joined by `\\|`", "| `tags_classes` |", "| `tags_probabilities` |"],
        ),
        (keras_mm.Number(), ["| `tags` | the predicted number |"]),
    ],
    ids=["labels", "number"],
)
def test_guide_tells_the_target(tmp_path, exported, schema, requests, target, lines):
    other = keras_mm.Schema(schema.inputs, {"tags": target})
    write_companions(tmp_path, "toy", exported / "1", other, requests)
    for line in lines:
        assert line in read(tmp_path, "SERVING.md")


def test_no_batching_where_lengths_differ(tmp_path):
    """A server that merges such requests fails, or answers wrongly."""
    import tensorflow as tf

    inputs = {
        "pulse rate": keras_mm.Sequence(4, mean=[0.0], std=[1.0]),
        "price": keras_mm.Number(0.0, 1.0),
    }
    schema = keras_mm.Schema(inputs, {"best of": keras_mm.ClassLabel(2)})
    specs = {
        name: inputs[column].serving_spec(name)
        for column, name in schema.served_names.items()
        if column in inputs
    }
    module = tf.Module()
    module.serve = tf.function(lambda **raw: {"rows": tf.shape(raw["price"])})
    function = module.serve.get_concrete_function(**specs)
    path = str(tmp_path / "1")
    tf.saved_model.save(module, path, signatures={"serving_default": function})
    rows = {"pulse_rate": np.ones((2, 3, 1)), "price": np.ones(2)}
    # Of an earlier version.
    (tmp_path / "batching.config").write_text("max_batch_size { value: 32 }")
    write_companions(tmp_path, "toy", path, schema, {"serving_default": rows})
    assert not (tmp_path / "batching.config").exists()
    guide = read(tmp_path, "SERVING.md")
    command = "\n".join(keras_mm.serving.serving_commands(tmp_path))
    assert "--enable_batching" not in command
    assert "The length of `pulse_rate` may differ" in guide
    assert "| `pulse_rate`, column `pulse rate` |" in guide
    assert "| `best_of`, column `best of` | the most probable class |" in guide
    assert "| `best_of_classes` |" in guide
    properties = json.loads(read(tmp_path, "request.schema.json"))
    properties = properties["properties"]["instances"]["items"]["properties"]
    assert properties["pulse_rate"]["title"] == "pulse rate"


def test_guide_tells_how_to_run_a_server(exported):
    guide = read(exported, "SERVING.md")
    for words in (
        "--max_num_load_retries=0",
        "--grpc_max_threads=200",
        "--enable_batching",
        "mv .copying 2",
        "mv 2 .withdrawn-2",
        'version_labels { key: "canary" value: 2 }',
        "--allow_version_labels_for_unavailable_models",
        "/v1/models/toy/labels/canary",
        "the response omits its name",
        "| `embed` | `text` | `rows` |",
    ):
        assert words in guide, words
