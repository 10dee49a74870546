import json
import os

from ..files import replacing
from .guide import guide, ragged_inputs
from .libtensorflow import read_signatures
from .request_files import MAX_BATCH_SIZE, request_example, request_schema
from .tensor_input import TensorInput
from .warmup import write_warmup

# Files next to the versions.
_FILES = (
    *("models.config", "batching.config", "monitoring.config"),
    *("request.schema.json", "request.json", "SERVING.md"),
)

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


def write_companions(folder, name, version_path, schema, requests):
    """Writes the companion files of an exported model.

    In the version: `assets.extra/tf_serving_warmup_requests`, which the server
    replays before it serves the version, so that the first real request is not slow.
    Next to the versions: `models.config`, `batching.config` and `monitoring.config`
    for the server, `request.schema.json`, `request.json` and `SERVING.md` for its
    clients. Each file is written atomically.

    `batching.config` is not written, and an earlier one is removed, if an input has
    values of different lengths: a server that batches such requests fails or returns
    wrong results.

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
        ValueError: if `requests` has no rows for `serving_default`, or has rows for
            a signature that the model does not have.
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
    inputs = served_inputs(schema, signatures)
    columns = {served: column for column, served in schema.served_names.items()}
    extra = os.path.join(version_path, "assets.extra")
    os.makedirs(extra, exist_ok=True)
    write_warmup(
        os.path.join(extra, "tf_serving_warmup_requests"), name, signatures, requests
    )
    # Indented, a tensor would have one line per number.
    indent = 2 if schema.is_adapted else None
    files = {
        "models.config": _MODELS.format(name=name),
        "batching.config": "" if ragged_inputs(inputs) else _BATCHING,
        "monitoring.config": _MONITORING,
        "request.schema.json": _json(request_schema(inputs, name, columns)),
        "request.json": _json(request_example(inputs, rows), indent),
        "SERVING.md": guide(
            name,
            inputs,
            _outputs(schema, signatures),
            signatures,
            columns,
            {served: schema.words(columns[served]) for served in inputs},
        ),
    }
    for file, content in files.items():
        path = os.path.join(folder, file)
        if content:
            _write(path, content)
        elif os.path.exists(path):
            os.remove(path)


def move_companions(folder, to):
    """Moves the companion files to another folder of the same model."""
    for file in _FILES:
        if os.path.exists(os.path.join(folder, file)):
            os.replace(os.path.join(folder, file), os.path.join(to, file))
        elif os.path.exists(os.path.join(to, file)):
            os.remove(os.path.join(to, file))


def serving_commands(folder):
    """The lines of `SERVING.md` that start a server and send a request.

    Args:
        folder: the model's folder.

    Returns:
        list of strings.
    """
    with open(os.path.join(folder, "SERVING.md"), encoding="utf-8") as file:
        blocks = file.read().split("```")[1::2]
    return [f"cd {folder}", *blocks[0].strip().split("\n"), blocks[1].strip()]


def served_inputs(schema, signatures):
    """dict from served name to the `Input` that defines the request's values.

    A model whose schema is not adapted takes tensors.
    """
    served = schema.served_names
    if schema.is_adapted:
        return {served[name]: value for name, value in schema.inputs.items()}
    infos = signatures["serving_default"]["inputs"]
    return {served[name]: TensorInput(infos[served[name]]) for name in schema.inputs}


def _outputs(schema, signatures):
    """dict from output of `serving_default` to its description."""
    served, described = schema.served_names, {}
    outputs = signatures["serving_default"]["outputs"]
    vectors = [output for output in outputs if output.endswith("_embedding")]
    if not schema.targets:
        # A retriever has several towers, an autoencoder one code.
        unit = "a unit vector, or all 0 if the input is missing"
        what = unit if len(vectors) > 1 else "the code of the input, a vector"
        described |= dict.fromkeys(vectors, what)
    for name, target in schema.targets.items():
        described |= target.answers(served[name])
    for name, value in schema.inputs.items():
        if value.ok_suffix and schema.is_adapted:
            described |= value.answers(served[name])
    return described


def _json(content, indent=2):
    return json.dumps(content, indent=indent, ensure_ascii=False) + "\n"


def _write(path, text):
    with replacing(path) as temporary:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
