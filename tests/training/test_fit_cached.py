"""Frozen encoders run once, and nothing else is different."""

import sys

import keras
import numpy as np
import pytest

import keras_mm

from ..encoders.conformance import preset
from ..helpers import make_table, small_encoders, small_model, small_schema

ENCODERS = {name: small_encoders()[name] for name in ("image", "text")}

# The package has a function of the same name.
module = sys.modules["keras_mm.training.fit_cached"]


def frozen_model(table, *names, **kwargs):
    model = small_model(small_schema(table), modality_dropout=0.0, **kwargs)
    for name in names:
        model.get_layer(f"{name}-encoder").trainable = False
    model.compile(keras.optimizers.Adam(1e-2), model.loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize("fusion", ["gated", "hybrid"])
@pytest.mark.usefixtures("eagerly")
def test_as_plain_fit(fusion):
    """Without shuffling and dropout, the same weights come out."""
    table, validation = make_table(24), make_table(9, seed=1)
    plain = frozen_model(table, "image", "text", fusion=fusion)
    plain.fit(
        keras_mm.data.to_dataset(table, plain.schema, 8),
        validation_data=validation,
        epochs=3,
        verbose=0,
        shuffle=False,
    )
    cached = frozen_model(table, "image", "text", fusion=fusion)
    history = keras_mm.training.fit_cached(
        cached,
        table,
        validation_data=validation,
        batch_size=8,
        epochs=3,
        verbose=0,
        shuffle=False,
    )
    for one, two in zip(plain.get_weights(), cached.get_weights()):
        np.testing.assert_allclose(one, two, atol=2e-5 if fusion == "gated" else 2e-3)
    assert len(history.history["val_accuracy"]) == 3
    if fusion == "hybrid":
        # The experts are weighed after the last epoch.
        assert keras.ops.convert_to_numpy(
            plain.get_layer("modality-fusion").weight_logits
        ).any()
        return
    np.testing.assert_allclose(
        plain.evaluate(validation, verbose=0)[0], history.history["val_loss"][-1], 1e-4
    )


@pytest.mark.parametrize("memory", [0, 16])
@pytest.mark.usefixtures("eagerly")
def test_a_retriever_as_by_plain_fit(memory):
    """Rows that hold the same, missing cells and past rows count as there."""
    table, validation = make_table(24), make_table(9, seed=1)
    table.loc[5, "text"] = table.loc[4, "text"]
    schema = keras_mm.Schema(
        {
            "image": keras_mm.Image((16, 16), augmentation=None),
            "text": keras_mm.Text(sequence_length=4),
        }
    ).adapt(table)

    def build():
        model = keras_mm.build_retriever(
            schema, encoders=ENCODERS, group="shop", memory=memory, units=4, seed=0
        )
        model.get_layer("image-encoder").trainable = False
        model.compile(keras.optimizers.Adam(1e-2))
        return model

    plain, cached = build(), build()
    before = cached.get_weights()
    options = {"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False}
    plain.fit(table, validation_data=validation, **options)
    history = keras_mm.training.fit_cached(
        cached, table, validation_data=validation, **options
    )
    for one, two in zip(plain.get_weights(), cached.get_weights()):
        np.testing.assert_allclose(one, two, atol=2e-5)
    changed = zip(before, cached.get_weights())
    assert not all(np.array_equal(one, two) for one, two in changed)
    np.testing.assert_allclose(
        plain.evaluate(validation, batch_size=8, verbose=0),
        history.history["val_loss"][-1],
        rtol=1e-4,
    )
    with pytest.raises(ValueError, match="no classes"):
        keras_mm.training.fit_cached(cached, table, class_weight="balanced")
    with pytest.raises(ValueError, match="no column 'shop'"):
        keras_mm.training.fit_cached(cached, table.drop(columns="shop"))


@pytest.mark.usefixtures("eagerly")
def test_what_callbacks_save_is_the_whole_model(tmp_path):
    """Also where an encoder is not frozen; and more may be frozen afterwards."""
    table = make_table(12)
    model = frozen_model(table, "text")
    model.compile(
        keras.optimizers.Adam(1e-2), model.loss, weighted_metrics=["accuracy"]
    )
    saves = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras")
    history = keras_mm.training.fit_cached(
        model, table, epochs=1, callbacks=[saves], verbose=0
    )
    assert "accuracy" in history.history
    expected = model.predict(table, verbose=0)
    again = keras.models.load_model(tmp_path / "best.keras")
    np.testing.assert_allclose(again.predict(table, verbose=0), expected, atol=1e-6)
    for one in (model, again):
        one.get_layer("image-encoder").trainable = False
        one.compile("sgd", one.loss)
        keras_mm.training.fit_cached(one, table, epochs=1, verbose=0)
    model.save(tmp_path / "again.keras")


@pytest.mark.usefixtures("eagerly")
def test_half_precision_on_disk(tmp_path):
    table = make_table(8, missing=False)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = frozen_model(table, "text")
    finally:
        keras.config.set_dtype_policy("float32")
    losses = [
        keras_mm.training.fit_cached(model, table, folder=tmp_path, verbose=0).history
        for _ in range(2)
    ]
    assert all(np.isfinite(part["loss"]).all() for part in losses)


@pytest.mark.usefixtures("eagerly")
def test_kept_on_disk_under_what_it_depends_on(tmp_path, monkeypatch):
    table = make_table(12)

    def fit(model, rows):
        keras_mm.training.fit_cached(
            model, rows, folder=tmp_path, verbose=0, class_weight="balanced"
        )
        return {path.name for path in tmp_path.iterdir()}

    model = frozen_model(table, "text")
    first = fit(model, table)
    assert len(first) == 1

    def refuse(*args, **kwargs):
        raise AssertionError("encoded again")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_encode", refuse)
        assert fit(model, table) == first
        # Other columns do not matter to the encoder of texts.
        assert fit(model, table.assign(price=1.0)) == first
        # The same rows in another order.
        assert fit(model, table.assign(text=table["text"].iloc[::-1].values)) == first
    assert fit(frozen_model(table, "text"), table) == first, "the same seed"
    other = frozen_model(table, "text", seed=7)
    assert len(fit(other, table)) == 2


def test_nothing_frozen():
    table = make_table(6, missing=False)
    with pytest.raises(ValueError, match="No encoder.*Received: model="):
        keras_mm.training.fit_cached(frozen_model(table), table)
    with pytest.raises(ValueError, match="no column 'category'"):
        rows = table.drop(columns="category")
        keras_mm.training.fit_cached(frozen_model(table, "text"), rows)


def test_no_target():
    table = {"vector": [[1.0, 2.0], [3.0, 5.0]]}
    schema = keras_mm.Schema({"vector": keras_mm.Vector(2)}).adapt(table)
    model = keras_mm.build_autoencoder(schema, units=2)
    model.encoder.trainable = False
    with pytest.raises(ValueError, match="needs a target.*Received: inputs="):
        keras_mm.training.fit_cached(model, table)


@pytest.mark.usefixtures("eagerly")
def test_each_row_is_encoded_once(tmp_path, monkeypatch):
    """Over runs, parts and repetitions; in the row that it belongs to."""
    table = make_table(12)
    model = frozen_model(table, "text")
    encoded, encode = [], module._encode

    def counting(modality, model, rows, *how):
        encoded.append(len(rows))
        return encode(modality, model, rows, *how)

    monkeypatch.setattr(module, "_encode", counting)

    def tokens(rows, folder=tmp_path):
        return module._tokens("text", model, rows, folder, 8, None, "error")

    # Two of the twelve have no text.
    expected = tokens(table, None)
    for rows in (table.iloc[:8], table.iloc[::-1], table.iloc[[3, 9, 3, 0]]):
        for got, all_rows in zip(tokens(rows), expected):
            np.testing.assert_allclose(got, all_rows[rows.index], atol=1e-6)
    assert encoded == [12, 7, 4]
    (path,) = tmp_path.iterdir()
    # A file that was cut off, and one of something else, count as empty.
    for broken in (path.read_bytes()[:200], b"no file at all"):
        path.write_bytes(broken)
        for got, all_rows in zip(tokens(table), expected):
            np.testing.assert_allclose(got, all_rows, atol=1e-6)
    assert encoded[-2:] == [11, 11]
    assert tokens(table) and len(encoded) == 5


def test_the_folder_is_bounded(tmp_path):
    from keras_mm.training.token_cache import TokenCache

    def arrays(rows):
        return [
            np.full((len(rows), 1, 25), 1.0, "float32"),
            np.ones((len(rows), 1), bool),
        ]

    keys = [bytes([row]) * 20 for row in range(30)]
    (tmp_path / "mine.npz").write_bytes(b"0" * 9000)
    for name in "abc":
        cache = TokenCache(tmp_path, name * 40, limit=2800)
        assert len(cache.tokens(keys[:10], arrays)[0]) == 10
    kept = {path.name for path in tmp_path.iterdir()}
    # Another's file is left alone; of ours the last ones are kept.
    assert {"mine.npz", "c" * 40 + ".npz"} <= kept and "a" * 40 + ".npz" not in kept
    # Rows of other tables make room, and too many rows are not kept.
    assert len(cache.tokens(keys[5:29], arrays)[0]) == 24
    assert len(np.load(cache.path)["keys"]) == 24
    cache.limit = 1000
    assert len(cache.tokens(keys[5:], arrays)[0]) == 25


@pytest.mark.usefixtures("eagerly")
def test_other_forms_of_the_column_do_not_matter(tmp_path):
    """N-grams are learned from the rows, the pieces of a backbone are not."""

    def files(rows):
        model = keras_mm.build_classifier(
            small_schema(rows, text=keras_mm.Text(4)),
            encoders={"text": ["ngrams", keras_mm.encoders.Hub(preset("bert"))]},
            fusion="concat",
        )
        keras_mm.training.fit_cached(model, rows, folder=tmp_path, verbose=0)
        return model.schema.inputs["text"].shape, list(tmp_path.iterdir())

    table = make_table(12, missing=False)
    shape, first = files(table)
    other, second = files(table.assign(text=table["text"] + " and a " + table["shop"]))
    assert shape != other
    assert first == second and len(first) == 1
