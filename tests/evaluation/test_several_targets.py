"""Reports, leaderboards, curves and pictures of a model of two targets."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import keras_mm
from keras_mm import evaluation
from keras_mm.evaluation.additive import Additive
from keras_mm.evaluation.pictures import _COLORS

TARGETS = {"label": keras_mm.ClassLabel(), "price": keras_mm.Number()}
METRICS = {"label": "accuracy", "price": "mean_absolute_error"}


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 40, 2))
    table = pd.DataFrame({"a": list(a), "b": list(b)})
    table["label"] = np.where(a[:, 0] > 0, "high", "low")
    table["price"] = 10 * b[:, 0] + a[:, 1]
    table.loc[::4, "label"] = None
    table.loc[1::4, "price"] = np.nan
    return table


def _schema():
    inputs = {name: keras_mm.Vector(2) for name in "ab"}
    schema = keras_mm.Schema(inputs, TARGETS)
    return keras_mm.Schema.from_config(schema.get_config())


def _encoders():
    return {name: keras_mm.encoders.Dense(3) for name in "ab"}


@pytest.fixture(scope="module")
def trained(table):
    """A model, the curves of its training, and what was drawn before it."""
    model = keras_mm.build_model(
        _schema().adapt(table), encoders=_encoders(), optimizer="adam", seed=0
    )
    curves = evaluation.ModalityCurves(table, metric={"price": "mean_absolute_error"})
    assert curves.table.empty
    model.fit(table, epochs=1, verbose=0, callbacks=[curves])
    return model, curves


@pytest.fixture
def untrained(monkeypatch):
    """Models that `fit` leaves as they were initialised."""
    models = []
    monkeypatch.setattr(
        keras_mm.MultimodalModel, "fit", lambda model, *_, **__: models.append(model)
    )
    return models


def test_report_of_a_model(table, trained):
    model, _ = trained
    reports = evaluation.modality_report(
        None, table, model=model, metric=METRICS, emap_rows=8
    )
    assert list(reports) == list(TARGETS)
    for name, metric in METRICS.items():
        report = reports[name]
        assert report.metric == metric and report.rows == 30
        for subset, withhold in (("a + b", []), ("a", ["b"]), ("b", ["a"])):
            scores = evaluation.score(model, table, withhold=withhold)[name]
            assert report.subsets.score[subset] == pytest.approx(scores[metric])
        assert report.full.low < report.full.score < report.full.high
        # Of the rows that were used, some have no label.
        assert 0 < report.interactions.rows < 8
        report.plot()
    assert reports["price"].baseline == pytest.approx(
        (table.price - table.price.mean()).abs().mean(), rel=1e-5
    )
    assert reports["label"].baseline == pytest.approx(
        table.label.value_counts(normalize=True).max()
    )


def test_numbers_are_those_of_one_target(table, trained):
    """A target's report is what a model of that target alone would have."""
    model, _ = trained
    reports = evaluation.modality_report(None, table, model=model, emap_rows=40)
    for name in TARGETS:
        schema = keras_mm.Schema.from_config(model.schema.get_config())
        schema = keras_mm.Schema(schema.inputs, {name: schema.targets[name]})
        alone = keras_mm.MultimodalModel(model.inputs, model.output[name])
        alone.schema = schema
        alone.wiring = model.wiring._replace(
            fusions={name: model.wiring.fusions[name]},
            heads={name: model.wiring.heads[name]},
        )
        full = model.schema.targets[name].encode(table[name], name, True)
        known = np.flatnonzero(model.schema.targets[name].is_known(full))
        rows = table.iloc[known].reset_index(drop=True)
        report = evaluation.modality_report(None, rows, model=alone, emap_rows=0)
        for part in ("full", "alone", "left_out", "subsets", "ensemble", "shapley"):
            np.testing.assert_allclose(
                getattr(reports[name], part).to_numpy(dtype=float),
                getattr(report, part).to_numpy(dtype=float),
                atol=1e-5,
            )
        assert report.sentences == reports[name].sentences


def test_report_in_folds(table, untrained):
    reports = evaluation.modality_report(
        _schema(), table, encoders=_encoders(), folds=2, patience=None, matched=[0.3]
    )
    # One fit for both targets: two modalities, both, and both with missing cells.
    assert len(untrained) == 2 * 4
    for report in reports.values():
        assert (report.rows, report.folds) == (30, 2)
        assert report.missing.matched.sum() == 1
        assert np.isfinite(report.noise.select_dtypes(float)).all(axis=None)
        # The constant of each fold is that of its training rows' labels.
        assert np.isfinite(report.baseline)
    assert "accuracy" in str(reports["label"]) and "r2" in str(reports["price"])


