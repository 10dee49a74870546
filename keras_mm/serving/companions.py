import json
import os

from ..files import replacing
from ..inputs import ClassLabel, MultiLabel, Number
from .libtensorflow import read_signatures

# Rows in one request: what batching.config allows, and what Client sends.
MAX_BATCH_SIZE = 32

_MODELS = """\
# tensorflow_model_server --model_config_file=models.config
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
}}
"""

_BATCHING = f"""\
# tensorflow_model_server --enable_batching --batching_parameters_file=batching.config
# A request of more rows than max_batch_size is refused. A request waits up to
# batch_timeout_micros for others to join it. Threads: one for each CPU core.
max_batch_size {{ value: {MAX_BATCH_SIZE} }}
batch_timeout_micros {{ value: 1000 }}
max_enqueued_batches {{ value: 100 }}
"""

_MONITORING = """\
# tensorflow_model_server --monitoring_config_file=monitoring.config
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

_SERVING = """\
# Serving {name}

Run these lines in the folder of this file.

```
docker run --rm -p 8501:8501 -p 8500:8500 -v "$PWD:/models/{name}:ro" \\
  tensorflow/serving \\
  --model_config_file=/models/{name}/models.config \\
  --enable_batching --batching_parameters_file=/models/{name}/batching.config \\
  --monitoring_config_file=/models/{name}/monitoring.config
```

```
curl -d @request.json http://localhost:8501/v1/models/{name}:predict
```

```python
client = keras_mm.serving.Client("http://localhost:8501", "{name}")
client(table)
```

## What goes in

Every row names every input. `request.schema.json` is the JSON Schema of a
request; one request holds at most {max_batch_size} rows.

| input | value | missing |
|---|---|---|
{inputs}

`NaN` stands bare, without quotes: the server reads it, though strict JSON does
not have it.

## What comes out

| output | value |
|---|---|
{outputs}

## Signatures

