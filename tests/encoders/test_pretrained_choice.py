"""`encoders="pretrained"`: what is taken is written down, printed, and works."""

import os

import keras
import numpy as np
import pytest

import keras_mm
from keras_mm.encoders import PRESETS, Hub, expanded

from ..helpers import make_table, small_schema
from .conformance import audio, preset, sounds

TEXT = PRESETS[keras_mm.Text].preset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tiny backbones by the names of the presets."""
    folder = tmp_path_factory.mktemp("presets")
    tiny = ("resnet", "bert", "moonshine")
    for kind, name in zip((keras_mm.Image, keras_mm.Text, keras_mm.Audio), tiny):
        os.symlink(preset(name), folder / PRESETS[kind].preset)
    return str(folder)


def test_the_registry_has_what_the_table_says():
    keras_hub = pytest.importorskip("keras_hub")
    registry = keras_hub.models.Backbone.presets
    for choice in PRESETS.values():
        assert registry[choice.preset]["metadata"]["params"] == choice.parameters
        assert choice.licence and choice.source and choice.score


@pytest.mark.usefixtures("eagerly")
def test_pictures_texts_and_sounds_in_one_word(folder, capsys):
    table = make_table(6)
    table["sound"] = sounds(6)
    table.loc[2, "sound"] = None
    schema = keras_mm.Schema(
        {
            "image": keras_mm.Image((16, 16)),
            "text": keras_mm.Text(4),
            "sound": audio(),
            "price": keras_mm.Number(),
        },
        {"category": keras_mm.ClassLabel()},
    ).adapt(table)
    model = keras_mm.build_classifier(schema, encoders=f"pretrained:{folder}", seed=0)
    texts, spoken = ["text-ngrams", "text-hub"], ["sound-spectrogram_cnn", "sound-hub"]
    assert list(model.modalities) == ["image", *texts, *spoken, "price"]
    for name in ("image", "text-hub", "sound-hub"):
        # Frozen.
        assert model.encoders[name].weights
        assert not model.encoders[name].trainable_weights
    said = capsys.readouterr().out
    for choice in PRESETS.values():
        assert said.count(choice.describe()) == 1
    assert "It sees little of 16 x 16 pixels" in said
    # What it says to change takes the same.
    (line,) = [line for line in said.splitlines() if "encoders=" in line]
    same = eval(line.partition("encoders=")[2])
    hubs = {
        name: f"hub:{folder}/{PRESETS[type(v)].preset}" for name, v in first(schema)
    }
    both = {"text": ["ngrams", hubs["text"]]}
    both["sound"] = ["spectrogram_cnn", hubs["sound"]]
    assert same == {"image": hubs["image"], **both}
    predicted = model.predict(table, verbose=0)
    assert np.isfinite(predicted).all()


def first(schema):
    return list(schema.inputs.items())[:3]


def test_for_one_column(folder, capsys):
    schema = small_schema(make_table(6))
    given = {"text": f"pretrained:{folder}", "image": "cnn"}
    chosen = expanded(given, schema.inputs)
    assert chosen["image"] == "cnn" and chosen["text"][0] == "ngrams"
    assert isinstance(chosen["text"][1], Hub)
    assert "image:" not in capsys.readouterr().out
    # Of characters or a vocabulary of the user's it is not for.
    inputs = {"text": keras_mm.Text(tokens="characters"), "price": keras_mm.Number()}
    for wrong in ("pretrained", {"price": "pretrained"}, {"text": "pretrained"}):
        with pytest.raises(ValueError, match="for Image, Text and Audio columns"):
            expanded(wrong, inputs)
    with pytest.raises(ValueError, match="or 'pretrained', or 'pretrained:<folder>'"):
        expanded("hub:nothing", schema.inputs)


def test_without_network_or_folder(tmp_path, monkeypatch):
    keras_hub = pytest.importorskip("keras_hub")

    def unreachable(preset, **kwargs):
        raise ConnectionError("Failed to resolve the host")

    schema = small_schema(make_table(6), text=keras_mm.Text(4))
    monkeypatch.setattr(keras_hub.models.Tokenizer, "from_preset", unreachable)
    with pytest.raises(ValueError, match="KAGGLEHUB_CACHE") as error:
        keras_mm.build_classifier(schema, encoders="pretrained")
    assert str(error.value).endswith(f"Received: preset={TEXT!r}")
    with pytest.raises(ValueError, match=f"must hold the preset as '{TEXT}'"):
        keras_mm.build_classifier(schema, encoders=f"pretrained:{tmp_path}")


def test_in_a_retriever_its_reranker_and_folds(folder, capsys):
    word, table = f"pretrained:{folder}", make_table(6)
    schema = small_schema(table).part(["image", "text"])
    retriever = keras_mm.build_retriever(schema, encoders=word, units=4)
    reranker = keras_mm.build_reranker(retriever, "text", "image", encoders=word)
    assert {"text-ngrams", "text-hub"} < set(reranker.encoders)
    trials = keras_mm.evaluation.trials.Trials(
        small_schema(table, text=keras_mm.Text(4)), table, 2, encoders=word
    )
    assert list(trials.modalities) == ["text"]
    assert isinstance(trials.encoders["text"][1], Hub)
    assert isinstance(retriever, keras.Model)
