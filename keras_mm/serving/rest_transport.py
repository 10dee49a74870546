import base64
import http.client
import json
import urllib.error
import urllib.request

from .outputs import check_outputs, lengths


class RestTransport:
    """TF Serving's REST interface."""

    def __init__(self, address, timeout):
        self.model = address.server + address.path
        self.timeout = timeout

    def signatures(self):
        answer = self._request(f"{self.model}/metadata")
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
        except (KeyError, TypeError) as error:
            raise ConnectionError(
                "The answer holds no model metadata: is it the REST port of TF "
                f"Serving? Received: url={self.model + '/metadata'!r}"
            ) from error
        return {
            name: {
                **{
                    side: {k: info["dtype"] for k, info in spec.get(side, {}).items()}
                    for side in ("inputs", "outputs")
                },
                "shapes": {
                    key: _shape(info) for key, info in spec.get("inputs", {}).items()
                },
            }
            for name, spec in signatures.items()
            if not name.startswith("__saved_model")
        }

    def predict(self, signature, spec, inputs):
        columns = [[_to_json(cell) for cell in values] for values in inputs.values()]
        body = {
            "signature_name": signature,
            "instances": [dict(zip(inputs, cells)) for cells in zip(*columns)],
        }
        rows = self._request(f"{self.model}:predict", body)["predictions"]
        outputs = list(spec["outputs"])
        if len(outputs) == 1:
            # The server omits the name of a single output.
            is_named = rows and isinstance(rows[0], dict) and set(rows[0]) != {"b64"}
            rows = rows if is_named else [{outputs[0]: row} for row in rows]
        check_outputs(outputs, rows[0] if rows else {})
        return {name: [_from_json(row[name]) for row in rows] for name in outputs}

    def _request(self, url, body=None):
        # NaN is written as NaN, which the server reads but strict JSON does not allow.
        data = None if body is None else json.dumps(body).encode("utf-8")
        request = urllib.request.Request(
            url, data, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            message = _error_message(error.read())
            refused = 400 <= error.code < 500
            raise (ValueError if refused else ConnectionError)(
                f"The server answered {error.code}: {message} Received: url={url!r}"
            ) from error
        except OSError as error:
            raise ConnectionError(
                f"The server does not answer: {getattr(error, 'reason', error)}. "
                "Is it running, and is this its REST port, usually 8501? "
                f"Received: url={url!r}"
            ) from error
        except http.client.HTTPException as error:
            raise ConnectionError(
                "The server's answer is no HTTP: is it the REST port, usually 8501? "
                "For the gRPC port, usually 8500, use grpc://host:port. "
                f"Received: url={url!r}"
            ) from error
        except ValueError as error:
            raise ConnectionError(
                "The server's answer is no JSON: is it the REST port of TF "
                f"Serving? Received: url={url!r}"
            ) from error


def _shape(info):
    """An input's shape in the metadata of a model, `[]` if it has none."""
    dims = info.get("tensor_shape", {}).get("dim", [])
    return lengths(int(dim["size"]) for dim in dims)


def _to_json(cell):
    """A raw value as TF Serving reads it from JSON."""
    if isinstance(cell, bytes):
        return {"b64": base64.b64encode(cell).decode("ascii")}
    if isinstance(cell, list):
        return [_to_json(item) for item in cell]
    return cell if isinstance(cell, str) else cell.tolist()


def _from_json(cell):
    """Decodes outputs whose names end in `_bytes` from base64."""
    if isinstance(cell, list):
        return [_from_json(item) for item in cell]
    if isinstance(cell, dict):
        return base64.b64decode(cell["b64"])
    return cell


def _error_message(body):
    """The text in `{"error": "..."}`, or the start of the body."""
    text = body.decode("utf-8", "replace")
    try:
        text = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        pass
    return text.strip()[:1000]
