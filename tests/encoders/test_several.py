"""Several encoders for one column, each a modality of its own."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm
from keras_mm import encoders, evaluation
from keras_mm.evaluation import tensors as tensors_room
from keras_mm.evaluation.parts import Parts
from keras_mm.evaluation.trials import predict
from keras_mm.inputs import Forms

from ..helpers import make_table, small_encoders, small_schema, tensors_of
from .conformance import audio, sounds

COLUMNS = ("image", "text", "shop")


def several():
    return {
        "image": encoders.CNN(4),
        "text": [
            encoders.NGrams(units=6, dropout=0.0),
            encoders.Average(5),
            encoders.TemporalCNN((4,), 3, 4, dropout=0.0),
        ],
    }


def make_schema(table):
    whole = small_schema(table)
    inputs = {name: whole.inputs[name] for name in COLUMNS}
    return keras_mm.Schema(inputs, whole.targets)


@pytest.fixture(scope="module")
def made():
    table = make_table(12)
    model = keras_mm.build_classifier(make_schema(table), encoders=several(), seed=0)
    return model, table, tensors_of(table, model.schema)


@pytest.mark.backends
def test_each_encoder_reads_its_own_form(made):
    """As in a model where it is alone; n-grams and words are different ids."""
    model, table, tensors = made
    own = {"text-ngrams": 0, "text-average": 1, "text-temporal_cnn": 2}
    assert list(model.modalities) == ["image", *own, "shop"]
    assert all(model.modalities[name] == ["text"] for name in own)
    lengths = []
    for name, place in own.items():
        alone = keras_mm.build_classifier(
            small_schema(table, text=model.schema.inputs["text"].form_of(name)),
            encoders={"text": several()["text"][place]},
        )
        alone.encoders["text"].set_weights(model.encoders[name].get_weights())
        ids = tensors_of(table, alone.schema)["text"]
        lengths.append(ids.shape[1])
        expected = alone.encoders["text"]([ops.convert_to_tensor(ids)])
        got = model.encoders[name]([ops.convert_to_tensor(tensors["text"])])
        for one, other in zip(expected, got):
            one, other = map(ops.convert_to_numpy, (one, other))
            np.testing.assert_allclose(one, other, atol=1e-6)
        # The texts of the second and third row are missing.
        assert ops.convert_to_numpy(got[1]).any(1).tolist() == [True, *[False] * 2] + (
            [True] * 9
        )
    line = model.schema.inputs["text"].describe()
    assert line.endswith("(for text-ngrams, text-average, text-temporal_cnn)")
    # Words are in it once, for both encoders of words.
    assert tensors["text"].shape[1] == lengths[0] + lengths[1]
    assert not tensors["text"][1:3].any()


@pytest.mark.backends
def test_saved_and_loaded(made, tmp_path):
    model, table, tensors = made
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.schema.inputs["text"], Forms)
    assert again.modalities == model.modalities
    np.testing.assert_allclose(
        again.predict(table, verbose=0), model.predict(tensors, verbose=0), atol=1e-6
    )


def test_a_missing_column_is_missing_for_each_of_its_encoders(made):
    model, table, tensors = made
    expected = evaluation.predict_without(model, table, ["text"])
    got = predict(model, tensors_room.withhold(tensors, ["text"]))["category"]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    # Reports are by column: two encoders of it are not two sources.
    assert model.wiring.by_column == {
        name: [name] for name in ("image", "text", "shop")
    }
    parts = Parts(model, model.wiring.by_column)
    assert parts.encoders["text"] == [
        "text-ngrams",
        "text-average",
        "text-temporal_cnn",
    ]
    answer = parts.predict(parts.withhold(parts.encode(tensors), ["text"]))
    np.testing.assert_allclose(answer["category"], expected, atol=1e-6)


def test_noise_keeps_to_the_ids_of_a_form(made):
    model, _, tensors = made
    column = model.schema.inputs["text"]
    random = np.random.default_rng(0)
    changed = tensors_room.add_noise(tensors, model.schema, ["text"], 1.0, random)
    assert (changed["text"] != tensors["text"]).any()
    parts = zip(column.split(changed["text"]), column.split(tensors["text"]))
    for got, before in parts:
        assert set(got.ravel()) <= set(before.ravel())
    wrong = tensors["text"].copy()
    # The highest n-gram is no word.
    wrong[0, -1] = column.form_of("text-ngrams").num_ids - 1
    with pytest.raises(ValueError, match="must be between 0 and"):
        model.predict(keras_mm.Tensors({**tensors, "text": wrong}), verbose=0)


def test_encoders_of_a_column_are_dropped_together(made):
    model, _, _ = made
    layer = model.get_layer("modality-dropout")
    assert layer.groups == [0, 1, 1, 1, 2]
    layer = keras_mm.fusion.ModalityDropout(1.0, seed=1, groups=[0, 1, 1])
    masks = [np.ones((200, length), bool) for length in (1, 3, 1)]
    masks[1][:50] = masks[2][:50] = False
    kept = [np.any(ops.convert_to_numpy(m), 1) for m in layer(masks, training=True)]
    np.testing.assert_array_equal(kept[1], kept[2])
    assert np.any(kept, axis=0).all()
    assert (~kept[1][50:]).any() and (~kept[0][50:]).any()
    alone = keras_mm.fusion.ModalityDropout(1.0, seed=1, groups=[0, 0])
    assert all(
        ops.convert_to_numpy(m).all() for m in alone(masks[:1] * 2, training=True)
    )


@pytest.mark.usefixtures("eagerly")
def test_one_of_them_frozen_and_cached():
    """The column is then still read, by the others."""
    table = make_table(12)
    schema = small_schema(table, text=keras_mm.Text(sequence_length=4))

    def build():
        model = keras_mm.build_classifier(
            schema,
            encoders={"text": several()["text"][:2]},
            fusion="concat",
            modality_dropout=0.0,
            seed=0,
        )
        model.encoders["text-average"].trainable = False
        model.compile(keras.optimizers.Adam(1e-2), model.loss)
        return model

    options = {"batch_size": 6, "epochs": 1, "verbose": 0, "shuffle": False}
    plain, cached = build(), build()
    plain.fit(table, **options)
    keras_mm.training.fit_cached(cached, table, **options)
    for one, other in zip(plain.get_weights(), cached.get_weights()):
        np.testing.assert_allclose(one, other, atol=2e-3)


@pytest.mark.usefixtures("eagerly")
def test_in_a_retriever_and_its_reranker():
    table = make_table(12)
    schema = make_schema(table).part(["image", "text"])
    retriever = keras_mm.build_retriever(schema, encoders=several(), units=4, seed=0)
    assert retriever.towers == {"image": ["image"], "text": ["text"]}
    assert retriever.embed(table, "text").shape == (12, 4)
    towers = {"a": ["image"], "b": ["text"]}
    other = keras_mm.build_retriever(schema, towers, encoders=several(), units=4)
    assert other.towers == towers
    reranker = keras_mm.build_reranker(retriever, "text", "image", encoders=several())
    got = reranker.encoders["text-average"].get_weights()
    for one, two in zip(got, retriever.encoders["text-average"].get_weights()):
        np.testing.assert_array_equal(one, two)
    pairs = reranker.pairs(retriever, table, negatives=1)
    assert reranker.predict(pairs, verbose=0).shape == (len(pairs), 2)
    with pytest.raises(ValueError, match="prepared for several encoders"):
        keras_mm.build_reranker(retriever, "text", "image")


def test_names_do_not_clash_with_columns():
    table = make_table(12).rename(columns={"shop": "text_ngrams"})
    schema = keras_mm.Schema(
        {"text": keras_mm.Text(4), "text_ngrams": keras_mm.Category()},
        {"category": keras_mm.ClassLabel()},
    ).adapt(table)
    model = keras_mm.build_classifier(
        schema, encoders={"text": ["ngrams", "ngrams", keras.layers.Embedding(99, 3)]}
    )
    texts = ["text-ngrams-2", "text-ngrams-3", "text-custom"]
    assert list(model.modalities) == [*texts, "text_ngrams"]
    # One in a list is one.
    model = keras_mm.build_classifier(schema, encoders={"text": ["ngrams"]})
    assert list(model.modalities) == ["text", "text_ngrams"]


def test_what_cannot_be_is_refused(made):
    table = made[1]
    schema = small_schema(table)
    for wrong in (
        {"numbers": ["dense", "feature_transformer"]},
        {"text": []},
    ):
        with pytest.raises(ValueError, match="Several encoders are for one column"):
            keras_mm.build_classifier(schema, encoders=wrong)
    with pytest.raises(ValueError, match="One encoder is needed here"):
        keras_mm.build_autoencoder(schema, "image", encoder=["cnn", "vit"])
    with pytest.raises(ValueError, match="prepared for several encoders"):
        keras_mm.build_classifier(made[0].schema, encoders={"text": "lstm"})


@pytest.mark.parametrize("kind", ["audio", "texts"])
def test_forms_of_sounds_and_of_several_texts(kind):
    """Each part is what its form alone gives, NaN or 0 where missing."""
    if kind == "audio":
        cells, value = sounds(3), audio()
        forms = {"a": value, "b": audio("waveform"), "c": value}
        cells += [b"no sound", None]
    else:
        cells, value = (
            [["red bird", "tree"], ["a bird"], None],
            keras_mm.Text(3, num_texts=2),
        )
        value.adapt(pd.Series(cells))
        forms = {"a": value.with_tokens("words"), "b": value.with_tokens("ngrams")}
    forms = Forms.from_config(Forms(forms).get_config())
    column = pd.Series(cells, dtype=object)
    raw = forms.to_raw(column, on_unreadable="missing")
    compact = forms.decode_array(raw)
    tensor = forms.finish(compact)
    assert tuple(tensor.shape) == (len(cells), *forms.shape)
    for name, form in forms.forms.items():
        expected = form.finish(form.decode_array(raw)).numpy()
        got = ops.convert_to_numpy(
            forms.take(ops.convert_to_tensor(tensor.numpy()), name)
        )
        np.testing.assert_array_equal(got, expected)
    if kind == "audio":
        import tensorflow as tf

        assert forms.readable(compact).numpy().tolist() == [True] * 3 + [False] * 2
        assert np.isnan(tensor.numpy()[3:]).all()
        streamed = [forms.decode_one(tf.constant(raw[row])) for row in range(3)]
        for place in range(2):
            np.testing.assert_allclose(
                np.stack([one[place] for one in streamed]),
                compact[0][place][:3],
                atol=1e-5,
            )
    with pytest.raises(ValueError, match="of the same type"):
        Forms({"ids": keras_mm.Text(4), "floats": keras_mm.Vector(3)})


def test_small_encoders_are_what_they_were():
    """A column without a list has the modality that it always had."""
    model = keras_mm.build_classifier(
        small_schema(make_table(12)), encoders=small_encoders()
    )
    assert list(model.modalities) == ["image", "text", "numbers", "shop"]
    assert model.get_layer("modality-dropout").groups is None
