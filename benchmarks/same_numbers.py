"""Whether a change of the code changed what models learn: two versions, one seed.

Trains each kind of model on a small made-up table with fixed seeds, by the code that is
imported, and writes predictions, scores, predictions of the saved file, and the answers of
exports to a file; two of these are compared:

git worktree add ../before COMMIT
PYTHONPATH=../before python benchmarks/same_numbers.py write before.npz
PYTHONPATH=. python benchmarks/same_numbers.py write after.npz
python benchmarks/same_numbers.py compare before.npz after.npz
"""

import pathlib
import sys
import tempfile
import zlib

import numpy as np


def make_table(rows=96):
    import pandas as pd

    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "a": rng.normal(size=rows),
            "b": rng.normal(size=rows),
            "w": rng.choice(["red", "green", "blue"], rows),
        }
    )
    table["v"] = [rng.normal(size=3) for _ in range(rows)]
    table["c"] = np.where(table.a + table.b > 0, "yes", "no")
    table["m"] = [
        [
            label
            for label, positive in zip("pq", (a > 0, b > 0), strict=True)
            if positive
        ]
        for a, b in zip(table.a, table.b, strict=True)
    ]
    table["y"] = table.a * 3 + 10 + rng.normal(size=rows) * 0.1
    table["score"] = rng.normal(size=rows).astype("float32")
    table["match"] = rng.choice(["no", "yes"], rows)
    return table


def supervised_models():
    """Name, targets, builder and its options of each kind."""
    import keras_mm

    classes = {"c": keras_mm.ClassLabel()}
    labels = {"m": keras_mm.MultiLabel()}
    number = {"y": keras_mm.Number()}
    classifier, regressor = keras_mm.build_classifier, keras_mm.build_regressor
    for fusion in (
        "hybrid",
        "gated",
        "late_mean",
        "late_weighted",
        "stacking",
        "attention",
    ):
        yield f"classes, {fusion}", classes, classifier, {"fusion": fusion}
    options = {"hidden_units": 5, "dropout": 0.2, "label_smoothing": 0.1}
    yield "classes, a larger head", classes, classifier, {"fusion": "concat", **options}
    for fusion in ("hybrid", "gated", "stacking"):
        yield f"labels, {fusion}", labels, classifier, {"fusion": fusion}
        yield f"number, {fusion}", number, regressor, {"fusion": fusion}
    several = {**number, **classes, **labels}
    yield "three targets", several, keras_mm.build_multitask, {"hidden_units": 6}


def flat(scores, prefix=""):
    """One entry a number, of scores by target and of measures by label, too."""
    for key, value in scores.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key} ")
        elif isinstance(value, (int, float, np.number)):
            yield f"{prefix}{key}", value


def by_target(predictions):
    return predictions if isinstance(predictions, dict) else {"": predictions}


def of_file(model, rows, folder):
    """What the model predicts after it was saved and loaded."""
    import keras

    path = folder / "model.keras"
    model.save(path)
    return by_target(keras.models.load_model(path).predict(rows, verbose=0))


def of_export(model, rows, folder):
    """The answers of the exported model by name."""
    import keras_mm

    keras_mm.export(model, folder / "export", rows=rows[:8], verbose=False)
    answers = keras_mm.load_exported(folder / "export")(rows)
    return {name: as_numbers(column) for name, column in answers.items()}


def as_numbers(column):
    """Numbers as they are; texts and lists of them as a checksum of each cell."""
    if np.concatenate([np.ravel(cell) for cell in column]).dtype.kind in "fiu":
        return np.stack(column)
    return [zlib.crc32(repr(cell).encode()) for cell in column]


def collect():
    """Predictions, scores and answers by name."""
    import keras_mm

    table = make_table()
    with_holes = table.copy()
    with_holes.loc[::3, "y"] = None
    arrays = {}

    def add(name, values):
        for key, value in values.items():
            arrays[f"{name}: {key}"] = np.asarray(value)

    def inputs():
        return {
            "a": keras_mm.Number(),
            "v": keras_mm.Vector(3),
            "w": keras_mm.Text(),
        }

    for name, targets, build, options in supervised_models():
        rows = with_holes if len(targets) > 1 else table
        model = build(keras_mm.Schema(inputs(), targets).adapt(rows), seed=1, **options)
        model.fit(
            rows.iloc[:70],
            validation_data=rows.iloc[70:],
            epochs=2,
            batch_size=16,
            verbose=0,
        )
        add(name, by_target(model.predict(rows, verbose=0)))
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            add(f"{name}, file", of_file(model, rows, folder))
            add(f"{name}, export", of_export(model, rows, folder))
        add(name, dict(flat(keras_mm.evaluation.score(model, rows))))
        print(name)

    retriever = keras_mm.build_retriever(
        keras_mm.Schema(inputs()).adapt(table),
        towers={"x": ["a", "v"], "z": ["w"]},
        seed=1,
    )
    retriever.fit(table, epochs=2, batch_size=16, verbose=0)
    add("retriever", retriever.predict(table, verbose=0))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        add("retriever, file", of_file(retriever, table, folder))
        add("retriever, export", of_export(retriever, table, folder))
    reranker = keras_mm.build_reranker(retriever, "x", "z", seed=1)
    reranker.fit(table, epochs=1, batch_size=16, verbose=0)
    add("reranker", by_target(reranker.predict(table, verbose=0)))
    autoencoder = keras_mm.build_autoencoder(
        keras_mm.Schema({"v": keras_mm.Vector(3)}).adapt(table), seed=1
    )
    autoencoder.fit(table, epochs=2, verbose=0)
    add("autoencoder", by_target(autoencoder.predict(table, verbose=0)))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        add("reranker, file", of_file(reranker, table, folder))
        add("autoencoder, file", of_file(autoencoder, table, folder))
    return arrays


def compare(first, second):
    before, after = np.load(first), np.load(second)
    differences = {}
    for name in sorted({*before.files, *after.files}):
        kind = name.partition(":")[0]
        if name not in before.files or name not in after.files:
            differences[kind] = float("inf")
            continue
        one, other = before[name].astype(float), after[name].astype(float)
        both_missing = np.isnan(one) & np.isnan(other)
        apart = np.where(both_missing, 0.0, np.abs(one - other))
        worst = float(apart.max()) if apart.size else 0.0
        differences[kind] = max(differences.get(kind, 0.0), worst)
    print("| model | largest difference |\n|---|---|")
    for kind, worst in differences.items():
        print(f"| {kind} | {worst:.3g} |")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        np.savez(sys.argv[2], **collect())
    else:
        compare(*sys.argv[2:4])