def test_compare(table, untrained, tmp_path):
    settings = {
        "encoders": _encoders(),
        "folds": 2,
        "patience": None,
        "path": tmp_path / "results.csv",
        "metric": METRICS,
    }
    results = evaluation.compare(_schema(), table, ["concat"], **settings)
    assert len(untrained) == 6
    kept, arrays = pd.read_csv(settings["path"]), np.load(tmp_path / "results.npz")
    # The order of fits is that of the file.
    trials = evaluation.trials.Trials(_schema(), table, 2, encoders=_encoders())
    for name, metric in METRICS.items():
        assert results[name].attrs["metric"] == metric
        means = kept.groupby("name")[f"{name} {metric}"].mean()
        pd.testing.assert_series_equal(
            results[name]["mean"].sort_index(), means, check_names=False
        )
        rising = results[name]["mean"].is_monotonic_increasing
        assert rising == (name == "price")
        for model, (_, row) in zip(untrained, kept.iterrows()):
            held = trials.part(trials.rows(row["fold"]))
            scores = evaluation.score(model, held[[*model.schema.inputs, *TARGETS]])
            assert row[f"{name} {metric}"] == pytest.approx(scores[name][metric])
            key = f"{row['fold']} {name!r} {row['name']}"
            np.testing.assert_allclose(
                arrays[key], model.predict(held, verbose=0)[name], rtol=1e-5
            )
    figure = evaluation.plot_comparison(results)
    assert [axes.get_title() for axes in figure.axes] == list(TARGETS)
    again = evaluation.compare(_schema(), table, ["concat"], **settings)
    assert len(untrained) == 6
    for name in TARGETS:
        pd.testing.assert_frame_equal(again[name], results[name])
    # Of one of the targets it is another table, not one whose fits are missing.
    one = keras_mm.Schema(_schema().inputs, {"price": keras_mm.Number()})
    settings["metric"] = None
    with pytest.raises(ValueError, match="with other settings: schema, rows"):
        evaluation.compare(one, table.dropna(), ["concat"], **settings)


def test_curves(table, trained):
    model, curves = trained
    assert curves.metric == METRICS and list(curves.baseline) == list(TARGETS)
    assert list(curves.table.columns) == [
        (target, name) for target in TARGETS for name in ("all", "a", "b")
    ]
    for withhold, column in (([], "all"), (["b"], "a"), (["a"], "b")):
        scores = evaluation.score(model, table, withhold=withhold)
        for name, metric in METRICS.items():
            value = curves.table[name][column].iloc[-1]
            assert value == pytest.approx(scores[name][metric], rel=1e-5)
    for sentence in curves.sentences:
        assert sentence.split(": ")[0] in TARGETS
    axes = curves.plot().axes
    assert [one.get_title() for one in axes] == list(TARGETS)
    assert [one.get_ylabel() for one in axes] == ["accuracy", "mean absolute error"]
    assert [len(one.lines) for one in axes] == [4, 4]


def test_pictures_of_predictions(table, trained):
    model, _ = trained
    rows = table.iloc[:8].reset_index(drop=True)
    predictions = model.predict(rows, verbose=0)["label"]
    sheet = evaluation.plot_predictions(model, rows, count=8)
    order = rows.sample(8, random_state=0).index
    names = model.schema.targets["label"].names
    for axes, row in zip(sheet.axes, order):
        title, label = axes.get_title(), rows.label[row]
        right = None if pd.isna(label) else names[predictions[row].argmax()] == label
        assert title.startswith("label: ") and "\nprice: " in title
        assert to_hex(axes.title.get_color()) == to_hex(_COLORS[right])
        # A number is neither right nor wrong.
        assert title.count("(is ") == (right is False) + pd.notna(rows.price[row])
    with pytest.raises(ValueError, match="for classes.*Received: price="):
        evaluation.plot_confusion(model, rows)


def test_additive():
    targets = {
        "label": keras_mm.ClassLabel(3),
        "tags": keras_mm.MultiLabel(["a", "b"]),
        "price": keras_mm.targets.NumberTarget(),
    }
    random = np.random.default_rng(0)
    predictions = {
        "label": random.dirichlet(np.ones(3), 7),
        "tags": random.random((7, 2)),
        "price": random.normal(size=(7, 1)),
    }
    additive = Additive(targets)
    matrix = additive.join(predictions)
    assert matrix.shape == (7, 6)
    for name, array in additive.split(matrix).items():
        np.testing.assert_allclose(array, predictions[name], atol=1e-4)


def test_refusals(table, trained):
    model, _ = trained
    none = table.assign(price=None).dropna(subset=["label"])
    few = none.assign(price=np.where(none.index == 1, 1.0, np.nan))
    given = {"schema": _schema(), "table": table, "folds": 2}
    for arguments, message in (
        ({"metric": "accuracy"}, "a dict from target.*Received: metric='accuracy'"),
        (
            {"metric": {"name": "r2"}},
            r"unknown targets.*\['label', 'price'\].*Received",
        ),
        ({"metric": {"price": "accuracy"}}, "must be one of .*Received: metric='acc"),
        ({"table": few}, "'price' must have a label in each fold.*and 1 rows"),
        ({"table": none}, "No row has a label of the target 'price'.*Received"),
        ({"table": none, "model": model}, "No row has a label of the target 'price'"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluation.modality_report(**{**given, **arguments})
    curves = evaluation.ModalityCurves(none)
    curves.set_model(model)
    with pytest.raises(ValueError, match="No row has a label of the target 'price'"):
        curves.on_train_begin()


def test_metric_of_one_target_may_be_a_dict(table):
    schema = keras_mm.Schema(_schema().inputs, {"price": keras_mm.Number()})
    from keras_mm.evaluation.metrics import metrics_of

    assert metrics_of(schema) == {"price": "r2"}
    for metric in ("mean_absolute_error", {"price": "mean_absolute_error"}):
        assert metrics_of(schema, metric) == {"price": "mean_absolute_error"}