`"signature_name"` beside `"instances"` chooses another one than
`serving_default`: {signatures}.
{search}"""


_SEARCH = """
`search` takes the same inputs, some of which may be missing, and gives the `ids` of
the nearest rows, the best first, and their `scores`, cosines. An empty query has
empty ids.
"""


def write_companions(folder, name, version_path, schema, requests):
    """Writes the files that belong to an exported model.

    In the version: `assets.extra/tf_serving_warmup_requests`, which the server
    replays before it announces the version, so that the first real request is
    not the slow one. Beside the versions: `models.config`, `batching.config`
    and `monitoring.config` for the server, `request.schema.json`,
    `request.json` and `SERVING.md` for those who ask it. Each file appears
    whole or not at all.

    Examples:

    >>> write_companions("saved_models/clipart", "clipart",
    ...     "saved_models/clipart/1", model.schema,
    ...     {"serving_default": {"image": images, "text": texts}})

    Args:
        folder: the model's folder, which holds the versions.
        name: string, the model's name on the server.
        version_path: folder of the version, which holds `saved_model.pb`.
        schema: the model's `Schema`.
        requests: dict from signature name to a dict from input name to an
            array of a few rows; `"serving_default"` is one of them.

    Raises:
        ValueError: if there are no rows for `serving_default`, or rows for a
            signature that the model does not have.
    """
    rows = requests.get("serving_default")
    if not rows or not min(len(values) for values in rows.values()):
        raise ValueError(
            "The sample request needs rows for 'serving_default'. "
            f"Received: requests for {list(requests)}"
        )
    signatures = read_signatures(version_path)
    unknown = sorted(set(requests) - set(signatures))
    if unknown:
        raise ValueError(
            f"The exported model has the signatures {list(signatures)}. "
            f"Received: requests for {unknown}"
        )
    extra = os.path.join(version_path, "assets.extra")
    os.makedirs(extra, exist_ok=True)
    _write_warmup(
        os.path.join(extra, "tf_serving_warmup_requests"),
        name,
        signatures,
        requests,
    )
    for file, content in (
        ("models.config", _MODELS.format(name=name)),
        ("batching.config", _BATCHING),
        ("monitoring.config", _MONITORING),
        ("request.schema.json", _json(request_schema(schema, name))),
        ("request.json", _json(request_example(schema, rows))),
        ("SERVING.md", _serving(name, schema, signatures)),
    ):
        _write(os.path.join(folder, file), content)


def serving_commands(folder):
    """The lines of `SERVING.md` that start a server and ask it.

    Args:
        folder: the model's folder.

    Returns:
        list of strings.
    """
    with open(os.path.join(folder, "SERVING.md"), encoding="utf-8") as file:
        blocks = file.read().split("```")[1::2]
    return [f"cd {folder}", *blocks[0].strip().split("\n"), blocks[1].strip()]


def request_schema(schema, name):
    """The JSON Schema of a REST request to `serving_default`.

    Args:
        schema: the model's `Schema`.
        name: string, the model's name.

    Returns:
        dict.
    """
    properties = {
        column: {"description": value.describe(), **value.json_schema()}
        for column, value in schema.inputs.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"POST /v1/models/{name}:predict",
        "type": "object",
        "required": ["instances"],
        "properties": {
            "signature_name": {"const": "serving_default"},
            "instances": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_BATCH_SIZE,
                "items": {
                    "type": "object",
                    "required": list(properties),
                    # The server refuses what it does not know.
                    "additionalProperties": False,
                    "properties": properties,
                },
            },
        },
        "additionalProperties": False,
    }


def request_example(schema, rows):
    """Two rows as the body of a REST request.

    Args:
        schema: the model's `Schema`.
        rows: dict from input name to an array of raw values.

    Returns:
        dict.
    """
    columns = {
        column: [value.to_json(cell) for cell in rows[column][:2]]
        for column, value in schema.inputs.items()
    }
    return {"instances": [dict(zip(columns, row)) for row in zip(*columns.values())]}


def _serving(name, schema, signatures):
    """SERVING.md."""
    inputs = [
        _table_row(
            f"`{column}`",
            f"{value.request_value()} ({value.describe()})",
            f"`{json.dumps(value.to_json(value.missing))}`",
        )
        for column, value in schema.inputs.items()
    ]
    outputs = [
        _table_row(f"`{output}`", text) for output, text in _outputs(schema, signatures)
    ]
    return _SERVING.format(
        name=name,
        max_batch_size=MAX_BATCH_SIZE,
        inputs="\n".join(inputs),
        outputs="\n".join(outputs),
        signatures=", ".join(f"`{key}`" for key in signatures),
        search=_SEARCH if "search" in signatures else "",
    )


def _table_row(*cells):
    """A row of a Markdown table; `|` and line breaks in it would end a cell."""
    cells = [" ".join(cell.replace("|", "\\|").split()) for cell in cells]
    return f"| {' | '.join(cells)} |"


def _outputs(schema, signatures):
    """`(name, description)` of each output of `serving_default`."""
    for output in signatures["serving_default"]["outputs"]:
        if not schema.targets and output.endswith("_embedding"):
            yield output, "a vector of length 1, or all 0 where there is nothing"
    for name, target in schema.targets.items():
        yield from _outputs_of(name, target)
    for column, value in schema.inputs.items():
        if value.is_file:
            each = f"for each of {value.num_items}: " if value.num_items else ""
            yield f"{column}_ok", f"{each}whether it was there and could be read"


def _outputs_of(name, target):
    """`(name, description)` of each output that belongs to a target."""
    if isinstance(target, Number):
        yield name, "the predicted number"
    elif isinstance(target, MultiLabel):
        yield (
            name,
            (
                f"the labels of probability {target.threshold} and more, joined by "
                f"`{target.separator}`"
            ),
        )
    elif isinstance(target, ClassLabel):
        yield name, "the most probable class"
    if isinstance(target, (ClassLabel, MultiLabel)):
        yield f"{name}_classes", f"the names of all {target.num_classes} classes"
        yield f"{name}_probabilities", "their probabilities, in the same order"


def _write_warmup(path, name, signatures, requests):
    """A TFRecord file of `PredictionLog` protos."""
    import tensorflow as tf

    with replacing(path) as temporary:
        with tf.io.TFRecordWriter(temporary) as writer:
            for signature, inputs in requests.items():
                infos = signatures[signature]["inputs"]
                # One row, as most requests are, and all of them.
                for rows in (1, MAX_BATCH_SIZE):
                    tensors = {
                        # A version that refuses its warm-up is not served:
                        # the dtypes must be exact.
                        key: tf.make_tensor_proto(inputs[key][:rows], info["dtype"])
                        for key, info in infos.items()
                    }
                    writer.write(_prediction_log(name, signature, tensors))


def _prediction_log(name, signature, tensors):
    """A `PredictionLog` proto of tensorflow_serving, serialized.

    Written by hand, as three messages do not justify a package: see
    tensorflow_serving/apis/prediction_log.proto, predict.proto and
    model.proto for the numbers.
    """
    model_spec = _field(1, name.encode()) + _field(3, signature.encode())
    request = _field(1, model_spec)
    for key, tensor in tensors.items():
        entry = _field(1, key.encode()) + _field(2, tensor.SerializeToString())
        request += _field(2, entry)
    predict_log = _field(1, request)
    return _field(6, predict_log)


def _field(number, content):
    """A protobuf field of wire type 2: key, length, bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    """Seven bits a byte, the lowest first; the eighth says: there is more."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def _json(content):
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _write(path, text):
    with replacing(path) as temporary:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
