"""The client, against a stub of TF Serving and against a real one.

KERAS_MM_TF_SERVING turns the cases with a real server on. It is either the path
of a `tensorflow_model_server`, which is started here, or
`host:rest_port[,grpc_port]` of one that serves this file's model, which
`python tests/serving/test_client.py FOLDER` writes into a model folder, under
the name `keras_mm_client_test`.
"""

import base64
import contextlib
import http.server
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from keras_mm.errors import RowsError
from keras_mm.serving.client import Client
from keras_mm.serving.libtensorflow import read_signatures

NAME = "keras_mm_client_test"
REAL = os.environ.get("KERAS_MM_TF_SERVING")
PICTURE = np.arange(48, dtype="uint8").reshape(4, 4, 3)


def write_model(path):
    """A model whose answers show what arrived."""
    import tensorflow as tf

    def specs(**shapes):
        return {n: tf.TensorSpec([None, *s], d, n) for n, (s, d) in shapes.items()}

    def serve(image, text, price):
        known = tf.where(tf.math.is_nan(price), -1.0, price)
        probabilities = tf.stack([tf.zeros_like(known), tf.ones_like(known)], axis=1)
        rows = tf.shape(text)[0]
        return {
            "kind": tf.repeat("cat", rows),
            "kind_classes": tf.tile([["dog", "cat"]], [rows, 1]),
            "kind_probabilities": probabilities,
            "image_ok": image != "",
            "image_bytes": image,
            "text_back": text,
            "price_back": known,
        }

    def embed(text):
        length = tf.cast(tf.strings.length(text), tf.float32)
        return {"embedding": tf.stack([length, length + 0.5], axis=1)}

    def tensors(pixels, ids):
        return {"sum": tf.reduce_sum(pixels, [1, 2]), "ids_back": ids}

    def fail(text):
        return {"number": tf.strings.to_number(text)}

    text = specs(text=((), tf.string))
    module = tf.Module()
    functions = {
        "serving_default": (
            serve,
            specs(image=((), tf.string), price=((), tf.float32)) | text,
        ),
        "embed": (embed, text),
        "tensors": (
            tensors,
            specs(pixels=((2, 2), tf.float32), ids=((1,), tf.int32)),
        ),
        "fail": (fail, text),
    }
    functions = {
        name: tf.function(function).get_concrete_function(**inputs)
        for name, (function, inputs) in functions.items()
    }
    module.functions = list(functions.values())
    tf.saved_model.save(module, str(path), signatures=functions)


class Stub:
    """TF Serving's contract: strict about keys and types, errors as JSON."""

    def __init__(self, path):
        import tensorflow as tf

        self.path = path
        self.model = tf.saved_model.load(str(path))
        self.spec = read_signatures(path)
        self.requests = []

    def metadata(self):
        def side(infos):
            return {
                name: {
                    "dtype": {"string": "DT_STRING", "float32": "DT_FLOAT"}.get(
                        info["dtype"], f"DT_{info['dtype'].upper()}"
                    ),
                    "tensor_shape": {
                        "dim": [{"size": str(s), "name": ""} for s in info["shape"]],
                        "unknown_rank": False,
                    },
                    "name": info["tensor"],
                }
                for name, info in infos.items()
            }

        signatures = {
            name: {key: side(infos) for key, infos in spec.items()}
            for name, spec in self.spec.items()
        }
        # A real server lists this one, too.
        signatures["__saved_model_init_op"] = {"inputs": {}, "outputs": {}}
        return {
            "model_spec": {"name": NAME, "signature_name": "", "version": "1"},
            "metadata": {"signature_def": {"signature_def": signatures}},
        }

    def predict(self, body):
        signature = body.get("signature_name", "serving_default")
        inputs = self.spec[signature]["inputs"]
        self.requests.append(body)
        columns = {name: [] for name in inputs}
        for row in body["instances"]:
            if set(row) != set(inputs):
                raise ValueError(f"Failed to process element: keys {sorted(row)}")
            for name, value in row.items():
                columns[name].append(self.parse(value, inputs[name]["dtype"]))
        outputs = self.run(signature, columns)
        rows = [
            {name: self.write(name, value[row]) for name, value in outputs.items()}
            for row in range(len(body["instances"]))
        ]
        if len(outputs) == 1:
            rows = [next(iter(row.values())) for row in rows]
        return {"predictions": rows}

    def run(self, signature, columns):
        import tensorflow as tf

        inputs = self.spec[signature]["inputs"]
        try:
            outputs = self.model.signatures[signature](
                **{
                    name: tf.constant(columns[name], info["dtype"])
                    for name, info in inputs.items()
                }
            )
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(error.message) from error
        return {name: value.numpy() for name, value in sorted(outputs.items())}

    def parse(self, value, dtype):
        if isinstance(value, list):
            return [self.parse(item, dtype) for item in value]
        if isinstance(value, dict):
            assert list(value) == ["b64"]
            value = base64.b64decode(value["b64"], validate=True)
        elif isinstance(value, str):
            value = value.encode()
        if (dtype == "string") != isinstance(value, bytes) or isinstance(value, bool):
            raise ValueError(f"JSON Value: {value!r} is not of type: {dtype}")
        return value

    def write(self, name, value):
        if isinstance(value, np.ndarray) and value.ndim:
            return [self.write(name, item) for item in value]
        if isinstance(value, bytes):
            if name.endswith("_bytes"):
                return {"b64": base64.b64encode(value).decode()}
            return value.decode()
        return value.item()


