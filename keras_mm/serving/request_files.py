"""JSON Schema and example of a request to a served model."""

import base64
import json

import numpy as np

# Most rows in one request, in batching.config and in Client.
MAX_BATCH_SIZE = 32


def request_schema(inputs, name, columns):
    """The JSON Schema of a REST request to `serving_default`.

    Args:
        inputs: dict from served name to `Input`.
        name: string, the model's name.
        columns: dict from served name to the column's own name.

    Returns:
        dict.
    """
    properties = {
        served: {
            "title": columns[served],
            "description": value.describe(),
            **value.json_schema(),
        }
        for served, value in inputs.items()
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
                    # The server rejects unknown keys.
                    "additionalProperties": False,
                    "properties": properties,
                },
            },
        },
        "additionalProperties": False,
    }


def request_example(inputs, rows):
    """Two rows as the body of a REST request.

    Args:
        inputs: dict from served name to `Input`.
        rows: dict from served name to an array of raw values.

    Returns:
        dict.
    """
    columns = {
        name: [value.to_json(cell) for cell in rows[name][:2]]
        for name, value in inputs.items()
    }
    return {"instances": [dict(zip(columns, row)) for row in zip(*columns.values())]}


def read_example(path, inputs):
    """A request's body in a file -> dict from input name to an array, as a server does.

    Args:
        path: of the file.
        inputs: dict from input name to `tf.TensorSpec`.

    Raises:
        ValueError: if it holds anything else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)["instances"]
        if not rows or any(set(row) != set(inputs) for row in rows):
            raise ValueError("other inputs")
        return {
            name: np.array(
                [_decoded(row[name]) for row in rows],
                "object" if spec.dtype == "string" else spec.dtype.as_numpy_dtype,
            )
            for name, spec in inputs.items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            'The file must hold {"instances": [...]} with rows of the inputs '
            f"{list(inputs)}, as the version takes them. If it was changed, or belongs "
            "to another version, delete it, or export the model anew. "
            f"Received: {path} ({error!r})"
        ) from error


def _decoded(value):
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return value.encode() if isinstance(value, str) else value
