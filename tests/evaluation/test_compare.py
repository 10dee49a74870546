"""The leaderboard: what is trained, kept, resumed and shown."""

import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm import evaluation
from keras_mm.evaluation.fingerprint import fingerprint


@pytest.fixture
def given():
    random = np.random.default_rng(0)
    table = pd.DataFrame({"a": list(random.normal(size=(40, 2)))})
    table["b"] = list(random.normal(size=(40, 2)))
    table["label"] = np.where([cell[0] > 0 for cell in table.a], "high", "low")
    table["person"] = np.arange(40) // 2
    schema = keras_mm.Schema(
        {"a": keras_mm.Vector(2), "b": keras_mm.Vector(2)},
        {"label": keras_mm.ClassLabel()},
    )
    encoders = {name: keras_mm.encoders.Dense(2) for name in schema.inputs}
    settings = {"encoders": encoders, "folds": 2, "patience": None, "epochs": 1}
    return schema, table, settings


@pytest.fixture
def fits(monkeypatch):
    """Models that would be trained; `stop_at` of them raises instead."""
    found = []

    def fit(model, table, **kwargs):
        if len(found) == fit.stop_at:
            raise KeyboardInterrupt
        found.append((tuple(model.schema.inputs), model.get_layer("modality-fusion")))

    fit.stop_at = None
    monkeypatch.setattr(keras_mm.MultimodalModel, "fit", fit)

    return found, fit


def test_resumes(given, fits, tmp_path):
    schema, table, settings = given
    found, fit = fits
    settings.update(fusions=["concat"], path=tmp_path / "kept" / "results.csv")
    fit.stop_at = 4
    with pytest.raises(KeyboardInterrupt):
        evaluation.compare(schema, table, **settings)
    kept = pd.read_csv(settings["path"])
    assert kept.name.tolist() == ["a alone", "b alone", "concat", "a alone"]
    assert kept.fold.tolist() == [0, 0, 0, 1]
    fit.stop_at = None
    results = evaluation.compare(schema, table, **settings)
    assert [columns for columns, _ in found[4:]] == [("b",), ("a", "b")]
    # An adapted schema is adapted anew: it is the same.
    again = evaluation.compare(schema.adapt(table), table, **settings)
    assert len(found) == 6
    pd.testing.assert_frame_equal(again, results)
    whole = evaluation.compare(schema, table, **{**settings, "path": None})
    assert len(found) == 12
    same = [name for name in results if name != "seconds"]
    pd.testing.assert_frame_equal(whole[same], results[same])
    # Another fusion joins the table.
    settings["fusions"] = ["concat", keras_mm.fusion.Gated(3)]
    results = evaluation.compare(schema, table, **settings)
    assert len(found) == 14 and set(results.index) >= {"concat", "Gated"}
    (settings["path"].parent / "results.npz").unlink()
    evaluation.compare(schema, table, **settings)
    assert len(found) == 14 + 8
    leftovers = {path.name for path in settings["path"].parent.iterdir()}
    assert leftovers == {"results.csv", "results.npz"}


def test_other_settings_are_refused(given, fits, tmp_path):
    schema, table, settings = given
    found, _ = fits
    settings.update(fusions={"mine": "concat"}, path=tmp_path / "results.csv")
    evaluation.compare(schema, table, **settings)
    other = keras_mm.Schema({**schema.inputs, "a": keras_mm.Vector(2)}, schema.targets)
    changed = table.assign(b=table.b.iloc[::-1].tolist())
    sum_of = {"mine": "sum"}
    for arguments, what in (
        ({"epochs": 2}, "epochs differ"),
        ({"seed": 1}, "folds, seed differ"),
        ({"groups": "person"}, "folds differ"),
        ({"modality_dropout": 0.1}, "options differ"),
        ({"encoders": {"a": keras_mm.encoders.Dense(3)}}, "encoders differ"),
        ({"fusions": sum_of}, "fusion differ"),
        ({"table": changed}, "rows differ"),
    ):
        arguments = {"schema": other, "table": table, **settings, **arguments}
        with pytest.raises(ValueError, match=f"{what}.*Received: path="):
            evaluation.compare(**arguments)
    assert len(found) == 6
    (tmp_path / "results.csv").write_text("name,price\nx,1\n")
    with pytest.raises(ValueError, match="holds no results of `compare`"):
        evaluation.compare(schema, table, **settings)


