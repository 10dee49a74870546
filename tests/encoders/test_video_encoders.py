"""Encoders of clips: order, masks, and frames that are not there."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_mm
from keras_mm.encoders import CNN, Conv3D, Custom, Frames, ResidualCNN, get

from .test_encoders import run

LENGTH, SIZE = 5, 10


def video(num_frames=LENGTH):
    return keras_mm.Video(num_frames, (SIZE, SIZE))


def clips(num_frames=LENGTH):
    """A whole clip, one that ends early, one with a gap, and none."""
    x = np.random.default_rng(0).random((4, num_frames, SIZE, SIZE, 3))
    x[1, 3:] = x[2, 1] = x[3] = np.nan
    return x.astype("float32")


ENCODERS = {
    "conv3d": lambda: Conv3D((4, 6)),
    "mean": lambda: Frames(units=8),
    "lstm": lambda: Frames(temporal="lstm", units=8),
    "gru": lambda: Frames(CNN(3), temporal="gru", units=8),
    "transformer": lambda: Frames("cnn", temporal="transformer", units=8),
    "vit": lambda: Frames(
        keras_mm.encoders.ViT(5, units=8, num_blocks=1), temporal="lstm", units=8
    ),
    "residual_cnn": lambda: Frames(ResidualCNN((4,), 6), units=8),
}


def test_absent_frames_are_nothing_to_their_neighbours():
    """A gap is 0 after every convolution, though biases are not."""
    model = Conv3D((4, 4)).build({"clip": video(4)}, "clip-encoder", True)
    weights = [np.ones_like(w) if w.ndim == 1 else w for w in model.get_weights()]
    model.set_weights(weights)
    x = np.random.default_rng(1).random((1, 4, SIZE, SIZE, 3)).astype("float32")
    x[0, 1:] = np.nan
    padded, _ = run(model, x)
    one = Conv3D((4, 4)).build({"clip": video(1)}, "clip-encoder", True)
    one.set_weights(weights)
    alone, _ = run(one, x[:, :1])
    np.testing.assert_allclose(padded[0, 0], alone[0, 0], atol=1e-5)


def test_only_the_mean_is_blind_to_order():
    x = np.random.default_rng(1).random((1, LENGTH, SIZE, SIZE, 3)).astype("float32")
    for name in ENCODERS:
        keras.utils.set_random_seed(2)
        model = ENCODERS[name]().build({"clip": video()}, "clip-encoder")
        forwards, backwards = run(model, x)[0], run(model, x[:, ::-1])[0]
        is_blind = np.allclose(forwards, backwards, atol=1e-6)
        assert is_blind == (name in ("mean", "residual_cnn")), name


def test_frames_are_the_image_encoders():
    """The mean of what the image encoder and the Dense layer give a frame."""
    model = Frames(CNN(3), units=8).build({"clip": video()}, "clip-encoder")
    frame_encoder = model.get_layer("frame-encoder")
    kernel, bias = model.get_layer("frame_tokens").get_weights()
    x = clips()
    tokens, mask = run(frame_encoder, x[1, :3])
    expected = np.maximum(tokens[:, 0] @ kernel + bias, 0).mean(0)
    np.testing.assert_allclose(run(model, x)[0][1, 0], expected, atol=1e-5)


def test_parameters():
    def count(encoder, size=SIZE):
        value = keras_mm.Video(LENGTH, (size, size))
        return encoder.build({"clip": value}, "clip-encoder").count_params()

    assert count(Conv3D((4, 6))) == (27 * 3 * 4 + 4) + (27 * 4 * 6 + 6)
    # 64 -> 31 -> 14 -> 6 places a side.
    cnn = (27 * 16 + 16) + (9 * 16 * 32 + 32) + (9 * 32 * 64 + 64)
    dense = 36 * 64 * 64 + 64
    assert count(Frames(), 64) == cnn + dense
    assert count(Frames(temporal="lstm"), 64) == cnn + dense + 4 * 64 * (128 + 1)
    assert count(Frames(temporal="gru"), 64) == cnn + dense + 3 * 64 * (128 + 2)
    for size in (3, 4, 8):
        assert count(Frames(), size) > 0


def test_custom_reads_clips_by_frame():
    x = clips()
    there = ~np.isnan(x).all(axis=(2, 3, 4))

    def by_frame(clip):
        return ops.mean(clip, axis=(2, 3))

    model = Custom(by_frame).build({"clip": video()}, "clip-encoder", True)
    tokens, mask = run(model, x)
    assert mask.tolist() == there.tolist() and np.isfinite(tokens).all()
    model = Custom(lambda c: ops.mean(c, axis=(1, 2, 3))).build(
        {"clip": video()}, "clip-encoder"
    )
    assert run(model, x)[1][:, 0].tolist() == [True, True, True, False]


def test_names_and_wrong_arguments():
    assert isinstance(get(None, [video()]), Frames)
    assert isinstance(get("conv3d", [video()]), Conv3D)
    with pytest.raises(ValueError, match=r"one of \['conv3d', 'frames'\]"):
        get("cnn", [video()])
    with pytest.raises(ValueError, match="Received: temporal='max'"):
        Frames(temporal="max")
    with pytest.raises(ValueError, match="Received: units=10, num_heads=4"):
        Frames(temporal="transformer", units=10)
    with pytest.raises(ValueError, match="Received: encoder='dense'"):
        Frames("dense").build({"clip": video()}, "clip-encoder")
