"""Backbones of KerasHub, tiny and with random weights, from a local folder."""

import sys

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm

from ..helpers import encode_picture, random_pixels, tensors_of

keras_hub = pytest.importorskip("keras_hub")

from .hub_backbones import PIECES, TEXTS, bert, resnet, vit  # noqa: E402


def table_of():
    pictures = [encode_picture(random_pixels(row)) for row in range(6)]
    pictures[3] = None
    return pd.DataFrame(
        {"image": pictures, "text": TEXTS, "y": ["a", "b"] * 3}, dtype=object
    )


def model_of(column, encoder, size=(20, 16)):
    available = {
        "image": keras_mm.Image(size, augmentation=None),
        "text": keras_mm.Text(sequence_length=10),
    }
    schema = keras_mm.Schema(
        {column: available[column]}, {"y": keras_mm.ClassLabel()}
    ).adapt(table_of())
    return keras_mm.build_classifier(schema, encoders={column: encoder}, seed=0)


def test_text_is_what_the_backbone_says(tmp_path):
    """Its own tokenizer and a masked mean by hand give the same token."""
    backbone = bert(tmp_path)
    model = model_of("text", f"hub:{tmp_path}")
    ids = tensors_of(table_of(), model.schema)["text"]
    tokenizer = keras_hub.models.BertTokenizer(
        vocabulary=PIECES, lowercase=True, strip_accents=True
    )
    for row, text in enumerate(TEXTS):
        pieces = [2, *np.array(tokenizer(text)), 3] if text else []
        assert ids[row].tolist() == pieces + [0] * (10 - len(pieces))
    mask = (ids != 0).astype("int32")
    output = backbone(
        {"token_ids": ids, "padding_mask": mask, "segment_ids": 0 * ids},
        training=False,
    )["sequence_output"]
    sums = (ops.convert_to_numpy(output) * mask[..., None]).sum(1)
    expected = sums / np.maximum(mask.sum(1, keepdims=True), 1)
    tokens, present = model.get_layer("text-encoder")([ops.convert_to_tensor(ids)])
    np.testing.assert_allclose(ops.convert_to_numpy(tokens)[:, 0], expected, atol=1e-5)
    assert ops.convert_to_numpy(present)[:, 0].tolist() == [
        t is not None for t in TEXTS
    ]


def test_pictures_are_scaled_as_the_backbone_was_trained(tmp_path):
    backbone = resnet(tmp_path)
    model = model_of("image", f"hub:{tmp_path}")
    pixels = tensors_of(table_of(), model.schema)["image"]
    tokens, mask = model.get_layer("image-encoder")([ops.convert_to_tensor(pixels)])
    given = 255 * np.nan_to_num(pixels) * [1 / 128, 1 / 64, 1 / 32] + [-1.0, 0.5, 0.0]
    expected = backbone(ops.cast(given, "float32"), training=False)
    expected = ops.convert_to_numpy(ops.mean(expected, axis=(1, 2)))
    present = np.arange(6) != 3
    tokens = ops.convert_to_numpy(tokens)[:, 0]
    np.testing.assert_allclose(tokens[present], expected[present], atol=1e-4)
    assert ops.convert_to_numpy(mask)[:, 0].tolist() == present.tolist()


def test_tokens_for_attention_and_a_fixed_size(tmp_path):
    vit(tmp_path)
    value = keras_mm.Image((20, 24), augmentation=None)
    encoder = keras_mm.encoders.Hub(str(tmp_path), units=5)
    model = encoder.build({"image": value}, "image-encoder", sequences=True)
    tokens, mask = model.outputs
    assert tokens.shape == (None, 5, 5), "a class token and 2 x 2 patches"
    assert mask.shape == (None, 5)


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.usefixtures("eagerly")
def test_frozen_or_not(tmp_path, trainable):
    bert(tmp_path)
    encoder = keras_mm.encoders.Hub(str(tmp_path), trainable=trainable)
    model = model_of("text", encoder)
    part = model.get_layer("text-encoder")
    before = part.get_weights()
    model.fit(table_of(), epochs=2, verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(before, part.get_weights())]
    assert bool(part.trainable_weights) == trainable
    assert all(same) != trainable
    if not trainable:
        # Nothing is dropped out in training, either.
        ids = [ops.convert_to_tensor(tensors_of(table_of(), model.schema)["text"])]
        one, two = (
            ops.convert_to_numpy(part(ids, training=flag)[0]) for flag in (True, False)
        )
        np.testing.assert_array_equal(one, two)


def test_file_and_export(tmp_path):
    bert(tmp_path / "bert")
    model = model_of("text", f"hub:{tmp_path / 'bert'}")
    expected = model.predict(table_of(), verbose=0)
    model.save(tmp_path / "model.keras")
    for file in (tmp_path / "bert").rglob("*.*"):
        file.unlink()
    again = keras.models.load_model(tmp_path / "model.keras")
    assert not again.get_layer("text-encoder").trainable_weights
    np.testing.assert_allclose(
        again.predict(table_of(), verbose=0), expected, atol=1e-6
    )
    if keras.backend.backend() == "tensorflow":
        # The graph has core operations alone: the C library runs it.
        path = keras_mm.export(again, tmp_path / "export", verbose=False)
        raw = {"text": [(text or "").encode() for text in TEXTS]}
        answer = keras_mm.serving.run_in_libtensorflow(path, "serving_default", raw)
        np.testing.assert_allclose(answer["y_probabilities"], expected, atol=1e-5)


def test_longer_texts_than_the_backbone_reads(tmp_path):
    bert(str(tmp_path))
    text = keras_mm.Text(13).adapt(table_of()["text"])
    hub = keras_mm.encoders.Hub(str(tmp_path))
    with pytest.raises(ValueError, match="reads 12 pieces.*sequence_length=13"):
        hub.build({"text": hub.prepare(text)}, "encoder")


def test_errors(tmp_path, monkeypatch):
    resnet(tmp_path)
    with pytest.raises(ValueError):
        model_of("text", f"hub:{tmp_path}")
    with pytest.raises(ValueError, match="Hub does not read Number"):
        keras_mm.encoders.get("hub:x", [keras_mm.Number()])
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r"keras_mm\[hub\]"):
        model_of("image", f"hub:{tmp_path}")
