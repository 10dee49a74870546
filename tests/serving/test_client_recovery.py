"""What the client does when a server changes, merges wrongly, or is another one."""

import json
import socket
import threading

import pytest

from keras_mm.serving.address import Address
from keras_mm.serving.client import Client

from .test_client import NAME, no_proxy, rest_server  # noqa: F401

MERGED = (
    "Tensors with name 'text:0' from different tasks have different shapes and "
    "padding is turned off.Set pad_variable_length_inputs to true, or ensure ..."
)


def metadata(inputs, outputs):
    dim = [{"size": "-1", "name": ""}]
    sides = {
        key: {
            name: {"dtype": dtype, "tensor_shape": {"dim": dim}}
            for name, dtype in side.items()
        }
        for key, side in (("inputs", inputs), ("outputs", outputs))
    }
    definitions = {"signature_def": {"serving_default": sides}}
    return {"metadata": {"signature_def": definitions}}


class Server:
    """Answers with the length of a text; has a version, and errors to give first."""

    def __init__(self):
        self.inputs = {"text": "DT_STRING"}
        self.outputs = {"length": "DT_INT64"}
        self.errors = []
        self.asked = []

    def __call__(self, path, body):
        self.asked.append(path.rpartition("/")[2])
        if path.endswith("/metadata"):
            return 200, json.dumps(metadata(self.inputs, self.outputs)).encode()
        if self.errors:
            status, message = self.errors.pop(0)
            return status, json.dumps({"error": message}).encode()
        rows = []
        for row in body["instances"]:
            if set(row) != set(self.inputs):
                error = f"Failed to process element: keys {sorted(row)}"
                return 400, json.dumps({"error": error}).encode()
            texts = [value for value in row.values() if isinstance(value, str)]
            answers = {name: len(texts[0]) for name in self.outputs}
            rows.append(answers if len(answers) > 1 else len(texts[0]))
        return 200, json.dumps({"predictions": rows}).encode()


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def client(server):
    with rest_server(None, server) as address:
        yield Client(address, NAME)


@pytest.mark.parametrize(
    "inputs, outputs",
    [
        ({"words": "DT_STRING"}, {"length": "DT_INT64"}),
        ({"text": "DT_STRING", "price": "DT_FLOAT"}, {"length": "DT_INT64"}),
        ({"text": "DT_STRING"}, {"length": "DT_INT64", "half": "DT_INT64"}),
        ({"text": "DT_STRING"}, {"size": "DT_INT64", "half": "DT_INT64"}),
    ],
    ids=["other input", "more inputs", "more outputs", "other outputs"],
)
def test_newer_version(client, server, inputs, outputs):
    table = {"text": ["abc"], "words": ["abcd"], "price": [1.0]}
    assert client(table)["length"].tolist() == [3]
    server.inputs, server.outputs, server.asked = inputs, outputs, []
    answer = client(table)
    assert list(answer.columns) == sorted(outputs)
    assert set(answer.iloc[0]) == {4 if "words" in inputs else 3}
    assert server.asked.count("metadata") == 1


def test_cells_that_cannot_be_sent_ask_no_server(client, server):
    """The message is about the cell, also where the server has gone since."""
    server.inputs = {"text": "DT_STRING", "day": "DT_STRING", "price": "DT_FLOAT"}
    server.outputs = {"length": "DT_INT64", "day_is_date": "DT_BOOL"}
    table = {"text": ["abc"], "day": ["2024-05-01"], "price": [1.0]}
    client(table)
    server.asked = []
    with pytest.raises(ValueError, match="'price': no finite number in row 0"):
        client(table | {"price": ["x"]})
    client(table)
    assert server.asked == ["metadata", f"{NAME}:predict"]
    with pytest.raises(ValueError, match="'day': no date in ISO form in row 0"):
        client(table | {"day": ["2024-13-01"]})
    client(table | {"day": ["2024-13-01"]}, on_unreadable="missing")
    with pytest.raises(ValueError, match="no column 'price'"):
        client({"text": ["abc"], "day": [None]})
    # Who does not answer is not at fault for a column that is not there.
    client(table)
    client._transport.signatures = gone
    with pytest.raises(ValueError, match="no column 'price'"):
        client({"text": ["abc"], "day": [None]})


def gone():
    raise ConnectionError("the server does not answer")


def test_errors_of_the_same_version_come_through(client, server):
    client({"text": ["abc"]})
    server.errors = [(400, "no such thing")] * 2
    server.asked = []
    with pytest.raises(ValueError, match="no such thing"):
        client({"text": ["abc"]})
    assert server.asked == [f"{NAME}:predict", "metadata"]


@pytest.mark.parametrize("count, fails", [(1, False), (2, False), (3, True)])
def test_request_that_was_merged_with_another_shape(client, server, count, fails):
    server.errors = [(412, MERGED)] * count
    if fails:
        with pytest.raises(ValueError, match="from different tasks"):
            client({"text": ["abc"]})
    else:
        assert client({"text": ["abc"]})["length"].tolist() == [3]
    assert server.asked.count(f"{NAME}:predict") == min(count + 1, 3)


def test_rest_asks_the_port_of_another_protocol():
    """gRPC's port answers with a frame of HTTP/2."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n" * 3)
        connection.close()

    threading.Thread(target=answer, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(ConnectionError, match="no HTTP: is it the REST port"):
        Client(url, NAME)({"text": ["a"]})
    listener.close()


def test_grpc_asks_the_rest_port(server):
    pytest.importorskip("tensorflow_serving")
    with rest_server(None, server) as address:
        url = address.replace("http", "grpc")
        with pytest.raises(ConnectionError, match="is this its gRPC port"):
            Client(url, NAME, timeout=5)({"text": ["a"]})


@pytest.mark.parametrize(
    "ending, version, label",
    [("", None, None), ("/versions/12", "12", None), ("/labels/a b", None, "a b")],
)
def test_addresses(ending, version, label):
    for scheme in ("http", "https", "grpc"):
        got = Address.parse(f"{scheme}://host:1/v1/models/birds{ending}")
        assert got == (f"{scheme}://host:1", "birds", version, label)
    assert got.path == f"/v1/models/birds{ending}".replace(" ", "%20")


@pytest.mark.parametrize(
    "url, name, match",
    [
        ("http://h/v1/models/birds", "fish", "has another model name, 'birds'"),
        ("http://h/v1/models/birds/versions/x", None, "/versions/<number>"),
        ("http://h/v1/models/birds:predict", None, "/versions/<number>"),
        ("grpc://h:1", None, "Name the model"),
    ],
)
def test_addresses_that_name_no_model(url, name, match):
    with pytest.raises(ValueError, match=match):
        Address.parse(url, name)


def test_version_and_label_over_grpc():
    pytest.importorskip("tensorflow_serving")
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    seen = []

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def GetModelMetadata(self, request, context):
            spec = request.model_spec
            seen.append((spec.name, spec.version.value, spec.version_label))
            context.abort(grpc.StatusCode.NOT_FOUND, "seen enough")

    server = grpc.server(ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    for ending in ("", "/versions/7", "/labels/canary"):
        url = f"grpc://127.0.0.1:{port}/v1/models/birds{ending}"
        with pytest.raises(ValueError, match="seen enough"):
            Client(url)({"text": ["a"]})
    server.stop(None)
    assert seen == [("birds", 0, ""), ("birds", 7, ""), ("birds", 0, "canary")]
