import base64
import json
import urllib.error
import urllib.request

from ..data import to_table
from ..data.columns import require_columns
from ..errors import missing_extra
from .requests import raw_numbers, raw_strings


class Client:
    """Asks a TF Serving server for predictions, a table at a time.

    The client learns the model's inputs and outputs from the server, so that
    it needs no schema: a column of a picture, which the model answers with
    `<column>_ok`, may hold file paths, encoded bytes or arrays, and a column of
    clips lists of them; any other string column text; a number column numbers.
    Missing cells are sent as `""` or NaN.

    Examples:

    >>> client = Client("http://localhost:8501", "clipart")
    >>> client(table)[["category", "image_ok"]]
    >>> client(table, signature="embed")["embedding"]
    >>> Client("http://localhost:8501/v1/models/clipart/versions/2")(table)
    >>> Client("grpc://localhost:8500", "clipart")(table)

    Args:
        url: string: `http://host:port` (or `https`) of the REST interface, or
            `grpc://host:port`, which needs the extra `serving`. A REST
            address may name the model, with a version or a label, in the form
            `.../v1/models/<name>[/versions/<number> | /labels/<label>]`.
        name: string, the model's name, unless the address has it.
        timeout: float, seconds to wait for one answer.

    Raises:
        ValueError: if the address cannot be used, or no model is named.
        ImportError: for `grpc://` without the extra `serving`.
    """

    def __init__(self, url, name=None, timeout=30.0):
        self.url = url
        self.name = name
        self.timeout = timeout
        scheme = str(url).partition("://")[0]
        if scheme in ("http", "https"):
            self._transport = _Rest(url, name, timeout)
        elif scheme == "grpc":
            self._transport = _Grpc(url, name, timeout)
        else:
            raise ValueError(
                "The address must start with http://, https:// or grpc://. "
                f"Received: url={url!r}"
            )
        self._signatures = None

    @property
    def signatures(self):
        """What the server's model takes and gives, asked for once.

        dict from signature name to `{"inputs": ..., "outputs": ...}`, each a
        dict from name to dtype, such as `"DT_STRING"`, and `"shapes"`, a dict
        from input name to its shape, where None is any length.
        """
        if self._signatures is None:
            self._signatures = self._transport.signatures()
        return self._signatures

    def __call__(
        self,
        table,
        signature="serving_default",
        batch_size=32,
        base_dir=None,
        bad="error",
    ):
        """Predicts for each row of a table.

        Args:
            table: DataFrame, path of a table or dict of columns. Columns that
                the model does not take are ignored.
            signature: string, which of the model's signatures to call.
            batch_size: int, rows in one request; a server with batching
                refuses more than its `max_batch_size`.
            base_dir: folder that relative paths of pictures start from.
            bad: `"error"` refuses cells that cannot be sent, `"missing"`
                sends them as missing ones. Pictures that can be sent and not
                decoded are the server's to judge: see `<column>_ok`.

        Returns:
            DataFrame with the table's rows and index, a column for each
            output, in alphabetical order; vectors are lists.

        Raises:
            ValueError: if a column is absent, a cell cannot be sent, or the
                server refuses the request; with the server's message.
            ConnectionError: if the server does not answer, or fails.
        """
        import pandas as pd

        if int(batch_size) < 1:
            raise ValueError(
                f"`batch_size` must be at least 1. Received: batch_size={batch_size}"
            )
        index = table.index if isinstance(table, pd.DataFrame) else None
        table = to_table(table)
        if signature not in self.signatures:
            raise ValueError(
                f"The server's model has the signatures {list(self.signatures)}. "
                f"Received: signature={signature!r}"
            )
        spec = self.signatures[signature]
        require_columns(table.columns, spec["inputs"])
        numbers = {
            name: raw_numbers(
                table[name],
                name,
                dtype in ("DT_FLOAT", "DT_DOUBLE"),
                bad,
                spec["shapes"][name],
            )
            for name, dtype in spec["inputs"].items()
            if dtype != "DT_STRING"
        }
        outputs = {name: [] for name in sorted(spec["outputs"])}
        for start in range(0, len(table), batch_size):
            batch = slice(start, start + batch_size)
            inputs = {
                name: numbers[name][batch]
                if name in numbers
                else raw_strings(
                    table[name].iloc[batch],
                    name,
                    self._is_file(name),
                    base_dir,
                    bad,
                    start,
                    is_list=len(spec["shapes"][name]) == 2,
                )
                for name in spec["inputs"]
            }
            answer = self._transport.predict(signature, spec, inputs)
            for name, values in outputs.items():
                rows = len(table.iloc[batch])
                if len(answer[name]) != rows:
                    raise ValueError(
                        f"The server answered {rows} rows with "
                        f"{len(answer[name])} values. Received: output={name!r}"
                    )
                values.extend(answer[name])
        # Each value is one cell, a list too.
        columns = {
            name: pd.Series(values, index=index) for name, values in outputs.items()
        }
        return pd.DataFrame(columns)

    def _is_file(self, name):
        return any(
            spec["outputs"].get(f"{name}_ok") == "DT_BOOL"
            for spec in self.signatures.values()
        )

    def __repr__(self):
        return f"Client(url={self.url!r}, name={self.name!r})"


