"""Scores against formulas computed another way, and pictures that are drawn."""

import numpy as np
import pytest

import keras_mm
from keras_mm import evaluation

from ..helpers import make_table, small_model, small_schema


@pytest.fixture(scope="module")
def trained():
    table = make_table(24, missing=False)
    model = small_model(small_schema(table), modality_dropout=0.0)
    history = model.fit(table, validation_data=table, epochs=2, verbose=0)
    return model, table, history


def test_class_scores(trained):
    model, table, _ = trained
    scores = evaluation.score(model, table)
    names = np.array(model.schema.target.names)
    predicted = names[model.predict(table, verbose=0).argmax(axis=1)]
    truth = table.category.to_numpy()
    recalls, f1s = [], []
    for name in names:
        hit = np.sum((predicted == name) & (truth == name))
        recall = hit / np.sum(truth == name)
        precision = hit / max(np.sum(predicted == name), 1)
        recalls.append(recall)
        f1s.append(2 * precision * recall / max(precision + recall, 1e-12))
    assert scores["accuracy"] == pytest.approx(np.mean(predicted == truth))
    assert scores["macro_recall"] == pytest.approx(np.mean(recalls))
    assert scores["macro_f1"] == pytest.approx(np.mean(f1s))


def test_withheld_is_missing(trained):
    model, table, _ = trained
    hidden = table.assign(image=None)
    expected = model.predict(hidden, verbose=0)
    got = evaluation.predict_without(model, table, ["image"])
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert not np.allclose(got, model.predict(table, verbose=0))
    with pytest.raises(ValueError, match="no column 'sound'"):
        evaluation.score(model, table, withhold=["sound"])


def test_a_class_without_rows_does_not_count(trained):
    model, table, _ = trained
    some = table[table.category != "apple"]
    scores = evaluation.score(model, some)
    predicted = model.predict(some, verbose=0).argmax(axis=1)
    truth = model.schema.target.encode(some.category)
    recalls = [np.mean(predicted[truth == label] == label) for label in (1, 2)]
    assert scores["macro_recall"] == pytest.approx(np.mean(recalls))


def test_number_and_label_scores():
    table = make_table(24, missing=False)[["price", "shop"]]
    rows = table.assign(cost=table.price * 2 + 1)
    schema = keras_mm.Schema(
        {"price": keras_mm.Number(), "shop": keras_mm.Category()},
        {"cost": keras_mm.Number()},
    ).adapt(rows)
    model = keras_mm.build_regressor(schema, seed=0)
    predicted = model.predict(rows, verbose=0).ravel()
    errors = predicted - rows.cost.to_numpy()
    scores = evaluation.score(model, rows)
    assert scores["mean_absolute_error"] == pytest.approx(
        np.abs(errors).mean(), rel=1e-4
    )
    assert scores["root_mean_squared_error"] == pytest.approx(
        np.sqrt((errors**2).mean()), rel=1e-4
    )
    assert scores["r2"] == pytest.approx(
        1 - (errors**2).sum() / ((rows.cost - rows.cost.mean()) ** 2).sum(), rel=1e-3
    )

    tags = table.assign(tags=["red|round", "red", ""] * 8)
    schema = keras_mm.Schema(
        {"price": keras_mm.Number()}, {"tags": keras_mm.MultiLabel()}
    ).adapt(tags)
    model = keras_mm.build_classifier(schema, seed=0)
    chosen = model.predict(tags, verbose=0) >= 0.5
    truth = schema.target.encode(tags.tags) > 0
    exact = np.mean((chosen == truth).all(axis=1))
    assert evaluation.score(model, tags)["exact_match"] == pytest.approx(exact)


def test_frame(trained):
    model, table, _ = trained
    predicted = model.predict(table, verbose=0)
    frame = evaluation.to_frame(predicted, model.schema)
    names = model.schema.target.names
    assert list(frame.columns) == ["category", *(f"category_{n}" for n in names)]
    assert frame.category.tolist() == [names[i] for i in predicted.argmax(axis=1)]


