"""Ensembles: the mean of models, each scored on rows that it has not seen."""

import functools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops
from keras.src import testing

import keras_mm
from keras_mm.data.folds import folds as fold_numbers
from keras_mm.evaluation.embedder import Embedder
from keras_mm.heads import NumberScale, WeightedMean
from keras_mm.models import Ensemble
from keras_mm.training.candidate import Candidate, FoldedRows
from keras_mm.training.greedy_weights import greedy_weights

from ..helpers import dense_table, make_table, small_schema

pytestmark = pytest.mark.usefixtures("eagerly")
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="differs by nothing of a backend's"
)


def dense_schema(table, **targets):
    columns = {name: keras_mm.Vector(len(table[name][0])) for name in ("good", "bad")}
    targets = targets or {"category": keras_mm.ClassLabel()}
    return keras_mm.Schema(columns, targets).adapt(table)


def encoders():
    names = ("good", "bad")
    return {name: keras_mm.encoders.Dense(4, dropout=0.0) for name in names}


def settings(fusion, rate=0.02):
    optimizer = keras.optimizers.Adam(rate)
    chosen = {"encoders": encoders(), "fusion": fusion, "optimizer": optimizer}
    # Without random numbers, of which a first `fit` draws more on some backends.
    return chosen | {"modality_dropout": 0.0}


TWO = [settings("hybrid", 0.05), settings("gated", 0.005)]


def fitted(table, candidates=TWO, schema=None, folds=2, epochs=3, **kwargs):
    return keras_mm.fit_ensemble(
        schema or dense_schema(table),
        table,
        candidates,
        folds,
        epochs=epochs,
        verbose=False,
        **kwargs,
    )


def arrays(model):
    return [ops.convert_to_numpy(weight) for weight in model.weights]


@functools.cache
def shared():
    """An ensemble of two candidates in two folds."""
    return fitted(dense_table(60))


@pytest.mark.backends
def test_each_row_is_scored_by_models_that_have_not_seen_it():
    """The report's losses, and the prediction, by hand from the members."""
    table, ensemble = dense_table(60), shared()
    members, weights = ensemble.members, ensemble.weights_of_members["category"]
    answers = np.stack([member.predict(table, verbose=0) for member in members])
    np.testing.assert_allclose(
        ensemble.predict(table, verbose=0), np.tensordot(weights, answers, 1), atol=1e-6
    )
    lines = ensemble.report.lines
    names = [line["candidate"] for line in lines]
    assert "hybrid" in names[0] and "gated" in names[1] and names[2] == "ensemble"
    assert sum(line["weight"] > 0 for line in lines[:2]) * 2 == len(members)
    fold = fold_numbers(table, 2, None, "category", 0)
    labels = table["category"].map({"x": 0, "y": 1, "z": 2})
    used = [line for line in lines[:2] if line["weight"]]
    mean = 0.0
    for line, pair in zip(used, (answers[:2], answers[2:])):
        unseen = pair[fold, np.arange(60)]
        mean = mean + line["weight"] * unseen
        loss = -np.log(unseen[np.arange(60), labels]).mean()
        np.testing.assert_allclose(line["loss"], loss, rtol=1e-4)
    loss = -np.log(mean[np.arange(60), labels]).mean()
    np.testing.assert_allclose(lines[-1]["loss"], loss, rtol=1e-4)
    assert lines[-1]["loss"] <= min(line["loss"] for line in lines[:2]) + 1e-6
    assert "60 rows predicted out of fold" in str(ensemble.report)