class _Rest:
    """TF Serving's REST interface."""

    def __init__(self, url, name, timeout):
        url = str(url).rstrip("/")
        if "/v1/models/" in url:
            self.model = url
        elif name:
            self.model = f"{url}/v1/models/{name}"
        else:
            raise ValueError(
                "Name the model: Client(url, name), or the address "
                f"http://host:port/v1/models/<name>. Received: url={url!r}"
            )
        self.timeout = timeout

    def signatures(self):
        answer = self._ask(f"{self.model}/metadata")
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
        rows = self._ask(f"{self.model}:predict", body)["predictions"]
        outputs = list(spec["outputs"])
        if len(outputs) == 1:
            # The server leaves the name of a single output out.
            return {outputs[0]: [_from_json(row) for row in rows]}
        return {name: [_from_json(row[name]) for row in rows] for name in outputs}

    def _ask(self, url, body=None):
        # NaN is written as NaN, which the server reads and strict JSON has not.
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
                f"Is it running there? Received: url={url!r}"
            ) from error
        except ValueError as error:
            raise ConnectionError(
                "The server's answer is no JSON: is it the REST port of TF "
                f"Serving? Received: url={url!r}"
            ) from error


def _shape(info):
    """An input's shape in the metadata of a model, `[]` if it has none."""
    dims = info.get("tensor_shape", {}).get("dim", [])
    return _lengths(int(dim["size"]) for dim in dims)


def _lengths(sizes):
    """-1 -> None, any length."""
    return [None if size < 0 else size for size in sizes]


def _to_json(cell):
    """A raw value as TF Serving reads it from JSON."""
    if isinstance(cell, bytes):
        return {"b64": base64.b64encode(cell).decode("ascii")}
    if isinstance(cell, list):
        return [_to_json(item) for item in cell]
    return cell if isinstance(cell, str) else cell.tolist()


def _from_json(cell):
    """Outputs whose names end in `_bytes` come in base64."""
    if isinstance(cell, list):
        return [_from_json(item) for item in cell]
    if isinstance(cell, dict):
        return base64.b64decode(cell["b64"])
    return cell


def _error_message(body):
    """The text in `{"error": "..."}`, or the start of whatever came."""
    text = body.decode("utf-8", "replace")
    try:
        text = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        pass
    return text.strip()[:1000]


class _Grpc:
    """TF Serving's gRPC interface."""

    def __init__(self, url, name, timeout):
        try:
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError as error:
            raise missing_extra("tensorflow_serving", "serving") from error
        if not name:
            raise ValueError(
                f"Name the model: Client(url, name). Received: name={name!r}"
            )
        self.name = name
        self.timeout = timeout
        # gRPC's own limit of 4 MB is less than a few hundred embeddings.
        self.channel = grpc.insecure_channel(
            str(url).partition("://")[2].rstrip("/"),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    def signatures(self):
        from tensorflow.core.framework import types_pb2
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(
            metadata_field=["signature_def"]
        )
        request.model_spec.name = self.name
        answer = self._ask(self.stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return {
            name: {
                **{
                    side: {
                        key: types_pb2.DataType.Name(info.dtype)
                        for key, info in getattr(spec, side).items()
                    }
                    for side in ("inputs", "outputs")
                },
                "shapes": {
                    key: _lengths(dim.size for dim in info.tensor_shape.dim)
                    for key, info in spec.inputs.items()
                },
            }
            for name, spec in signatures.signature_def.items()
            if not name.startswith("__saved_model")
        }

    def predict(self, signature, spec, inputs):
        import tensorflow as tf
        from tensorflow.core.framework import types_pb2
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.name
        request.model_spec.signature_name = signature
        for name, dtype in spec["inputs"].items():
            tensor = tf.make_tensor_proto(
                inputs[name], dtype=types_pb2.DataType.Value(dtype)
            )
            request.inputs[name].CopyFrom(tensor)
        answer = self._ask(self.stub.Predict, request)
        return {
            name: [
                _decode(cell, name)
                for cell in tf.make_ndarray(answer.outputs[name]).tolist()
            ]
            for name in spec["outputs"]
        }

    def _ask(self, method, request):
        import grpc

        try:
            return method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            refused = error.code() in (
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.NOT_FOUND,
                grpc.StatusCode.FAILED_PRECONDITION,
            )
            raise (ValueError if refused else ConnectionError)(
                f"The server answered {error.code().name}: {error.details()} "
                f"Received: name={self.name!r}"
            ) from error


def _decode(cell, name):
    """Strings as text, as they come over REST."""
    if isinstance(cell, list):
        return [_decode(item, name) for item in cell]
    if isinstance(cell, bytes) and not name.endswith("_bytes"):
        return cell.decode("utf-8", "replace")
    return cell
