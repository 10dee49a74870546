"""SERVING.md: how to start a server with a model, and how to send requests."""

import json

import numpy as np

from ..inputs.missing_words import raw_words
from .request_files import MAX_BATCH_SIZE

_START = """\
# Serving {name}

Run these lines in the folder of this file.

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

Port 8501 is REST, port 8500 gRPC: `Client("grpc://localhost:8500", "{name}")`. Without
`--grpc_max_threads` the server refuses gRPC calls as soon as there are more than four at
a time for each core.

## What goes in

Every row names every input. `request.schema.json` is the JSON Schema of a
request; one request holds at most {max_batch_size} rows.

| input | value | missing |
|---|---|---|
{inputs}

`NaN` stands bare, without quotes: the server reads it, though strict JSON does
not have it.
{words}{merging}
## What comes out

| output | value |
|---|---|
{outputs}

## Signatures

`"signature_name"` beside `"instances"` chooses another one than `serving_default`. A
signature with a single output answers without its name: `{{"predictions": [[0.1, 0.2]]}}`.

| signature | takes | gives |
|---|---|---|
{signatures}
{search}"""

_BATCHING = """\
  --enable_batching --batching_parameters_file=/models/{name}/batching.config \\
"""

_RAGGED = """
## No batching

In {ragged} rows may have different lengths. Rows of ONE request must have the same one:
fill short ones up with what is missing, `""` or `NaN`, as `Client` does. The server must
not merge requests: those of different lengths would fail together, and with
`pad_variable_length_inputs` they are filled up with their own first value and answered
wrongly. So there is no `batching.config` here; start the server without
`--enable_batching`.
"""

_MERGED = """
The server merges requests, which `batching.config` allows: the inputs have the same shape
in all of them. A request with a value of a wrong SHAPE makes those merged with it fail,
with "from different tasks have different shapes": ask again, as `Client` does.
"""

_WORDS = """
`Client` does not know the words for what is missing: give it
`keras_mm.data.to_table(table, missing={words})`.
"""

_SEARCH = """
`search` takes the same inputs, some of which may be missing, and gives the `ids` of
the nearest rows, the best first, and their `scores`, cosines. An empty query has
empty ids.
"""

_VERSIONS = """
## Versions

Each folder with a number is a version, and the server answers from the highest one. It
looks for new ones all the time, and must never see half of one:

```
cp -r /elsewhere/{name}/2 .copying && mv .copying 2
```

A version that is copied in place becomes available with half its variables and replaces
the good one. A folder with a number and no model in it stands in the way of newer ones.
With `--max_num_load_retries=0` a version that cannot be loaded is tried once, and the
former goes on answering. `keras_mm.export` writes a version as it should be.

To roll back, take the newer version's number away; the server goes on with the highest
that is left:

```
mv 2 .withdrawn-2
```

Two versions at once, and names for them, stand in `models.config`, in the place of
`latest {{ num_versions: 1 }}`:

```
model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
version_labels {{ key: "stable" value: 1 }}
version_labels {{ key: "canary" value: 2 }}
```

The server then needs `--allow_version_labels_for_unavailable_models` at its start. A
version is asked at `/v1/models/{name}/versions/1:predict`, or at
`/v1/models/{name}/labels/canary:predict`, and by `Client` with
`http://localhost:8501/v1/models/{name}/labels/canary`, over gRPC in the same way. A new
version may take other inputs: what `/v1/models/{name}/metadata` says is not for ever.
"""


def guide(name, inputs, outputs, signatures, columns, words):
    """The text of SERVING.md.

    Args:
        name: string, the model's name on the server.
        inputs: dict from served name to `Input`.
        outputs: dict from output of `serving_default` to its description.
        signatures: as returned by `read_signatures`.
        columns: dict from served name to the column's own name.
        words: dict from served name to the words for missing cells, besides the
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
    """Names of the inputs whose values may have different lengths."""
    return [name for name, value in inputs.items() if None in value.raw_shape]


def _called(served, columns):
    """A served name, and the column's own name where it differs."""
    column = columns.get(served, served)
    return f"`{served}`" if column == served else f"`{served}`, column `{column}`"


def _missing(value, words):
    """The values that are sent for missing cells; of a large array one number."""
    missing = value.missing
    if np.size(missing) > 8:
        return f"all `{json.dumps(np.ravel(missing)[0].item())}`"
    values = [missing, *(raw_words(value, words) if words else ())]
    texts = [f"`{json.dumps(value.to_json(word))}`" for word in values]
    return ", ".join(dict.fromkeys(texts))


def _listed(names):
    return ", ".join(f"`{name}`" for name in sorted(names))


def _row(*cells):
    """A row of a Markdown table; `|` and line breaks in it would end a cell."""
    cells = [" ".join(cell.replace("|", "\\|").split()) for cell in cells]
    return f"| {' | '.join(cells)} |"