@pytest.mark.backends
def test_folds_start_alike_and_experts_share_weights_of_all_rows():
    """A fold's training is that of a model just built; the fused weights are common."""
    table = dense_table(60)
    schema = dense_schema(table)
    ensemble = fitted(table, TWO[:1], schema)
    # The same seed gives the same ensemble.
    for mine, other in zip(ensemble.members, shared().members):
        for one, another in zip(arrays(mine), arrays(other), strict=True):
            np.testing.assert_array_equal(one, another)
    fold = fold_numbers(table, 2, None, "category", 0)
    fresh = keras_mm.build_model(schema, seed=1, **settings("hybrid", 0.05))
    fresh.fit(
        table[fold != 1].reset_index(drop=True),
        validation_data=table[fold == 1].reset_index(drop=True),
        epochs=3,
        verbose=0,
        callbacks=keras_mm.training.callbacks(),
    )
    late = [member.late_fusions()["category"] for member in ensemble.members]
    own = fresh.late_fusions()["category"]
    found, others = map(
        ops.convert_to_numpy, (late[0].weight_logits, own.weight_logits)
    )
    np.testing.assert_allclose(found, ops.convert_to_numpy(late[1].weight_logits))
    assert np.abs(found - others).max() > 1e-4
    common = {id(own.weight_logits), id(own.scale)}
    for mine, other in zip(ensemble.members[1].weights, fresh.weights, strict=True):
        if id(other) not in common:
            mine, other = map(ops.convert_to_numpy, (mine, other))
            np.testing.assert_allclose(mine, other, atol=1e-5)


LOAD = """
import sys
import keras, numpy as np, pandas as pd, keras_mm
model = keras.models.load_model(sys.argv[1] + "/m.keras")
table = pd.read_pickle(sys.argv[1] + "/table.pkl")
np.save(sys.argv[1] + "/loaded.npy", model.predict(table, verbose=0))
print(model.report)
"""


@on_tensorflow
def test_a_file_an_export_a_report_and_vectors(tmp_path):
    table = dense_table(36)
    schema = dense_schema(table)
    table.loc[:1, "good"] = table.loc[1:2, "bad"] = None
    ensemble = fitted(table, [settings("gated")], schema, epochs=1)
    predicted = ensemble.predict(table, verbose=0)
    ensemble.save(tmp_path / "m.keras")
    table.to_pickle(tmp_path / "table.pkl")
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    process = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    np.testing.assert_allclose(np.load(tmp_path / "loaded.npy"), predicted, atol=1e-6)
    assert process.stdout.strip() == str(ensemble.report).strip()
    assert "Skipping" not in process.stderr
    # `export` compares every output of every signature with the model.
    path = keras_mm.export(ensemble, tmp_path / "model", rows=table, verbose=False)
    served = keras_mm.load_exported(path)
    assert {"embed", "embed_good", "embed_bad", "explain"} <= set(served.signatures)
    report = keras_mm.evaluation.modality_report(
        None, table, model=ensemble, emap_rows=0
    )
    assert list(report.modalities) == ["good", "bad"]
    vectors = Embedder(ensemble)(table)[0]
    one, two = (Embedder(member)(table)[0] for member in ensemble.members)
    np.testing.assert_allclose(
        vectors @ vectors.T, (one @ one.T + two @ two.T) / 2, atol=1e-5
    )


def test_several_targets_missing_labels_and_weights():
    table = dense_table(60)
    table["category"] = table["category"].where(np.arange(60) % 4 > 0, None)
    table["price"] = table["price"].where(np.arange(60) % 4 < 3, None) + 500
    table["weight"] = np.where(np.arange(60) < 50, 1.0, 0.0)
    schema = dense_schema(
        table, category=keras_mm.ClassLabel(), price=keras_mm.Number(scale="log")
    )
    ensemble = fitted(
        table,
        [settings("gated"), settings("late_mean")],
        schema,
        epochs=1,
        sample_weight="weight",
        class_weight="balanced",
    )
    weights = ensemble.weights_of_members
    answers = [member.predict(table, verbose=0) for member in ensemble.members]
    found = ensemble.predict(table, verbose=0)
    logs = [np.log(answer["price"]) for answer in answers]
    expected = np.exp(np.tensordot(weights["price"], logs, 1))
    np.testing.assert_allclose(found["price"], expected, rtol=1e-4)
    expected = sum(
        weight * answer["category"]
        for weight, answer in zip(weights["category"], answers)
    )
    np.testing.assert_allclose(found["category"], expected, atol=1e-6)
    assert {"category loss", "category accuracy", "price loss", "price r2"} <= set(
        ensemble.report.to_frame()
    )


