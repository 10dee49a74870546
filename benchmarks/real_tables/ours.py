"""This library as a user gets it: named configurations, easy to add to."""

import os


def schema_of(task, train):
    """A schema by the columns' roles, with each input's defaults."""
    import keras_mm

    def value(name, role):
        role, *width = role.split()
        cells = train[name].dropna()
        if role == "number":
            return keras_mm.Number()
        if role == "category":
            return keras_mm.Category()
        if role in ("text", "list"):
            return keras_mm.Text()
        if role == "picture":
            return keras_mm.Image(_side(cells))
        if role == "sound":
            return keras_mm.Audio(3, 8000, num_mels=32, frame_step=0.02)
        return keras_mm.Sequence(64, channels=int(width[0]), sampling_rate=12.5)

    inputs = {name: value(name, role) for name, role in task["roles"].items()}
    target = keras_mm.ClassLabel() if task["classes"] else keras_mm.Number()
    return keras_mm.Schema(inputs, {task["target"]: target}).adapt(train)


def _side(cells, most=96):
    """The side of the pictures, 96 at most."""
    import io

    from PIL import Image

    return min(most, max(max(Image.open(io.BytesIO(c)).size) for c in cells[:50]))


def rows(task, table):
    """Cells as the library reads them: frames of sequences in two dimensions."""
    table = table.copy()
    for name, role in task["roles"].items():
        if role == "list":
            table[name] = table[name].map(" ".join)
        if role.startswith("sequence"):
            width = int(role.split()[1])
            table[name] = [
                None if c is None else c.reshape(-1, width) for c in table[name]
            ]
    return table


def default(task, train, validation, **options):
    """`build_classifier` or `build_regressor`, and `training.callbacks()`."""
    import keras_mm

    train, validation = rows(task, train), rows(task, validation)
    schema = schema_of(task, train)
    build = keras_mm.build_classifier if task["classes"] else keras_mm.build_regressor
    model = build(schema, seed=0, **options)
    settings = keras_mm.training.training_settings(len(train))
    model.fit(
        train,
        validation_data=validation,
        epochs=task["epochs"] or settings.epochs,
        callbacks=keras_mm.training.callbacks(),
        verbose=0,
    )
    path = os.path.join(task["folder"], "model.keras")
    model.save(path)
    return lambda table: answers(task, model, rows(task, table)), path


def ensemble(task, train, validation):
    """`fit_ensemble` on all rows that are not tested, with its defaults."""
    import pandas as pd

    import keras_mm

    table = rows(task, pd.concat([train, validation], ignore_index=True))
    schema = schema_of(task, table)
    model = keras_mm.fit_ensemble(
        schema, table, groups=task["groups"], seed=0, verbose=False
    )
    path = os.path.join(task["folder"], "ensemble.keras")
    model.save(path)
    return lambda table: answers(task, model, rows(task, table)), path


def answers(task, model, table):
    """Predictions in the order that all methods have."""
    import numpy as np

    predicted = np.asarray(model.predict(table, verbose=0))
    if not task["classes"]:
        return predicted.reshape(-1)
    found = np.zeros((len(table), len(task["classes"])))
    columns = [task["classes"].index(name) for name in model.schema.target.names]
    if predicted.ndim == 1 or predicted.shape[1] == 1:
        predicted = np.stack([1 - predicted.reshape(-1), predicted.reshape(-1)], 1)
    found[:, columns] = predicted
    return found


OURS = {"keras_mm": default, "keras_mm ensemble": ensemble}
