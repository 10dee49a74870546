"""The report, of models whose answers are known and of trained ones."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm
from keras_mm import evaluation
from keras_mm.evaluation.measures import missing_rates
from keras_mm.models.wiring import Wiring

_CHANGES = [-1.0, 1.0]


def _hand_made(schema, function, loss="mse"):
    """A model of tensors in which what is missing is 0, without weights."""
    inputs = [value.keras_input(name) for name, value in schema.inputs.items()]
    known = [ops.where(ops.isnan(x), ops.zeros_like(x), x) for x in inputs]
    model = keras_mm.MultimodalModel(inputs, function(*known), name="hand_made")
    model.schema, model.wiring = schema, Wiring.of_names(model, schema)
    model.compile(loss=loss)
    return model


def _vectors(names, targets, table):
    inputs = {name: keras_mm.Vector(1) for name in names}
    return keras_mm.Schema(inputs, targets).adapt(table)


@pytest.fixture(scope="module")
def exclusive():
    """Two modalities, of which either alone says nothing: one or the other."""
    pairs = np.array([[a, b] for a in _CHANGES for b in _CHANGES] * 20)
    table = pd.DataFrame({"a": [[v] for v in pairs[:, 0]]})
    table["b"] = [[v] for v in pairs[:, 1]]
    table["label"] = np.where(pairs.prod(axis=1) > 0, "same", "other")
    table["person"] = np.arange(80) // 4
    schema = _vectors(["a", "b"], {"label": keras_mm.ClassLabel()}, table)

    def answer(a, b):
        logit = 4 * ops.sign(a) * ops.sign(b)
        return ops.softmax(ops.concatenate([-logit, logit], axis=1))

    return _hand_made(schema, answer, "sparse_categorical_crossentropy"), table


def test_exclusive_or(exclusive):
    model, table = exclusive
    report = evaluation.modality_report(None, table, model=model)
    assert report.full.score == 1 and report.baseline == 0.5
    np.testing.assert_allclose(report.alone.score, 0.5)
    np.testing.assert_allclose(report.left_out.gain, 0.5)
    np.testing.assert_allclose(report.shapley.value, 0.25)
    # Additive models cannot do better than guess.
    assert report.interactions.additive == 0.5
    assert report.interactions.gap == 0.5 and report.interactions.rows == 80
    assert report.interactions.low > 0.3
    np.testing.assert_allclose(report.permuted["drop"], 0.5, atol=0.15)
    assert report.subsets.index.tolist() == ["nothing", "a", "b", "a + b"]
    np.testing.assert_allclose(report.subsets.score, [0.5, 0.5, 0.5, 1.0])
    # Two of three say nothing, and do not outvote the third.
    assert report.ensemble.score == 1 and report.ensemble.gain == 0
    # Half of the cells is all that can go; then nothing is left to compare.
    np.testing.assert_allclose(report.missing.rate, [0, 0.1, 0.2, 0.3, 0.4, 0.5])
    np.testing.assert_allclose(report.missing.removed, report.missing.rate)
    assert report.missing.score.iloc[0] == 1 and report.missing.score.iloc[-1] == 0.5
    assert report.sentences[0].startswith("a helps: +.50 accuracy [")
    assert report.sentences[0].endswith("]; alone .50")


def test_groups_make_intervals_wide(exclusive):
    model, table = exclusive
    # Four rows of a person are right or wrong together.
    wrong = table.person < 5
    swapped = table.label.map({"same": "other", "other": "same"})
    table = table.assign(label=table.label.where(~wrong, swapped))
    each = evaluation.modality_report(None, table, model=model, emap_rows=0)
    whole = evaluation.modality_report(
        None, table, model=model, groups="person", emap_rows=0
    )
    assert each.full.score == whole.full.score == 0.75
    assert each.interactions is None
    width = each.full.high - each.full.low
    assert whole.full.high - whole.full.low > 1.5 * width


def test_regressor_of_three():
    random = np.random.default_rng(0)
    values = random.normal(size=(60, 3))
    table = pd.DataFrame({n: list(values[:, [i]]) for i, n in enumerate("abc")})
    table["y"] = values @ [3.0, 1.0, 0.0]
    schema = _vectors("abc", {"y": keras_mm.Number()}, table)
    scale = {name: value.std for name, value in schema.inputs.items()}
    mean = {name: value.mean for name, value in schema.inputs.items()}

    def answer(a, b, c):
        back = [x * scale[n] + mean[n] for n, x in zip("abc", (a, b, c))]
        return 3.0 * back[0] + back[1] + 0.0 * back[2]

    report = evaluation.modality_report(
        None, table, model=_hand_made(schema, answer), emap_rows=20
    )
    assert report.metric == "r2" and report.baseline == pytest.approx(0, abs=1e-6)
    assert report.full.score == pytest.approx(1, abs=1e-5)
    assert report.interactions.gap == pytest.approx(0, abs=1e-5)
    # Each of them is in four of seven subsets, and else at its mean.
    assert report.ensemble.score == pytest.approx(1 - (3 / 7) ** 2, abs=1e-5)
    assert report.ensemble.gain == pytest.approx(-((3 / 7) ** 2), abs=1e-5)
    total = report.subsets.score["a + b + c"] - report.baseline
    assert report.subsets.score["nothing"] == report.baseline
    assert report.shapley.value.sum() == pytest.approx(total)
    assert report.shapley.value["a"] > report.shapley.value["b"] > 0.01
    assert report.shapley.value["c"] == pytest.approx(0, abs=1e-6)
    says = [sentence.split(":")[0] for sentence in report.sentences]
    assert says == ["a helps", "b helps", "c does not help"]
    # The area under the curve, over its start.
    rows = report.noise[report.noise.modality == "a"]
    area = np.sum((rows.score[1:].values + rows.score[:-1].values) / 2 * 0.25)
    assert report.robustness.relative["a"] == pytest.approx(area / rows.score.iloc[0])
    assert report.robustness.relative["c"] == pytest.approx(1)
    assert report.robustness.effective["c"] == pytest.approx(0, abs=1e-6)
    # An error is less where a modality helps.
    report = evaluation.modality_report(
        None,
        table,
        model=_hand_made(schema, answer),
        metric="mean_absolute_error",
        emap_rows=0,
    )
    assert report.left_out.gain["a"] < -1
    assert report.sentences[0].startswith("a helps: -")
    assert report.sentences[2].startswith("c does not help: +.00")


def test_labels_and_a_single_modality():
    table = pd.DataFrame({"x": [-1.0, 1.0] * 20, "tags": ["", "red|round"] * 20})
    schema = keras_mm.Schema(
        {"x": keras_mm.Number()}, {"tags": keras_mm.MultiLabel()}
    ).adapt(table)

    def answer(x):
        return ops.sigmoid(5 * ops.concatenate([x, -x], axis=1))

    report = evaluation.modality_report(None, table, model=_hand_made(schema, answer))
    assert report.metric == "macro_f1" and report.interactions is None
    # "red" is always right, "round" never.
    assert report.full.score == pytest.approx(0.5)
    assert report.missing.rate.tolist() == [0.0]
    assert report.left_out.score["x"] == report.baseline == pytest.approx(2 / 3)
    assert report.sentences[0].startswith("x hurts: -.17 macro f1 [-")


def test_rates():
    assert missing_rates(1) == [0.0]
    assert missing_rates(3) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.667]


def _learnable(rows=120, seed=0):
    random = np.random.default_rng(seed)
    text, sound = random.normal(size=(2, rows, 2))
    table = pd.DataFrame({"text": list(text), "sound": list(sound)})
    table["label"] = np.where(text[:, 0] > 0, "high", "low")
    schema = keras_mm.Schema(
        {"text": keras_mm.Vector(2), "sound": keras_mm.Vector(2)},
        {"label": keras_mm.ClassLabel()},
    )
    settings = {
        "encoders": {name: keras_mm.encoders.Dense(4) for name in schema.inputs},
        "optimizer": keras.optimizers.Adam(0.03),
        "folds": 2,
        "patience": None,
    }
    return schema, table, settings


def test_trained_in_folds(monkeypatch):
    schema, table, settings = _learnable()
    seen, fit = [], keras_mm.MultimodalModel.fit

    def counted(model, rows, **kwargs):
        seen.append((tuple(model.schema.inputs), len(rows)))
        return fit(model, rows, **kwargs)

    monkeypatch.setattr(keras_mm.MultimodalModel, "fit", counted)
    report = evaluation.modality_report(
        schema, table, epochs=12, emap_rows=20, **settings
    )
    # Of two modalities, leaving one out is the other alone: trained once.
    one_fold = [("text",), ("sound",), ("text", "sound")]
    assert sorted(seen) == sorted([(columns, 60) for columns in one_fold] * 2)
    assert not schema.is_adapted
    assert report.sentences[0].startswith("text helps: +.")
    assert report.sentences[1].startswith("sound does not help: ")
    assert report.alone.score["text"] > 0.85 > report.alone.score["sound"]
    assert report.left_out.score["text"] == report.alone.score["sound"]
    assert report.left_out.gain_low["text"] > 0 > report.left_out.gain_low["sound"]
    assert (report.left_out.gain_high >= report.left_out.gain).all()
    assert report.interactions.rows == 20
    assert not report.missing.matched.any()
    for text in (str(report), report._repr_html_()):
        assert all(sentence in text for sentence in report.sentences)
    assert "120 rows, 2 folds" in str(report)
    figure = report.plot()
    bars = [patch.get_width() for patch in figure.axes[0].patches]
    np.testing.assert_allclose(bars[::-1], report.left_out.gain)
    assert [axes.get_title() for axes in figure.axes][3] == "missing cells"


def test_matched_rates(monkeypatch):
    """Training rows miss as many cells as the rows that are asked."""
    schema, table, settings = _learnable(40)
    table.loc[:9, "sound"] = None
    holes = []

    def fit(model, rows, **kwargs):
        if len(model.schema.inputs) == 2:
            absent = rows[["text", "sound"]].isna()
            assert not absent.all(axis=1).any()
            holes.append(int(absent.sum().sum()))

    monkeypatch.setattr(keras_mm.MultimodalModel, "fit", fit)
    report = evaluation.modality_report(
        schema, table, matched=(0.2, 0.9), emap_rows=0, **settings
    )
    # 70 cells are there, of which 40 stay whatever the rate.
    assert sum(holes[::3]) == 10
    assert sum(holes[1::3]) == 10 + 14
    assert sum(holes[2::3]) == 10 + 30
    matched = report.missing[report.missing.matched]
    assert matched.rate.tolist() == [0.2, 0.9]
    np.testing.assert_allclose(matched.removed, [14 / 70, 30 / 70])


def test_fits_know_nothing_of_each_other():
    """Equal seeds give equal models, whatever objects were trained before."""
    from keras_mm.evaluation.trials import Trials, predict

    schema, table, settings = _learnable(40)
    settings["encoders"]["text"] = keras.layers.Dense(3)
    # Built and used elsewhere before.
    settings["encoders"]["text"].build((None, 2))
    options = {"optimizer": settings.pop("optimizer")}
    trials = Trials(schema, table, epochs=2, options=options, **settings)
    fusion = keras_mm.fusion.Gated(3)
    part = trials.part(trials.train_rows(0))
    first, second = (
        trials.fit(trials.adapted(0), part, ("text", "sound"), fusion)[0]
        for _ in range(2)
    )
    tensors = trials.tensors(table, first.schema)
    answers = [predict(model, tensors)["label"] for model in (first, second)]
    np.testing.assert_array_equal(*answers)
    assert not fusion.built and first.optimizer is not second.optimizer
    assert first.optimizer.iterations == 2


def test_refusals(exclusive):
    model, table = exclusive
    plain = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    for arguments, message in (
        ({"model": plain}, "must be made by a builder"),
        ({"model": model, "fusion": "gated"}, "nothing is trained"),
        ({"model": model, "hidden_units": 3}, "nothing is trained"),
        ({"model": model, "metric": "r2"}, "`metric` must be one of"),
        ({"matched": (30,)}, "rates between 0 and 1"),
        ({"fusion": "blender"}, "`fusion` must be one of"),
        ({"encoders": {"c": "dense"}}, "has unknown modalities"),
        ({"folds": 41}, "40 rows of the most frequent class"),
        ({"folds": 81}, "number of rows, 80"),
        ({"folds": 21, "groups": "person"}, "number of groups, 20"),
        ({"groups": "persons"}, "no column 'persons'. Did you mean 'person'"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluation.modality_report(model.schema, table, **arguments)
    unknown = table.assign(label=table.label.where(table.index > 0, None))
    with pytest.raises(ValueError, match="no label in row 0"):
        evaluation.modality_report(model.schema, unknown)