@pytest.mark.backends
def test_frozen_encoders_run_once_a_fold_and_stay_as_they_are(monkeypatch):
    table = dense_table(60)
    schema = dense_schema(table)
    other = keras_mm.build_model(schema, seed=5, **settings("gated"))
    encoder = other.encoders["good"]
    encoder.trainable = False
    frozen = settings("hybrid") | {"encoders": {**encoders(), "good": encoder}}
    cached = []
    module = sys.modules["keras_mm.training.candidate"]
    fit = module.fit_cached
    monkeypatch.setattr(
        module, "fit_cached", lambda *args, **kw: cached.append(1) or fit(*args, **kw)
    )
    ensemble = fitted(table, [frozen], schema)
    assert len(cached) == 2
    start = encoder.get_weights()
    heads = []
    for member in ensemble.members:
        for mine, given in zip(member.encoders["good"].get_weights(), start):
            np.testing.assert_array_equal(mine, given)
        heads.append(arrays(member.encoders["bad"])[0])
        assert not member.encoders["good"].trainable_weights
    assert np.abs(heads[0] - heads[1]).max() > 1e-3
    assert ensemble.report.lines[-1]["loss"] < np.log(3)


def test_greedy_weights_are_near_the_best_of_a_grid():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    logits = np.eye(3)[labels][None] * [[[1.0]], [[0.7]], [[0.0]]]
    shares = np.exp(logits + random.normal(size=(3, 200, 3)))
    shares /= shares.sum(-1, keepdims=True)

    def loss(weights):
        mean = np.tensordot(weights, shares, 1)
        return -np.log(mean[np.arange(200), labels]).mean()

    found = greedy_weights(loss, 3, rounds=20)
    grid = [np.array([a, b, 20 - a - b]) / 20 for a in range(21) for b in range(21 - a)]
    assert loss(found) <= min(map(loss, grid)) + 1e-3
    np.testing.assert_allclose(found.sum(), 1)
    # One that only errs gets nothing; a loss that is not a number is never chosen.
    wrong = greedy_weights(lambda weights: weights[1] + 1, 2)
    assert wrong.tolist() == [1, 0]
    assert greedy_weights(lambda weights: np.nan, 2).tolist() == [1, 0]


@pytest.mark.parametrize("stratified", [True, False])
def test_groups_stay_in_one_fold(stratified):
    table = dense_table(60).assign(author=[f"a{row // 4}" for row in range(60)])
    target = {"category": keras_mm.ClassLabel()}
    if not stratified:
        target = {"price": keras_mm.Number()}
    schema = dense_schema(table, **target)
    rows = FoldedRows(schema, table, 3, "author", None, None, 0)
    assert (
        table.groupby("author").apply(lambda g: len(set(rows.fold[g.index]))) == 1
    ).all()
    assert set(rows.fold) == {0, 1, 2}
    with pytest.raises(ValueError, match="number of groups, 15. Received: folds=16"):
        FoldedRows(schema, table, 16, "author", None, None, 0)


def test_without_time_one_model_comes_out(monkeypatch):
    """The folds and candidates that there is no time for are named."""
    table = dense_table(30)
    ensemble = fitted(table, epochs=50, time_limit=1e-6)
    assert len(ensemble.members) == 1 and ensemble.report.rows == 15
    text = str(ensemble.report)
    assert "fold 1 of 2: epochs after 1 (no time)" in text
    assert "1 of 2 folds (no time)" in text and "fusion=gated" in text
    assert text.count("Left out") == 3
    np.testing.assert_allclose(ensemble.predict(table, verbose=0).sum(1), 1, atol=1e-5)

    # A later candidate without all folds is left out: its rows would be others.
    def fit(self, rows, fold, reading, **settings):
        self.states.append(None)
        clock[0] += 1.0

    clock, made = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr(Candidate, "fit", fit)
    monkeypatch.setattr(Candidate, "predict", lambda *args: None)
    monkeypatch.setattr(
        sys.modules["keras_mm.training.fit_ensemble"],
        "_ensemble",
        lambda tried, rows, clock, left_out: made.append((tried, left_out)),
    )
    for limit, folds in ((3.5, [3]), (2.5, [2]), (6.5, [3, 3]), (100, [3, 3, 3])):
        clock[0] = 0.0
        fitted(table, [*TWO, TWO[0]], folds=3, time_limit=limit)
        tried, left_out = made.pop()
        assert [one.folds for one in tried] == folds
        assert clock[0] <= limit and bool(left_out) == (folds != [3, 3, 3])


