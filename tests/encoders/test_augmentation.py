"""Augmentation of pictures: in training only, whichever the encoder is."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_mm
from keras_mm import encoders as room

from .test_encoders import SIZE, image, numpy, pictures, run


def _augmenting():
    """Every encoder of pictures that one can build without a download."""
    network = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), layers.Conv2D(2, 3), layers.Flatten()]
    )
    trained = room.CNN(2, activation="tanh").build({"image": image()}, "image-encoder")
    return {
        "residual_cnn": room.ResidualCNN((4,), units=5, dropout=0.0),
        "cnn": room.CNN(2, activation="tanh"),
        "vit": room.ViT(units=4, num_blocks=1, num_heads=2),
        "custom": room.Custom(network),
        "trained": room.Trained(trained),
        "trained, augmenting": room.Trained(
            room.CNN(2, activation="tanh").build(
                {"image": image("light")}, "image-encoder"
            )
        ),
    }


@pytest.mark.parametrize("name", _augmenting())
def test_augmentation_is_random_in_training_only(name):
    """Once, for every encoder of pictures; a missing one stays missing."""
    encoder = _augmenting()[name]
    model = encoder.build({"image": image("light")}, "e")
    parts = model._flatten_layers(include_self=False)
    assert sum(isinstance(part, room.Augmentation) for part in parts) == 1
    x = pictures(absent=(1,))
    called, mask = numpy(model(ops.convert_to_tensor(x)))
    np.testing.assert_array_equal(called, run(model, x)[0])
    other = [run(model, x, training=True) for _ in range(2)]
    assert not np.allclose(other[0][0], other[1][0])
    for _, seen in other:
        np.testing.assert_array_equal(seen, mask)
    plain = encoder.build({"image": image()}, "e")
    assert not any(
        isinstance(part, room.Augmentation) for part in plain._flatten_layers()
    )
    if name.startswith("trained"):
        # The other model's weights, whatever it did to pictures.
        np.testing.assert_allclose(run(plain, x)[0], called, atol=1e-6)


def test_a_graph_for_inference_holds_no_augmentation():
    """Nobody says whether it is training: what `Model.export` traces, for ONNX too."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("a graph of TensorFlow")
    model = room.CNN(2).build({"image": image("light")}, "e")
    spec = tf.TensorSpec((None, SIZE, SIZE, 3), "float32")
    graph = tf.function(lambda x: model([x])).get_concrete_function(spec).graph
    kinds = " ".join(operation.type for operation in graph.get_operations())
    assert "Conv2D" in kinds
    assert "Random" not in kinds and "ProjectiveTransform" not in kinds


def test_augmentation_of_the_users():
    layer = layers.RandomBrightness(0.5, value_range=(0, 1))
    model = room.ResidualCNN((4,), units=5).build({"image": image(layer)}, "e")
    assert any(part is layer for part in model._flatten_layers())
    several = keras_mm.Image((SIZE, SIZE), augmentation=layer, num_images=2)
    model = room.CNN(2).build({"image": several}, "e")
    parts = model._flatten_layers(include_self=False)
    assert sum(isinstance(part, room.Augmentation) for part in parts) == 1


def test_a_copy_augments_as_the_new_input_says():
    """Also where the other encoder's augmentation had weights, and copies of copies."""
    counts = layers.Normalization(axis=-1, mean=[0.1] * 3, variance=[1.0] * 3)
    first = room.ResidualCNN((4,), units=5).build({"image": image(counts)}, "e")
    second = room.Trained(first).build({"image": image()}, "image-encoder")
    third = room.Trained(second).build({"image": image("light")}, "image-encoder")
    x = pictures()
    expected = run(first, x)[0]
    for model, augments in ((second, 0), (third, 1)):
        parts = list(model._flatten_layers(include_self=False))
        assert sum(isinstance(part, room.Augmentation) for part in parts) == augments
        np.testing.assert_allclose(run(model, x)[0], expected, atol=1e-6)
    layer = layers.RandomBrightness(0.5, value_range=(0, 1))
    other = room.Trained(first).build({"image": image(layer)}, "image-encoder")
    (part,) = (p for p in other._flatten_layers() if isinstance(p, room.Augmentation))
    assert isinstance(part.layer, layers.RandomBrightness)


class Cut(layers.Layer):
    """It does not say what size it gives."""

    def call(self, images):
        return images[:, 1:]


def test_augmentation_keeps_the_size():
    for layer in (
        layers.Resizing(8, 8),
        layers.RandomCrop(8, 8),
        keras.Sequential([layers.RandomFlip(), layers.CenterCrop(8, 8)]),
        # It has no `compute_output_shape`.
        layers.Pipeline([layers.RandomFlip(), layers.RandomCrop(8, 8)]),
    ):
        with pytest.raises(ValueError, match=r"keep the size.*to \(8, 8, 3\)"):
            image(layer)
        with pytest.raises(ValueError, match="keep the size.*Received: layer="):
            room.Augmentation(layer)(np.zeros((1, SIZE, SIZE, 3), "float32"))
    # What ends at the size that it began with may be anything.
    image(keras.Sequential([layers.ZeroPadding2D(2), layers.RandomCrop(SIZE, SIZE)]))
    with pytest.raises(ValueError, match="keep the size.*layer=Cut"):
        room.Augmentation(Cut())(np.zeros((1, 4, 4, 3), "float32"), training=True)