def test_leaderboard(given, fits, tmp_path):
    """Numbers from the predictions that were kept, computed another way."""
    schema, table, settings = given
    path = tmp_path / "results.csv"
    results = evaluation.compare(schema, table, ["sum"], path=path, **settings)
    assert results.attrs["metric"] == "accuracy"
    assert results["mean"].is_monotonic_decreasing
    kept = pd.read_csv(path)
    means = kept.groupby("name").accuracy.agg(["mean", "std"])
    for name, row in results.iterrows():
        assert row["mean"] == pytest.approx(means["mean"][name])
        assert row["std"] == pytest.approx(means["std"][name])
        assert row["kind"] == ("fused" if name == "sum" else "alone")
        assert row.low <= row["mean"] <= row.high
    best = means["mean"][["a alone", "b alone"]].max()
    difference = results["mean"] - best
    np.testing.assert_allclose(results.difference, difference, atol=1e-9)
    # The best single modality does not differ from itself, in any draw.
    single = results[results.kind == "alone"].iloc[0]
    assert single.difference_low == single.difference_high == 0
    alone = keras_mm.Schema({"a": keras_mm.Vector(2)}, schema.targets).adapt(table)
    built = keras_mm.build_classifier(
        alone, encoders={"a": settings["encoders"]["a"]}, fusion=None
    )
    assert results.parameters["a alone"] == built.count_params()
    figure = evaluation.plot_comparison(results)
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    np.testing.assert_allclose(widths[::-1], results["mean"])
    assert len({patch.get_facecolor() for patch in figure.axes[0].patches}) == 2
    figure.savefig(tmp_path / "results.png")


def test_numbers_and_groups(given, fits):
    schema, table, settings = given
    table["y"] = [2 * cell[0] + 10 for cell in table.a]
    schema = keras_mm.Schema(schema.inputs, {"y": keras_mm.Number()})
    settings.update(groups="person", hidden_units=8)
    results = evaluation.compare(schema, table, {"mine": "concat"}, **settings)
    assert results.attrs["metric"] == "r2"
    assert results["mean"].is_monotonic_decreasing
    settings["metric"] = "mean_absolute_error"
    errors = evaluation.compare(schema, table, {"mine": "concat"}, **settings)
    assert errors["mean"].is_monotonic_increasing
    assert errors.difference[errors.kind == "alone"].tolist()[0] == 0


def test_refusals(given, fits):
    schema, table, settings = given
    single = keras_mm.Schema({"a": keras_mm.Vector(2)}, schema.targets)
    for first, fusions, message in (
        (single, ["concat"], "nothing to fuse"),
        (schema, ["blender"], "`fusion` must be one of"),
        (schema, "concat", "`fusions` is a list or a dict"),
        (schema, ["concat", "concat"], "the same name"),
        (schema, {"a alone": "concat"}, "that of a single modality"),
    ):
        settings["encoders"] = None
        with pytest.raises(ValueError, match=message):
            evaluation.compare(first, table, fusions, **settings)
    assert not fits[0]


def test_fingerprints():
    one = keras_mm.fusion.Gated(3)
    assert fingerprint(one) == fingerprint(keras_mm.fusion.Gated(3))
    assert fingerprint(one) != fingerprint(keras_mm.fusion.Gated(4))
    assert fingerprint({"a": [1, one]}) != fingerprint({"a": [2, one]})
    assert fingerprint(np.ones(3)) != fingerprint(np.zeros(3))
    assert fingerprint(np.tanh) != fingerprint(np.sinh)
    dense = keras_mm.encoders.Dense(3)
    assert fingerprint(dense) == fingerprint(keras_mm.encoders.Dense(3))
    assert fingerprint(dense) != fingerprint(keras_mm.encoders.Dense(4))
