"""`keras-mm demo`: the whole workflow, from the bundled table to a served model."""

import os
import time

import keras

from . import data, evaluation, serving, training
from .data import Schema
from .data.folds import texts
from .evaluation.bootstrap import Bootstrap
from .inputs import Image, Text
from .models import build_classifier
from .targets import ClassLabel

# The title only: with all keywords of the drawings, the picture adds little to the text.
_INPUTS = {
    "picture": ["image"],
    "title": ["title"],
    "picture + title": ["image", "title"],
}
_FUSED = "picture + title"
_EPOCHS = 60


def demo(output="runs/demo", quick=False, seed=0):
    """Trains picture, title and fused classifiers of clip art, and exports one.

    Examples:

    >>> keras_mm.demo.demo("runs/demo", quick=True)

    Args:
        output: folder for the plots, the models and the export.
        quick: bool, whether to use few rows and two epochs: a smoke test, whose
            scores are not meaningful.
        seed: int.

    Returns:
        dict from model name to its scores on the test rows.
    """
    from rich.console import Console

    console = Console()
    os.makedirs(output, exist_ok=True)
    started = time.time()
    table = data.clipart()
    train, validation, test = data.split(table, by="split")
    if quick:
        train, validation, test = (
            part.groupby("category").head(8).reset_index(drop=True)
            for part in (train, validation, test)
        )
    console.print(
        f"Clip art: {len(train)} training, {len(validation)} validation and "
        f"{len(test)} test rows, {table.category.nunique()} classes. "
        f"Keras on {keras.backend.backend()}."
    )
    models, histories, results = {}, {}, {}
    for name, columns in _INPUTS.items():
        model, histories[name], seconds = _fit(
            name, columns, train, validation, quick, seed
        )
        models[name] = model
        results[name] = {
            "predictions": model.predict(test, verbose=0),
            "test": evaluation.score(model, test),
            "seconds": seconds,
        }
    fused = models[_FUSED]
    intervals = _intervals(fused.schema, test, results)
    console.print(_score_table(results, intervals))
    console.print(_verdict(intervals))
    console.print(_withheld_table(fused, test, results))

    pictures = {
        "curves.png": evaluation.plot_history(histories),
        "confusion.png": evaluation.plot_confusion(fused, test),
        "predictions.png": evaluation.plot_predictions(fused, test, seed=seed),
    }
    for file, figure in pictures.items():
        figure.savefig(os.path.join(output, file), dpi=110)
    fused.save(os.path.join(output, "clipart.keras"))
    console.print(f"Plots in {output}: {', '.join(pictures)}\n")

    folder = os.path.join(output, "saved_models", "clipart")
    serving.export(fused, folder, rows=test)
    _run_export(console, folder, test)
    console.print(f"\nDone in {time.time() - started:.0f} s.")
    return {name: result["test"] for name, result in results.items()}


def _fit(name, columns, train, validation, quick, seed):
    started = time.time()
    available = {"image": Image((96, 96)), "title": Text()}
    schema = Schema(
        inputs={column: available[column] for column in columns},
        targets={"category": ClassLabel()},
    ).adapt(train)
    model = build_classifier(schema, seed=seed)
    history = model.fit(
        train,
        validation_data=validation,
        epochs=2 if quick else _EPOCHS,
        verbose=0,
        callbacks=training.callbacks(f"{name:<14}", patience=10),
    )
    return model, history, time.time() - started


def _intervals(schema, test, results):
    """95% intervals over test rows, near-duplicates drawn together.

    Returns:
        dict from model name to an interval of its accuracy, and one of what the fused
        model has more; both from the same resamples.
    """
    ((name, target),) = schema.targets.items()
    labels = target.encode(test[name], name)
    draws = Bootstrap(len(test), texts(test["group"]))
    drawn = {
        model: draws.scores(target, "accuracy", labels, result["predictions"])
        for model, result in results.items()
    }
    return {
        model: (draws.interval(own), draws.interval(drawn[_FUSED] - own))
        for model, own in drawn.items()
    }


def _score_table(results, intervals):
    from rich.table import Table

    table = Table(title="Scores by inputs", title_justify="left")
    table.add_column("inputs")
    for heading in ("test accuracy", "gain of both over it", "seconds"):
        table.add_column(heading, justify="right")
    fused = results[_FUSED]["test"]["accuracy"]
    for name, result in results.items():
        accuracy, (own, more) = result["test"]["accuracy"], intervals[name]
        gain = f"{fused - accuracy:+.3f} [{more[0]:+.3f}, {more[1]:+.3f}]"
        table.add_row(
            name,
            f"{accuracy:.3f} [{own[0]:.3f}, {own[1]:.3f}]",
            "" if name == _FUSED else gain,
            f"{result['seconds']:.0f}",
            style="bold" if name == _FUSED else None,
        )
    table.caption = "[95% intervals over test rows, by bootstrap]"
    table.caption_justify = "left"
    return table


def _verdict(intervals):
    """Whether both inputs are better than each, beyond the noise of the test rows."""
    least = {name: more[0] for name, (_, more) in intervals.items() if name != _FUSED}
    doubtful = [name for name, low in least.items() if low <= 0]
    if not doubtful:
        return "Both together are better than either, by more than chance."
    return (
        f"On these rows it may be chance that both together differ from "
        f"{' and '.join(doubtful)} alone: the interval of the difference holds 0. More "
        "rows, or pretrained encoders, make it clearer."
    )


def _withheld_table(model, test, results):
    from rich.table import Table

    full = results[_FUSED]["test"]
    table = Table(title=f"Scores of {_FUSED}, one withheld", title_justify="left")
    table.add_column("withheld")
    for heading in ("test accuracy", "lost", "test macro-F1", "lost"):
        table.add_column(heading, justify="right")
    for name, column in (("picture", "image"), ("title", "title")):
        scores = evaluation.score(model, test, withhold=[column])
        table.add_row(
            name,
            f"{scores['accuracy']:.3f}",
            f"{full['accuracy'] - scores['accuracy']:+.3f}",
            f"{scores['macro_f1']:.3f}",
            f"{full['macro_f1'] - scores['macro_f1']:+.3f}",
        )
    return table


def _run_export(console, folder, test):
    """Runs the exported model on raw bytes and prints how to serve it."""
    exported = serving.load_exported(folder)
    rows = test.head(3)
    answers = exported(rows[["image", "title"]])
    console.print("\nPredictions of the exported model from JPEG bytes and titles:")
    for row, answer in answers.iterrows():
        console.print(
            f"  {rows.title[row]!r} -> {answer.category} "
            f"({max(answer.category_probabilities):.0%}; is {rows.category[row]})"
        )
    console.print("\nServe it:")
    for line in serving.serving_commands(folder):
        console.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)
