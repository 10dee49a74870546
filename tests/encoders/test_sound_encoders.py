"""Encoders of sounds: padding, masks, parameters, gradients."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_mm
from keras_mm import encoders as room

ENCODERS = {
    "spectrogram_cnn": lambda **kwargs: room.SpectrogramCNN((4, 6), units=5, **kwargs),
    "waveform_cnn": lambda **kwargs: room.WaveformCNN(
        (4, 6), kernel_size=4, strides=2, units=5, **kwargs
    ),
}
each = pytest.mark.parametrize("name", ENCODERS)


class Steps(keras_mm.inputs.Input):
    """A sequence of some steps."""

    kind = "sequence"

    def __init__(self, *shape):
        self.shape = shape


def sounds(rows=6, length=13, channels=7, lengths=(13, 5, 0, 1, 8, 12)):
    x = np.random.default_rng(0).random((rows, length, channels)).astype("float32")
    for row, known in enumerate(lengths):
        x[row, known:] = np.nan
    return x


def build(name, sequences=False, shape=(13, 7), **kwargs):
    keras.utils.set_random_seed(0)
    encoder = ENCODERS[name](**kwargs)
    return encoder.build({"sound": Steps(*shape)}, "sound-encoder", sequences)


def numpy(result):
    return [ops.convert_to_numpy(value) for value in result]


@each
@pytest.mark.parametrize("sequences", [False, True])
def test_tokens_and_masks(name, sequences):
    tokens, mask = numpy(build(name, sequences)([sounds()]))
    assert np.isfinite(tokens).all()
    if sequences:
        # Two convolutions: steps 0, 4, 8 and 12 are those that are left.
        assert tokens.shape == (6, 4, 5)
        assert mask.sum(axis=1).tolist() == [4, 2, 0, 1, 2, 3]
    else:
        assert tokens.shape == (6, 1, 5)
        assert mask[:, 0].tolist() == [True, True, False, True, True, True]


@each
@pytest.mark.parametrize("training", [False, True])
def test_other_rows_and_padding_change_nothing(name, training):
    """In training statistics are of the batch, but never of its padding."""
    model = build(name, dropout=0.0)
    x = sounds()
    tokens, _ = numpy(model([x], training=training))
    with_missing = np.concatenate([x, np.full_like(x[:2], np.nan)])
    again, mask = numpy(model([with_missing], training=training))
    np.testing.assert_allclose(again[:6][mask[:6]], tokens[mask[:6]], atol=1e-5)
    if not training:
        alone, _ = numpy(model([x[1:2]]))
        np.testing.assert_allclose(alone[0], tokens[1], atol=1e-6)


def test_spectrogram_cnn_is_what_numpy_computes():
    """One convolution, written out, for the valid steps of a padded sound."""
    encoder = room.SpectrogramCNN((3,), units=4)
    model = encoder.build({"sound": Steps(8, 6)}, "encoder")
    x = sounds(2, 8, 6, (8, 3))
    kernel, projection = [w.numpy() for w in model.trainable_weights if "kernel" in w.path]  # fmt: skip
    # 8 x 6 cells in strides of 2 need a border of 1 before and 2 behind.
    padded = np.pad(np.nan_to_num(x), [(0, 0), (1, 2), (1, 2)])
    scale = 1 / np.sqrt(1 + 1e-3)
    for row, known in enumerate([4, 2]):
        cells = np.zeros((known, 3, 3))
        for t in range(known):
            for f in range(3):
                part = padded[row, 2 * t : 2 * t + 5, 2 * f : 2 * f + 5]
                value = np.tensordot(part, kernel[:, :, 0], 2)
                cells[t, f] = np.maximum(scale * value, 0)
        flat = cells.reshape(known, -1)
        vector = np.concatenate([flat.mean(axis=0), flat.max(axis=0)])
        expected = np.maximum(scale * (vector @ projection), 0)
        tokens, _ = numpy(model([x]))
        np.testing.assert_allclose(tokens[row, 0], expected, atol=1e-5)


def test_parameters():
    # Kernels, four numbers a channel for each normalisation, the projection
    # of mean and maximum; 13 x 7 cells become 4 x 2 of 6 channels.
    expected = 25 * 4 + 9 * 4 * 6 + 4 * (4 + 6) + 2 * 2 * 6 * 5 + 4 * 5
    assert build("spectrogram_cnn").count_params() == expected
    expected = 4 * 7 * 4 + 4 * 4 * 6 + 4 * (4 + 6) + 2 * 6 * 5 + 4 * 5
    assert build("waveform_cnn").count_params() == expected


@each
@pytest.mark.parametrize("sequences", [False, True])
def test_gradients_reach_every_weight(name, sequences):
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        pytest.skip("gradients are taken with TensorFlow")
    model = build(name, sequences)
    with tf.GradientTape() as tape:
        tokens, _ = model([sounds()], training=True)
        loss = tf.reduce_sum(tokens * np.random.default_rng(0).random(tokens.shape))
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, model.trainable_weights)
    ):
        assert np.isfinite(gradient).all() and np.any(gradient), weight.path


@each
def test_short_and_narrow_sequences(name):
    for shape in ((1, 1), (2, 1), (1, 3)):
        model = build(name, True, shape)
        tokens, mask = numpy(model([np.ones((2, *shape), "float32")]))
        assert tokens.shape == (2, 1, 5) and mask.all()
        assert np.isfinite(tokens).all()


def test_defaults():
    for features, kind in (
        ("log_mel", room.SpectrogramCNN),
        ("mfcc", room.SpectrogramCNN),
        ("waveform", room.WaveformCNN),
    ):
        audio = keras_mm.Audio(1, features=features)
        assert type(room.get(None, [audio])) is kind
