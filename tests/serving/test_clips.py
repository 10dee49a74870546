"""Clips over REST, gRPC and in the loaded export: lists of encoded frames."""

import functools
import io
import json
import pathlib

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

import keras_mm
from keras_mm.serving.client import Client

from ..helpers import encode_picture
from .test_client import NAME, Stub, grpc_server, no_proxy, rest_server  # noqa: F401

ARRAY = np.arange(2 * 4 * 5 * 3, dtype="uint8").reshape(2, 4, 5, 3)


def write_model(path):
    """A model whose answers show what arrived."""
    import tensorflow as tf

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.string, "clip"),
            tf.TensorSpec([None], tf.string, "text"),
        ]
    )
    def serve(clip, text):
        return {
            "clip_ok": tf.reduce_any(clip != "", axis=1),
            "clip_bytes": clip,
            "text_back": text,
        }

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, "words")])
    def join(words):
        return {"joined": tf.strings.reduce_join(words, axis=1, separator="|")}

    module = tf.Module()
    module.functions = [serve, join]
    signatures = {"serving_default": serve, "join": join}
    tf.saved_model.save(module, str(path), signatures=signatures)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp(NAME)
    write_model(folder / "1")
    return folder


@pytest.fixture(scope="module", params=["rest", "grpc"])
def url(request, folder):
    if request.param == "grpc":
        pytest.importorskip("tensorflow_serving")
    server = {"rest": rest_server, "grpc": grpc_server}[request.param]
    with server(Stub(folder / "1")) as address:
        yield address


@pytest.fixture
def table(tmp_path):
    encoded = [encode_picture(frame) for frame in ARRAY]
    for number, frame in enumerate(encoded):
        (tmp_path / f"{number}.png").write_bytes(frame)
    cells = [
        encoded,
        ["0.png", "1.png"],
        ARRAY,
        list(ARRAY / 255.0),
        np.array([*encoded, None], dtype=object),
        (encoded[0], None, encoded[1]),
        None,
        [],
    ]
    return pd.DataFrame({"clip": cells, "text": list("abcdefgh")})


def pixels(encoded):
    return np.asarray(Pillow.open(io.BytesIO(encoded))).tolist()


@pytest.mark.parametrize("batch_size", [3, 32])
def test_frames_arrive(url, table, tmp_path, batch_size):
    result = Client(url, NAME)(table, base_dir=tmp_path, batch_size=batch_size)
    assert result["text_back"].tolist() == list("abcdefgh")
    assert result["clip_ok"].tolist() == [True] * 6 + [False] * 2
    for row, frames in enumerate(result["clip_bytes"][:6]):
        there = [frame for frame in frames if frame]
        assert [pixels(frame) for frame in there] == ARRAY.tolist(), row
    assert result["clip_bytes"][5][1] == b""


def test_lists_of_texts(url):
    words = [["a", "\N{SNOWMAN}", 3.0], "x", None, ["b"]]
    client = Client(url, NAME)
    # A text alone is a list of one, and a JSON list is one, too.
    words[3] = '["b"]'
    result = client({"words": words}, signature="join")
    assert result["joined"].tolist() == ["a|\N{SNOWMAN}|3", "x||", "||", "b||"]
    assert client.signatures["join"]["shapes"] == {"words": [None, None]}


@pytest.mark.parametrize(
    "cell, match",
    [
        ("film.mp4", "a list for each row: for a clip its frames"),
        (b"\x00\x00\x00\x18ftypmp42", "A video file cannot be sent"),
        (np.zeros((4, 5, 3)), r"shape \(4, 5, 3\) is no clip"),
        (["absent.png"], "No such file"),
        ([np.zeros(3)], r"shape \(3,\) is not an image"),
    ],
)
def test_cells_that_cannot_be_sent(url, table, tmp_path, cell, match):
    table = table.copy()
    table.at[2, "clip"] = cell
    client = Client(url, NAME)
    with pytest.raises(ValueError, match=f"'clip': a cell that.*{match}.*in row 2"):
        client(table, base_dir=tmp_path)
    result = client(table, base_dir=tmp_path, on_unreadable="missing")
    assert result["clip_ok"].tolist() == [True, True, False] + [True] * 3 + [False] * 2


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are written by TensorFlow"
)
def test_exported(sensors):
    """Table to served model: clips of several lengths, broken frames."""
    table, model, path = sensors
    table = table.copy()
    table.at[3, "clip"] = None
    exported = keras_mm.load_exported(path)
    answer = exported(table, batch_size=2)
    expected = model.predict(table, verbose=0)
    assert answer["clip_ok"].tolist() == table["clip"].notna().tolist()
    np.testing.assert_allclose(
        np.array(answer["y_probabilities"].tolist()), expected, atol=1e-5
    )
    # A broken frame is a missing frame; a clip of such ones is a missing clip.
    clip = table["clip"][2]
    assert len(clip) == 3
    broken = table.iloc[[0] * 3].assign(
        clip=[clip[:1] + [b"?"] + clip[2:], [b"?"], ["", b""]]
    )
    answer = exported(broken)
    assert answer["clip_ok"].tolist() == [True, False, False]
    probabilities = np.array(answer["y_probabilities"].tolist())
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities[1], probabilities[2], atol=1e-6)
    expected = model.predict(broken, on_unreadable="missing", verbose=0)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    with pytest.raises(ValueError, match="A video file cannot be sent"):
        exported(table.assign(clip="film.mp4"))
    # What is no date is refused as the model refuses it.
    undated = table.assign(day=["2024-13-01", *table["day"][1:]])
    for answers in (exported, functools.partial(exported, signature="embed_day")):
        with pytest.raises(ValueError, match="'day': no date in ISO form in row 0"):
            answers(undated)
    answer = exported(undated, on_unreadable="missing")
    assert answer["day_is_date"].tolist() == [False] + [True] * 7
    expected = model.predict(undated, on_unreadable="missing", verbose=0)
    np.testing.assert_allclose(
        np.array(answer["y_probabilities"].tolist()), expected, atol=1e-5
    )
    # The written example requests are what a server parses.
    stub, folder = Stub(path), pathlib.Path(path).parent
    assert stub.predict(json.loads((folder / "request.json").read_text()))
    assert not (folder / "batching.config").exists()
    with rest_server(stub) as address:
        again = Client(address, NAME)(table.iloc[[0, 3]])
    assert again["clip_ok"].tolist() == [True, False]
