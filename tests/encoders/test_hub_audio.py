"""Audio backbones of KerasHub, tiny and with random weights, from a local folder."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm

from ..helpers import tensors_of

pytest.importorskip("keras_hub")

from .hub_backbones import moonshine, whisper  # noqa: E402

RATE = 16000
LENGTHS = [4800, 1600, None, 3301, 9000, 200]


def make_sounds():
    random = np.random.default_rng(0)
    return [
        None if n is None else (0.3 * random.normal(size=n)).clip(-1, 1)
        for n in LENGTHS
    ]


def make_table():
    sounds = pd.Series(make_sounds(), dtype=object)
    return pd.DataFrame({"sound": sounds, "y": ["a", "b"] * 3})


def run(backbone, inputs):
    """What a whole backbone says of a sound, from its converter's numbers."""
    inputs = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
    output = backbone(inputs, training=False)["encoder_sequence_output"]
    return ops.convert_to_numpy(output)


def build(folder, duration=0.5, **kwargs):
    schema = keras_mm.Schema(
        {"sound": keras_mm.Audio(duration, RATE)}, {"y": keras_mm.ClassLabel()}
    ).adapt(make_table())
    encoder = keras_mm.encoders.Hub(str(folder), **kwargs)
    return schema, keras_mm.build_classifier(
        schema, encoders={"sound": encoder}, seed=0
    )


def encoded(model, folder, duration=0.5):
    """Tokens and mask of each row, all steps."""
    value = model.schema.inputs["sound"]
    encoder = keras_mm.encoders.Hub(str(folder)).build({"sound": value}, "e", True)
    samples = tensors_of(make_table(), model.schema)["sound"]
    assert samples.shape == (6, int(duration * RATE), 1)
    tokens, mask = encoder([ops.convert_to_tensor(samples)])
    assert tokens.shape[1:] == encoder.outputs[0].shape[1:]
    return samples, ops.convert_to_numpy(tokens), ops.convert_to_numpy(mask)


def test_whisper_is_what_keras_hub_says(tmp_path):
    backbone, converter = whisper(tmp_path)
    _, model = build(tmp_path)
    samples, tokens, mask = encoded(model, tmp_path)
    assert mask.sum(1).tolist() == [15, 5, 0, 11, 25, 1]
    features = converter(np.nan_to_num(samples[..., 0]))
    expected = run(
        backbone,
        {
            "encoder_features": features,
            "decoder_token_ids": np.ones((6, 2), "int32"),
            "decoder_padding_mask": np.ones((6, 2), "int32"),
        },
    )
    assert expected.shape[1] == 50 and tokens.shape[1] == 25
    np.testing.assert_allclose(tokens, expected[:, :25], atol=1e-4)
    # More room changes nothing.
    _, more, more_mask = encoded(build(tmp_path, 1.0)[1], tmp_path, 1.0)
    rows = [0, 1, 3, 5]
    np.testing.assert_array_equal(more_mask[rows, :25], mask[rows])
    np.testing.assert_allclose(more[rows, :25], tokens[rows], atol=1e-4)


@pytest.mark.parametrize("do_normalize", [False, True])
def test_moonshine_is_what_keras_hub_says_of_each_sound_alone(tmp_path, do_normalize):
    backbone, converter = moonshine(tmp_path, do_normalize)
    _, model = build(tmp_path)
    samples, tokens, mask = encoded(model, tmp_path)
    assert np.isfinite(tokens).all() and not mask[2].any()
    for row, length in enumerate(LENGTHS[:-1]):
        if length is None:
            continue
        sound = samples[row : row + 1, :length]
        assert not np.isnan(sound).any()
        given = converter(sound)
        ones = np.ones((1, 2), "int32")
        expected = run(
            backbone,
            {
                "encoder_input_values": given,
                "encoder_padding_mask": np.ones(given.shape[:2], "bool"),
                "decoder_token_ids": ones,
                "decoder_padding_mask": ones.astype("bool"),
            },
        )[0]
        assert mask[row].sum() == len(expected) and mask[row, : len(expected)].all()
        np.testing.assert_allclose(tokens[row, : len(expected)], expected, atol=2e-4)
    # Less than one step of the network is a step all the same.
    assert mask[5].sum() == 1


@pytest.mark.large
@pytest.mark.parametrize("make", [whisper, moonshine])
@pytest.mark.usefixtures("eagerly")
def test_fit_file_and_export(tmp_path, make):
    make(tmp_path / "hub")
    _, model = build(tmp_path / "hub", trainable=make is moonshine)
    part = model.get_layer("sound-encoder")
    before = part.get_weights()
    model.fit(make_table(), epochs=1, verbose=0)
    moved = [not np.array_equal(*pair) for pair in zip(before, part.get_weights())]
    assert any(moved) == (make is moonshine)
    assert all(np.isfinite(weight).all() for weight in part.get_weights())
    expected = model.predict(make_table(), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        again.predict(make_table(), verbose=0), expected, atol=1e-5
    )
    if keras.backend.backend() == "tensorflow":
        path = keras_mm.export(again, tmp_path / "export", verbose=False)
        raw = again.schema.inputs["sound"].to_raw(make_table()["sound"])
        answer = keras_mm.serving.run_in_libtensorflow(
            path, "serving_default", {"sound": raw}
        )
        np.testing.assert_allclose(answer["y_probabilities"], expected, atol=1e-5)


def test_errors(tmp_path):
    whisper(tmp_path)
    with pytest.raises(ValueError, match="takes sounds of 0.1 to 1 seconds"):
        build(tmp_path, 2.0)
    schema = keras_mm.Schema(
        {"sensor": keras_mm.Sequence(9)}, {"y": keras_mm.ClassLabel()}
    )
    table = pd.DataFrame({"sensor": [[1.0, 2.0], [3.0]], "y": ["a", "b"]})
    with pytest.raises(ValueError, match="Audio backbones read Audio columns"):
        keras_mm.build_classifier(
            schema.adapt(table), encoders={"sensor": f"hub:{tmp_path}"}
        )
