"""SERVING.md: how to start a server with a model and send requests."""

import json

import numpy as np

from ..inputs.missing_words import raw_words
from .request_files import MAX_BATCH_SIZE

_START = """\
# Serving {name}

Run these commands in the folder of this file.

```
docker run --rm -p 8501:8501 -p 8500:8500 -v "$PWD:/models/{name}:ro" \\
  tensorflow/serving \\
  --model_config_file=/models/{name}/models.config \\
{batching}  --monitoring_config_file=/models/{name}/monitoring.config \\
  --max_num_load_retries=0 --grpc_max_threads=200
```

```
curl -d @request.json http://localhost:8501/v1/models/{name}:predict
```

```python
client = keras_mm.serving.Client("http://localhost:8501", "{name}")
client(table)
```

Port 8501 is for REST, port 8500 for gRPC: `Client("grpc://localhost:8500", "{name}")`.
Without `--grpc_max_threads` the server refuses more than four concurrent gRPC calls per
core.

## Inputs

Every row must have every input. `request.schema.json` is the JSON Schema of a request;
one request holds at most {max_batch_size} rows.

| input | value | missing |
|---|---|---|
{inputs}

Write `NaN` without quotes: it is not strict JSON, but the server accepts it.
{words}{merging}
## Outputs

| output | value |
|---|---|
{outputs}

## Signatures

`"signature_name"` beside `"instances"` selects a signature other than `serving_default`.
If a signature has a single output, the response omits its name:
`{{"predictions": [[0.1, 0.2]]}}`.

| signature | inputs | outputs |
|---|---|---|
{signatures}
{search}"""

_BATCHING = """\
  --enable_batching --batching_parameters_file=/models/{name}/batching.config \\
"""

_RAGGED = """
## No batching

The length of {ragged} may differ between rows, but must be equal in the rows of one
request: pad shorter rows with missing values, `""` or `NaN`, as `Client` does. The server
must not batch requests: requests of different lengths would fail together, and
`pad_variable_length_inputs` would pad them with their first value, which gives wrong
predictions. So there is no `batching.config`; start the server without `--enable_batching`.
"""

_MERGED = """
The server batches requests as set in `batching.config`. A request with a value of the
wrong shape fails together with all requests of its batch, with the message "from different
tasks have different shapes": send it again, as `Client` does.
"""

_WORDS = """
`Client` does not read these texts for missing cells: pass
`keras_mm.data.to_table(table, missing={words})`.
"""

_SEARCH = """
`search` takes the same inputs, which may be missing, and returns the `ids` of the nearest
rows, the nearest first, and their `scores`, cosine similarities. The ids of an empty query
are empty.
"""

_VERSIONS = """
## Versions

Each folder named by a number is a version, and the server serves the highest one. It
polls for new versions, so a version must appear complete, by a rename:

```
cp -r /elsewhere/{name}/2 .copying && mv .copying 2
```

A version that is copied in place may be loaded with half of its variables and replace the
valid one. A numbered folder without a model blocks newer versions. With
`--max_num_load_retries=0` the server tries to load an invalid version only once and keeps
serving the previous one. `keras_mm.export` writes versions safely.

To roll back, rename the newer version; the server goes back to the highest remaining one:

```
mv 2 .withdrawn-2
```

To serve two versions at once, with labels, replace `latest {{ num_versions: 1 }}` in
`models.config`:

```
model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
version_labels {{ key: "stable" value: 1 }}
version_labels {{ key: "canary" value: 2 }}
```

Then start the server with `--allow_version_labels_for_unavailable_models`. The URL of a
version is `/v1/models/{name}/versions/1:predict` or
`/v1/models/{name}/labels/canary:predict`. `Client` takes
`http://localhost:8501/v1/models/{name}/labels/canary` or, for gRPC,
`grpc://localhost:8500/v1/models/{name}/labels/canary`.
The inputs may change with a new version: read `/v1/models/{name}/metadata` again.
"""


def guide(name, inputs, outputs, signatures, columns, words):
    """The text of SERVING.md.

    Args:
        name: string, the model's name on the server.
        inputs: dict from served name to `Input`.
        outputs: dict from output of `serving_default` to its description.
        signatures: as returned by `read_signatures`.
        columns: dict from served name to the column's own name.
        words: dict from served name to the texts for missing cells, besides the
            empty one.
    """
    ragged = ragged_inputs(inputs)
    missing_words = sorted(set().union(*words.values()))
    rows = []
    for served, value in inputs.items():
        rows.append(
            _row(
                _called(served, columns),
                f"{value.request_value()} ({value.describe()})",
                _missing(value, words[served]),
            )
        )
    text = _START.format(
        name=name,
        max_batch_size=MAX_BATCH_SIZE,
        batching="" if ragged else _BATCHING.format(name=name),
        inputs="\n".join(rows),
        words=_WORDS.format(words=missing_words) if missing_words else "",
        merging=_RAGGED.format(ragged=_listed(ragged)) if ragged else _MERGED,
        outputs="\n".join(
            _row(_called(key, columns), what) for key, what in outputs.items()
        ),
        signatures="\n".join(
            _row(f"`{key}`", *(_listed(spec[side]) for side in ("inputs", "outputs")))
            for key, spec in signatures.items()
        ),
        search=_SEARCH if "search" in signatures else "",
    )
    return text + _VERSIONS.format(name=name)


def ragged_inputs(inputs):
    """Names of the inputs of variable length."""
    return [name for name, value in inputs.items() if None in value.raw_shape]


def _called(served, columns):
    """A served name, and the column's own name where it differs."""
    column = columns.get(served, served)
    return f"`{served}`" if column == served else f"`{served}`, column `{column}`"


def _missing(value, words):
    """The request's values for missing cells; for a large array its one number."""
    missing = value.missing
    if np.size(missing) > 8:
        return f"all `{json.dumps(np.ravel(missing)[0].item())}`"
    values = [missing, *(raw_words(value, words) if words else ())]
    texts = [f"`{json.dumps(value.to_json(word))}`" for word in values]
    return ", ".join(dict.fromkeys(texts))


def _listed(names):
    return ", ".join(f"`{name}`" for name in sorted(names))


def _row(*cells):
    """A row of a Markdown table; `|` is escaped, line breaks become spaces."""
    cells = [" ".join(cell.replace("|", "\\|").split()) for cell in cells]
    return f"| {' | '.join(cells)} |"