def test_what_cannot_be_averaged_is_refused_before_training():
    table = make_table(24)
    columns = {"price": keras_mm.Number(), "weight": keras_mm.Number()}
    schema = small_schema(table, **columns)
    other = {"numbers": keras_mm.encoders.Dense(3)}
    pair = [{"encoders": other}, {"encoders": {"tabular": "tabular"}}]
    with pytest.raises(ValueError, match=r"prepared.*Received: inputs=\['price'"):
        keras_mm.fit_ensemble(schema, table, pair)
    pair[1] = {"heads": {"category": keras_mm.heads.Dense(loss="balanced")}}
    pair[1]["encoders"] = other
    with pytest.raises(ValueError, match="correct for classes"):
        keras_mm.fit_ensemble(schema, table, pair)
    for wrong in ({"candidates": []}, {"candidates": [{"seed": 1}]}, {"folds": 1}):
        with pytest.raises(ValueError, match="Received"):
            keras_mm.fit_ensemble(schema, table, **wrong)
    with pytest.raises(ValueError, match="positive"):
        keras_mm.fit_ensemble(schema, table, time_limit=0)


@pytest.mark.parametrize("row", [3, 17])
def test_rows_are_counted_in_the_whole_table(row):
    """Whether they are in the held-out fold or among the others."""
    table = make_table(24, missing=False)
    table.at[row, "image"] = b"no picture"
    image = {"image": keras_mm.Image((8, 8), augmentation=None)}
    schema = small_schema(table, **image)
    own = {"encoders": {"image": keras_mm.encoders.CNN(2)}}
    with pytest.raises(ValueError, match=f"in row {row} "):
        fitted(table, [own], schema)


@pytest.mark.backends
@pytest.mark.parametrize("scale", [None, "log", "quantile"])
def test_weighted_mean(scale):
    quantiles = np.exp(np.linspace(-2, 2, 9)).tolist() if scale else None
    testing.TestCase().run_layer_test(
        WeightedMean,
        {"weights": [0.25, 0.75], "scale": scale, "quantiles": quantiles},
        input_data=(np.ones((2, 1), "float32"), 2 * np.ones((2, 1), "float32")),
        expected_output_shape=(2, 1),
        expected_num_trainable_weights=0,
        supports_masking=False,
        run_training_check=False,
        run_mixed_precision_check=False,
    )
    layer = WeightedMean([0.25, 0.75], scale, quantiles)
    x, y = np.array([[0.5], [3.0]], "float32"), np.array([[2.0], [1.0]], "float32")
    found = ops.convert_to_numpy(layer([x, y]))
    if scale is None:
        expected = 0.25 * x + 0.75 * y
    elif scale == "log":
        expected = x**0.25 * y**0.75
    else:
        to = NumberScale(scale, quantiles)
        mean = 0.25 * to.to_scale(x) + 0.75 * to.to_scale(y)
        expected = ops.convert_to_numpy(to(mean))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    with pytest.raises(ValueError, match="one weight for each"):
        layer([x])


def test_a_schema_that_is_not_adapted_stays_so():
    table = dense_table(24)
    schema = keras_mm.Schema(
        {"good": keras_mm.Vector(3)}, {"category": keras_mm.ClassLabel()}
    )
    ensemble = keras_mm.fit_ensemble(
        schema,
        table,
        [{"encoders": {"good": keras_mm.encoders.Dense(2)}}],
        folds=2,
        epochs=1,
        verbose=False,
    )
    assert isinstance(ensemble, Ensemble) and not schema.target.is_adapted
    assert ensemble.schema.target.names == ["x", "y", "z"]