@contextlib.contextmanager
def rest_server(stub, answer=None):
    """Serves a stub; `answer(path)` may return `(status, bytes)` instead."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.respond(None)

        def do_POST(self):
            size = int(self.headers["Content-Length"])
            self.respond(json.loads(self.rfile.read(size)))

        def respond(self, body):
            status, content = (answer or self.route)(self.path, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def route(self, path, body):
            path = path.replace("/versions/1", "")
            try:
                if path == f"/v1/models/{NAME}/metadata":
                    content = stub.metadata()
                elif path == f"/v1/models/{NAME}:predict":
                    content = stub.predict(body)
                else:
                    error = {"error": f"Servable not found for request: {path}"}
                    return 404, json.dumps(error).encode()
            except ValueError as error:
                return 400, json.dumps({"error": str(error)}).encode()
            return 200, json.dumps(content, allow_nan=False).encode()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def grpc_server(stub):
    import grpc
    import tensorflow as tf
    from tensorflow.python.saved_model import loader_impl
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    (meta_graph,) = loader_impl.parse_saved_model(str(stub.path)).meta_graphs

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def GetModelMetadata(self, request, context):
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, spec in meta_graph.signature_def.items():
                signatures.signature_def[name].CopyFrom(spec)
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            if request.model_spec.name != NAME:
                context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")
            response.metadata["signature_def"].Pack(signatures)
            return response

        def Predict(self, request, context):
            arrays = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
            try:
                outputs = stub.run(request.model_spec.signature_name, arrays)
            except ValueError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            response = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(None)


@contextlib.contextmanager
def real_server(folder):
    """`(REST, gRPC)` addresses of a real TF Serving; gRPC may be None."""
    if not os.path.exists(REAL):
        rest, _, grpc_port = REAL.partition(",")
        host = rest.partition(":")[0]
        yield f"http://{rest}", grpc_port and f"grpc://{host}:{grpc_port}"
        return
    rest, grpc_port = free_port(), free_port()
    process = subprocess.Popen(
        [
            REAL,
            f"--port={grpc_port}",
            f"--rest_api_port={rest}",
            f"--model_name={NAME}",
            f"--model_base_path={folder}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{rest}/v1/models/{NAME}")
        yield f"http://127.0.0.1:{rest}", f"grpc://127.0.0.1:{grpc_port}"
    finally:
        process.terminate()
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(url, timeout=5) as response:
                if b"AVAILABLE" in response.read():
                    return
        time.sleep(0.2)
    raise TimeoutError(f"no model within {seconds} seconds at {url}")


@pytest.fixture(scope="module", autouse=True)
def no_proxy():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "*")
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp(NAME)
    write_model(folder / "1")
    return folder


@pytest.fixture(scope="module")
def stub(folder):
    return Stub(folder / "1")


@pytest.fixture(
    scope="module", params=["stub rest", "stub grpc", "real rest", "real grpc"]
)
def url(request, folder, stub):
    """Address of a server that serves the model."""
    kind, protocol = request.param.split()
    if protocol == "grpc":
        pytest.importorskip("tensorflow_serving")
    if kind == "real":
        if not REAL:
            pytest.skip("set KERAS_MM_TF_SERVING to test with a real server")
        with real_server(folder) as (rest, grpc_url):
            if protocol == "grpc" and not grpc_url:
                pytest.skip("KERAS_MM_TF_SERVING names no gRPC port")
            yield rest if protocol == "rest" else grpc_url
    else:
        with (rest_server if protocol == "rest" else grpc_server)(stub) as address:
            yield address


@pytest.fixture(scope="module")
def rest(stub):
    with rest_server(stub) as address:
        yield address


@pytest.fixture
def table(tmp_path):
    stream = io.BytesIO()
    Pillow.fromarray(PICTURE).save(stream, "PNG")
    (tmp_path / "picture.png").write_bytes(stream.getvalue())
    return pd.DataFrame(
        {
            "image": ["picture.png", stream.getvalue(), PICTURE, PICTURE / 255.0, None],
            "text": ["a", "\N{SNOWMAN} b", "", None, 3.0],
            "price": [1.5, np.nan, "2", None, -0.1],
            "more": range(5),
        },
        index=[10, 11, 12, 13, 14],
    )


def pixels(encoded):
    return np.asarray(Pillow.open(io.BytesIO(encoded))).tolist()


def test_a_table_is_answered_row_by_row(url, table, tmp_path):
    result = Client(url, NAME)(table, base_dir=tmp_path)
    assert list(result.index) == list(table.index)
    assert list(result.columns) == [
        "image_bytes",
        "image_ok",
        "kind",
        "kind_classes",
        "kind_probabilities",
        "price_back",
        "text_back",
    ]
    assert result["text_back"].tolist() == ["a", "\N{SNOWMAN} b", "", "", "3"]
    assert result["price_back"].tolist() == pytest.approx([1.5, -1, 2, -1, -0.1])
    assert result["image_ok"].tolist() == [True] * 4 + [False]
    for encoded in result["image_bytes"][:4]:
        assert pixels(encoded) == PICTURE.tolist()
    assert result["image_bytes"].iloc[4] == b""
    assert result["kind"].tolist() == ["cat"] * 5
    assert result["kind_classes"].tolist() == [["dog", "cat"]] * 5
    assert result["kind_probabilities"].tolist() == [[0.0, 1.0]] * 5


def test_single_outputs_and_other_signatures(url):
    client = Client(url, NAME)
    result = client({"text": ["abc", ""]}, signature="embed")
    assert result["embedding"].tolist() == [[3.0, 3.5], [0.0, 0.5]]
    assert set(client.signatures) == {"serving_default", "embed", "tensors", "fail"}


def test_arrays_go_in_as_tensors(url):
    pixels = np.arange(12, dtype="float32").reshape(3, 2, 2)
    pixels[1, 0, 0] = 0.1
    ids = np.array([[1], [2], [3]], dtype="int32")
    result = Client(url, NAME)({"pixels": pixels, "ids": ids}, signature="tensors")
    assert result["sum"].tolist() == pytest.approx(pixels.sum((1, 2)).tolist())
    assert result["ids_back"].tolist() == [[1], [2], [3]]


def test_any_batch_size_gives_the_same(url):
    client = Client(url, NAME)
    texts = [f"text {row}" * (row % 5) for row in range(70)]
    expected = client({"text": texts}, "embed")
    assert len(expected) == 70
    for batch_size in (1, 7, 100):
        result = client({"text": texts}, "embed", batch_size=batch_size)
        pd.testing.assert_frame_equal(result, expected)


def test_the_servers_message_comes_through(url):
    with pytest.raises(ValueError, match="correctly convert") as info:
        Client(url, NAME)({"text": ["no number"]}, signature="fail")
    assert "no number" in str(info.value)


def test_unknown_model(url):
    with pytest.raises(ValueError, match="(?i)servable not found"):
        Client(url, "nothing")({"text": ["a"]})


def test_absent_column_and_signature(url):
    client = Client(url, NAME)
    with pytest.raises(ValueError, match="no column 'text'. Did you mean 'texts'?"):
        client({"texts": ["a"]}, signature="embed")
    with pytest.raises(ValueError, match="Received: signature='nothing'"):
        client({"text": ["a"]}, signature="nothing")


def test_requests_are_split(rest, stub):
    stub.requests.clear()
    client = Client(rest, NAME)
    client({"text": ["a"] * 70}, "embed")
    assert [len(body["instances"]) for body in stub.requests] == [32, 32, 6]
    with pytest.raises(ValueError, match="batch_size=0"):
        client({"text": ["a"]}, "embed", batch_size=0)


def test_address_may_name_the_model(rest):
    for ending in ("", "/", "/versions/1"):
        client = Client(f"{rest}/v1/models/{NAME}{ending}")
        assert len(client({"text": ["a", "b"]}, "embed")) == 2


@pytest.mark.parametrize(
    "url, name, match",
    [
        ("localhost:8501", "m", "must start with http"),
        ("ftp://localhost", "m", "url='ftp://localhost'"),
        ("http://localhost:8501", None, "Name the model"),
    ],
)
def test_unusable_addresses(url, name, match):
    with pytest.raises(ValueError, match=match):
        Client(url, name)


def test_cells_that_cannot_be_sent(rest, table, tmp_path):
    client = Client(rest, NAME)
    table = table.astype({"image": object})
    table.at[11, "image"] = "absent.png"
    with pytest.raises(ValueError, match="'image': a cell that cannot be sent.*row 1"):
        client(table, base_dir=tmp_path, batch_size=1)
    result = client(table, base_dir=tmp_path, on_unreadable="missing")
    assert result["image_ok"].tolist() == [True, False, True, True, False]
    table["price"] = ["1", "2", "x", "4", "5"]
    with pytest.raises(ValueError, match="'price': no finite number in row 2"):
        client(table, base_dir=tmp_path, on_unreadable="error")


def test_bytes_that_are_no_picture_are_the_servers_to_judge(rest):
    table = {"image": [b"garbage"], "text": [b"fine"], "price": [1]}
    result = Client(rest, NAME)(table)
    assert result["image_bytes"].tolist() == [b"garbage"]
    assert result["text_back"].tolist() == ["fine"]


def test_no_server():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionError, match="does not answer") as info:
        Client(url, NAME)({"text": ["a"]})
    assert str(info.value).endswith(f"url='{url}/v1/models/{NAME}/metadata'")


def test_no_grpc_server():
    pytest.importorskip("tensorflow_serving")
    with pytest.raises(ConnectionError, match="UNAVAILABLE"):
        Client(f"grpc://127.0.0.1:{free_port()}", NAME, timeout=5)({"text": ["a"]})


@pytest.mark.parametrize(
    "status, content, error, match",
    [
        (503, b'{"error": "Batch queue is full"}', ConnectionError, "503: Batch queue"),
        (400, b"plain text", ValueError, "400: plain text"),
        (404, b"[1]", ValueError, r"404: \[1\]"),
        (200, b"<html>", ConnectionError, "no JSON"),
        (200, b'{"status": "fine"}', ConnectionError, "no model metadata"),
    ],
)
def test_servers_that_fail(status, content, error, match):
    with rest_server(None, lambda path, body: (status, content)) as address:
        with pytest.raises(error, match=match):
            Client(address, NAME)({"text": ["a"]})


def test_slow_server(stub):
    release = threading.Event()

    def answer(path, body):
        release.wait(10)
        return 200, b"{}"

    with rest_server(stub, answer) as address:
        with pytest.raises(ConnectionError, match="timed out"):
            Client(address, NAME, timeout=0.2)({"text": ["a"]})
        release.set()


def test_grpc_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving", None)
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r"keras_mm\[serving\]"):
        Client("grpc://localhost:8500", NAME)


if __name__ == "__main__":
    write_model(os.path.join(sys.argv[1], "1"))


def test_sequences_of_any_form():
    """The served shape says what a cell without an axis, or no cell, means."""
    from keras_mm.serving.requests import raw_numbers

    shape, nan = [None, None, 1], np.nan
    column = pd.Series([[1.0, 2.0], None, [[3.0], [None]], np.array([4.0])])
    got = raw_numbers(column, "pulse", shape=shape)
    expected = np.array([[1, 2], [nan, nan], [3, nan], [4, nan]])
    np.testing.assert_array_equal(got[..., 0], expected)
    empty = raw_numbers(pd.Series([None, None]), "pulse", shape=shape)
    assert empty.shape == (2, 1, 1) and np.isnan(empty).all()
    nested = np.empty(2, dtype=object)
    nested[:] = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    got = raw_numbers(pd.Series([nested, None]), "motion", shape=[None, None, 2])
    assert got.shape == (2, 2, 2) and got[0].tolist() == [[1, 2], [3, 4]]
    vectors = raw_numbers(pd.Series([[1, 2], None]), "v", shape=[None, 2])
    np.testing.assert_array_equal(vectors, [[1, 2], [nan, nan]])
    ids = raw_numbers(pd.Series([[1, 2], [3, 4]]), "ids", False, shape=[None, 2])
    assert ids.dtype.kind == "i"


def test_text_is_no_list_of_numbers():
    from keras_mm.serving.requests import raw_numbers

    for cell in ("?", [1.0, "?"], [[1.0], [2.0, 3.0]]):
        column = pd.Series(["[1, 2]", cell, " nan "])
        with pytest.raises(RowsError, match=r"Column 'v'.*in row 1 .*missing'.*v="):
            raw_numbers(column, "v", shape=[None, 2])
        got = raw_numbers(column, "v", on_unreadable="missing", shape=[None, 2])
        np.testing.assert_array_equal(got, [[1, 2], [np.nan] * 2, [np.nan] * 2])


def test_words_for_missing_cells_are_not_known(rest):
    """The error says where they are."""
    table = pd.DataFrame({"image": [b""], "text": ["a"], "price": ["?"]})
    with pytest.raises(RowsError, match="Column 'price'") as caught:
        Client(rest, NAME)(table)
    assert "to_table(table, missing=[...])" in caught.value.__notes__[0]
