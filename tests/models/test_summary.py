"""What `model.summary()` shows: stock Keras parts, and few others."""

import keras
import numpy as np
import pytest

import keras_mm


def is_stock(operation):
    return type(operation).__module__.startswith("keras.")


def test_textbook_model_is_stock_layers_only():
    model = keras_mm.build_classifier()
    assert all(is_stock(operation) for operation in model.operations)


def test_default_model_is_stock_layers_but_for_fusion(clipart):
    schema = keras_mm.Schema(
        {"image": keras_mm.Image((32, 32)), "text": keras_mm.Text()},
        {"category": keras_mm.ClassLabel()},
    ).adapt(clipart)
    model = keras_mm.build_classifier(schema)
    own = [layer.name for layer in model.layers if not is_stock(layer)]
    assert own == ["modality-dropout", "modality-fusion"]
    for name in ("image-encoder", "text-encoder"):
        encoder = model.get_layer(name)
        own = [type(part).__name__ for part in encoder.operations if not is_stock(part)]
        assert own == ["Augmentation"] * (name == "image-encoder")
        assert isinstance(encoder, keras.Model)


@pytest.mark.backends
def test_textbook_model_ignores_padding_and_absent_content():
    """More padding is the same text; a missing picture is black, not NaN."""
    model = keras_mm.build_classifier()
    image = np.random.default_rng(0).random((1, 224, 224, 3)).astype("float32")
    tokens = np.zeros((1, 100), "int32")
    tokens[0, :3] = [5, 9, 7]
    vector = keras.Model(model.inputs, model.get_layer("text-vector").output)
    embedding = model.get_layer("text-embedding")
    short = model.get_layer("text-vector")(embedding(tokens[:, :3]))
    np.testing.assert_allclose(
        vector.predict([image, tokens], verbose=0),
        keras.ops.convert_to_numpy(short),
        atol=1e-6,
    )
    absent = np.full_like(image, np.nan)
    black = np.zeros_like(image)
    np.testing.assert_allclose(
        model.predict([absent, tokens], verbose=0),
        model.predict([black, tokens], verbose=0),
    )
    empty = model.predict([absent, 0 * tokens], verbose=0)
    assert np.isfinite(empty).all()
