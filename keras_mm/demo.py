"""`keras-mm demo`: the whole workflow, from the bundled table to a served model."""

import os
import time

import keras

from . import data, evaluation, serving, training
from .data import Schema
from .inputs import Image, Text
from .models import build_classifier
from .targets import ClassLabel

_INPUTS = {"picture": ["image"], "text": ["text"], "picture + text": ["image", "text"]}


def demo(output="runs/demo", quick=False, seed=0):
    """Trains picture, text and fused classifiers of clip art, and exports one.

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
            "validation": evaluation.score(model, validation),
            "test": evaluation.score(model, test),
            "seconds": seconds,
        }
    chosen = max(results, key=lambda name: results[name]["validation"]["accuracy"])
    fused = models["picture + text"]
    console.print(_score_table(results, chosen))
    console.print(_withheld_table(fused, test, results))

    pictures = {
        "curves.png": evaluation.plot_history(histories),
        "confusion.png": evaluation.plot_confusion(models[chosen], test),
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
    available = {"image": Image((96, 96)), "text": Text(sequence_length=32)}
    schema = Schema(
        inputs={column: available[column] for column in columns},
        targets={"category": ClassLabel()},
    ).adapt(train)
    model = build_classifier(schema, seed=seed)
    history = model.fit(
        train,
        validation_data=validation,
        epochs=2 if quick else 24,
        verbose=0,
        callbacks=training.callbacks(f"{name:<14}", patience=10),
    )
    return model, history, time.time() - started


def _score_table(results, chosen):
    from rich.table import Table

    table = Table(title="Scores by inputs", title_justify="left")
    table.add_column("inputs")
    for heading in ("validation accuracy", "test accuracy", "test macro-F1", "seconds"):
        table.add_column(heading, justify="right")
    for name, result in results.items():
        table.add_row(
            f"{name} *" if name == chosen else name,
            f"{result['validation']['accuracy']:.3f}",
            f"{result['test']['accuracy']:.3f}",
            f"{result['test']['macro_f1']:.3f}",
            f"{result['seconds']:.0f}",
            style="bold" if name == chosen else None,
        )
    table.caption = "* best on the validation rows"
    return table


def _withheld_table(model, test, results):
    from rich.table import Table

    full = results["picture + text"]["test"]
    table = Table(title="Scores with an input withheld", title_justify="left")
    table.add_column("withheld from picture + text")
    for heading in ("test accuracy", "lost", "test macro-F1", "lost"):
        table.add_column(heading, justify="right")
    for name, column in (("picture", "image"), ("text", "text")):
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
    answers = exported(rows[["image", "text"]])
    console.print("\nPredictions of the exported model from JPEG bytes and text:")
    for row, answer in answers.iterrows():
        console.print(
            f"  {rows.text[row]!r} -> {answer.category} "
            f"({max(answer.category_probabilities):.0%}; is {rows.category[row]})"
        )
    console.print("\nServe it:")
    for line in serving.serving_commands(folder):
        console.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)
