"""Networks of keras.applications, with random weights."""

import sys

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm
from keras_mm.encoders import Application, application

from ..helpers import encode_picture, random_pixels, tensors_of

PRESENT = np.arange(6) != 3


def table_of():
    pictures = [encode_picture(random_pixels(row)) for row in range(6)]
    pictures[3] = None
    return pd.DataFrame({"image": pictures, "y": ["a", "b"] * 3}, dtype=object)


def encoder_of(encoder, sequences=True, size=(32, 32)):
    value = keras_mm.Image(size, augmentation=None)
    return encoder.build({"image": value}, "image-encoder", sequences)


def model_of(encoder):
    schema = keras_mm.Schema(
        {"image": keras_mm.Image((32, 32), augmentation=None)},
        {"y": keras_mm.ClassLabel()},
    ).adapt(table_of())
    return keras_mm.build_classifier(schema, encoders={"image": encoder}, seed=0)


def network_of(encoder):
    return next(x for x in encoder.layers if isinstance(x, keras.Model))


NAMES = [name for name in dir(keras.applications) if name[0].isupper()]
MODULES = {getattr(keras.applications, name).__module__: name for name in NAMES}


@pytest.mark.parametrize("name", MODULES.values())
def test_preprocessing_of_every_family(name):
    make = getattr(keras.applications, name)
    flipped, scale, offset = application._preprocessing(make)
    pixels = np.random.default_rng(0).random((2, 3, 4, 3), "float32")
    expected = sys.modules[make.__module__].preprocess_input(255 * pixels)
    given = pixels[..., ::-1] if flipped else pixels
    np.testing.assert_allclose(given * scale + offset, expected, atol=2e-4)


def test_tokens_are_what_the_network_gives():
    """Places of the map, or their mean; a missing picture is masked."""
    make = keras.applications.mobilenet_v2
    part = encoder_of(Application("MobileNetV2", weights=None), True, (64, 32))
    pixels = np.stack([random_pixels(row, (64, 32)) for row in range(3)]) / 255
    pixels[1] = np.nan
    pixels = ops.convert_to_tensor(pixels.astype("float32"))
    tokens, mask = part([pixels])
    expected = network_of(part)(
        make.preprocess_input(255 * np.nan_to_num(ops.convert_to_numpy(pixels))),
        training=False,
    )
    tokens = ops.convert_to_numpy(tokens)
    assert tokens.shape == (3, 2, 1280)
    expected = ops.convert_to_numpy(expected).reshape(3, 2, 1280)
    np.testing.assert_allclose(tokens, expected, atol=1e-4)
    assert ops.convert_to_numpy(mask).tolist() == [[True] * 2, [False] * 2, [True] * 2]
    mean = encoder_of(Application("MobileNetV2", weights=None), False, (64, 32))
    mean.set_weights(part.get_weights())
    token, present = mean([pixels])
    assert ops.convert_to_numpy(present).tolist() == [[True], [False], [True]]
    expected = expected.mean(axis=1) * np.array([[1], [0], [1]])
    np.testing.assert_allclose(ops.convert_to_numpy(token)[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.usefixtures("eagerly")
def test_frozen_or_not(trainable, tmp_path):
    """Frozen: neither weights nor running statistics move, also once saved."""
    model = model_of(Application("MobileNet", weights=None, trainable=trainable))
    if not trainable:
        expected = model.predict(table_of(), verbose=0)
        model.save(tmp_path / "model.keras")
        # The file needs no download and nothing else of the constructor's.
        model = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(
            model.predict(table_of(), verbose=0), expected, atol=1e-6
        )
    part = model.get_layer("image-encoder")
    before = part.get_weights()
    model.fit(table_of(), epochs=2, verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(before, part.get_weights())]
    assert bool(part.trainable_weights) == trainable
    assert all(same) != trainable
    if not trainable and keras.backend.backend() == "tensorflow":
        expected = model.predict(table_of(), verbose=0)
        path = keras_mm.export(model, tmp_path / "export", verbose=False)
        raw = {"image": [cell or b"" for cell in table_of()["image"]]}
        answer = keras_mm.serving.run_in_libtensorflow(path, "serving_default", raw)
        np.testing.assert_allclose(answer["y_probabilities"], expected, atol=1e-5)


def test_a_frozen_network_drops_nothing_out():
    part = encoder_of(Application("EfficientNetB0", weights=None))
    pixels = [ops.convert_to_tensor(tensors_of(table_of(), model_schema())["image"])]
    one, two = (
        ops.convert_to_numpy(part(pixels, training=flag)[0]) for flag in (True, False)
    )
    np.testing.assert_array_equal(one, two)


def model_schema():
    return keras_mm.Schema({"image": keras_mm.Image((32, 32), augmentation=None)})


def test_file_of_weights(tmp_path):
    """ImageNet's EfficientNet files hold deviations as variances."""
    network = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    normalization = network.get_layer(index=2)
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    shape = normalization.adapt_mean.shape
    normalization.adapt_mean.assign(np.reshape(mean, shape))
    normalization.adapt_variance.assign(np.reshape(deviation, shape))
    path = tmp_path / "file.weights.h5"
    network.save_weights(path)
    part = encoder_of(Application("EfficientNetB0", weights=str(path)))
    loaded = network_of(part)
    assert loaded.get_layer(index=2).name.startswith("normalization")
    first = keras.Model(loaded.inputs, loaded.get_layer(index=2).output)
    pixels = np.random.default_rng(0).random((1, 32, 32, 3), "float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(first(255 * pixels)),
        (pixels - mean) / deviation,
        atol=1e-4,
    )
    kernel = network.get_layer("stem_conv").get_weights()[0]
    np.testing.assert_array_equal(
        loaded.get_layer("stem_conv").get_weights()[0], kernel
    )


def test_names():
    image, number = keras_mm.Image(), keras_mm.Number()
    encoder = keras_mm.encoders.get("applications:ResNet50", [image])
    assert (encoder.name, encoder.weights) == ("ResNet50", "imagenet")
    with pytest.raises(ValueError, match="Application does not read Number"):
        keras_mm.encoders.get("applications:ResNet50", [number])
    with pytest.raises(ValueError, match="MobileNetV2.*Received: name='resnet'"):
        keras_mm.encoders.get("applications:resnet", [image])