def test_pictures(trained, tmp_path):
    model, table, history = trained
    curves = evaluation.plot_history({"small": history})
    lines = curves.axes[0].get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), history.history["loss"])
    np.testing.assert_allclose(lines[1].get_ydata(), history.history["val_loss"])
    confusion = evaluation.plot_confusion(model, table)
    counts = [int(text.get_text()) for text in confusion.axes[0].texts]
    assert sum(counts) == len(table)
    withheld = table.copy()
    withheld["image"] = withheld["image"].astype(object)
    withheld.loc[0, "image"] = None
    sheet = evaluation.plot_predictions(model, withheld, count=24)
    titles = [axes.get_title() for axes in sheet.axes]
    assert len([title for title in titles if title]) == 24
    for index, figure in enumerate((curves, confusion, sheet)):
        figure.savefig(tmp_path / f"{index}.png")
        assert (tmp_path / f"{index}.png").stat().st_size > 5000


def test_pictures_of_other_targets(tmp_path):
    table = make_table(6, missing=False)
    table["tags"] = [["a"], ["b"], ["a", "b"]] * 2
    models, inputs = {}, {"price": keras_mm.Number(), "weight": keras_mm.Number()}
    for column, target, build in (
        ("weight", keras_mm.Number(), keras_mm.build_regressor),
        ("tags", keras_mm.MultiLabel(), keras_mm.build_classifier),
    ):
        schema = keras_mm.Schema({"price": keras_mm.Number()}, {column: target})
        models[column] = model = build(schema.adapt(table))
        with pytest.raises(ValueError, match="confusion matrix is for classes"):
            evaluation.plot_confusion(model, table)
        sheet = evaluation.plot_predictions(model, table)
        assert sum(bool(axes.get_title()) for axes in sheet.axes) == 6
    figure = evaluation.plot_targets(models, table)
    figure.savefig(tmp_path / "targets.png")
    points, bars = figure.axes
    np.testing.assert_allclose(
        points.collections[0].get_offsets()[:, 0], table["weight"].astype("float32")
    )
    from sklearn.metrics import f1_score

    f1 = f1_score(
        [["a" in tags, "b" in tags] for tags in table["tags"]],
        models["tags"].predict(table, verbose=0) >= 0.5,
        average=None,
        zero_division=0,
    )
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], f1)
    schema, encoders = keras_mm.Schema(inputs), dict.fromkeys(inputs, "dense")
    model = keras_mm.build_retriever(schema.adapt(table), encoders=encoders)
    for plot in (evaluation.plot_predictions, evaluation.plot_confusion):
        with pytest.raises(ValueError, match="the schema has none"):
            plot(model, table)


def test_pictures_of_clips_and_sounds(tmp_path):
    random = np.random.default_rng(0)
    table = keras_mm.data.to_table(
        {
            "clip": [random.random((4, 16, 16, 3)) for _ in range(5)] + [None],
            "sound": [random.normal(0, 0.1, 1600) for _ in range(5)] + [None],
            "sensor": [random.normal(size=(10, 2)) for _ in range(5)] + [None],
            "label": ["a", "b"] * 3,
        }
    )
    cases = {
        "clip": keras_mm.Video(num_frames=4, size=(16, 16)),
        "sound": keras_mm.Audio(0.1, num_mels=8),
        "sensor": keras_mm.Sequence(10, channels=2),
    }
    models = {}
    for name, value in cases.items():
        schema = keras_mm.Schema({name: value}, {"label": keras_mm.ClassLabel()})
        models[name] = keras_mm.build_classifier(
            schema.adapt(table),
            encoders={name: "frames" if name == "clip" else "average"},
        )
        sheet = evaluation.plot_predictions(models[name], table, count=6)
        drawn = [
            image.get_array().shape for axes in sheet.axes for image in axes.images
        ]
        # A cell that is missing is a grey square.
        assert drawn.count((8, 8, 3)) == 1
        if name == "clip":
            assert drawn.count((16, 48, 3)) == 5
        elif name == "sound":
            assert drawn.count((8, 10)) == 5
        else:
            assert sum(len(axes.lines) for axes in sheet.axes) == 10
        sheet.savefig(tmp_path / f"{name}.png")
    figure = evaluation.plot_confusion(models, table)
    assert [axes.get_title() for axes in figure.axes] == list(models)
    for axes in figure.axes:
        assert sum(int(text.get_text()) for text in axes.texts) == 6
