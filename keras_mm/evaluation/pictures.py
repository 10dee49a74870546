"""Pictures of what a model learned and how it errs."""

import io

import numpy as np

from ..data import to_table
from ..data.targets import encode_targets
from ..errors import without_target
from ..inputs import Audio, ClassLabel, Image, Sequence, Video
from ..inputs.cells import is_missing
from ..inputs.items import items_of


def plot_history(histories, metric="accuracy"):
    """Draws training curves: the loss and a metric, epoch by epoch.

    Examples:

    >>> history = model.fit(train, validation_data=validation, epochs=20)
    >>> keras_mm.evaluation.plot_history(history).savefig("curves.png")

    Args:
        histories: a `keras.callbacks.History`, or a dict from a model's name
            to one.
        metric: string, the metric's name.

    Returns:
        `matplotlib.figure.Figure`.
    """
    from matplotlib.figure import Figure

    if not isinstance(histories, dict):
        histories = {"": histories}
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2), ("loss", metric)):
        for index, (name, history) in enumerate(histories.items()):
            for prefix, style in (("", ":"), ("val_", "-")):
                values = history.history.get(prefix + key)
                if values:
                    label = f"{name} {'validation' if prefix else 'training'}".strip()
                    axes.plot(
                        range(1, len(values) + 1),
                        values,
                        style,
                        color=f"C{index}",
                        label=label,
                    )
        axes.set_xlabel("epoch")
        axes.set_ylabel(key)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8)
    return figure


def plot_confusion(models, table, base_dir=None):
    """Draws which class is taken for which: rows are the truth.

    Examples:

    >>> keras_mm.evaluation.plot_confusion(model, test).savefig("confusion.png")

    Args:
        models: a classifier made by a builder, or a dict from a name to one, to
            draw several side by side.
        table: rows with the target.
        base_dir: folder that relative file paths start from.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: if a model is no classifier.
    """
    from matplotlib.figure import Figure
    from sklearn.metrics import confusion_matrix

    if not isinstance(models, dict):
        models = {"": models}
    table = to_table(table)
    longest = max(len(_classes_of(model)) for model in models.values())
    side = 2.2 + 0.5 * longest
    figure = Figure(figsize=((side + 0.6) * len(models), side), layout="constrained")
    for axes, (title, model) in zip(
        figure.subplots(1, len(models), squeeze=False)[0], models.items()
    ):
        target = model.schema.target
        truth = encode_targets(table, model.schema)
        predicted = model.predict(table, base_dir=base_dir, verbose=0).argmax(axis=1)
        counts = confusion_matrix(truth, predicted, labels=range(len(target.names)))
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                axes.text(
                    column,
                    row,
                    counts[row, column],
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="white" if shares[row, column] > 0.55 else "black",
                )
        axes.set_xticks(range(len(counts)), target.names, rotation=45, ha="right")
        axes.set_yticks(range(len(counts)), target.names)
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
    return figure


def plot_predictions(model, table, count=18, seed=0, base_dir=None):
    """Draws rows with their picture, texts, true class and prediction.

    Without a column of pictures it draws the first column of clips (three
    frames, in order), sounds (log-mel features, low bands below) or sequences.

    Examples:

    >>> keras_mm.evaluation.plot_predictions(model, test).savefig("sheet.png")

    Args:
        model: a classifier made by a builder.
        table: rows with the target.
        count: int, how many rows to show, chosen at random.
        seed: int.
        base_dir: folder that relative file paths start from.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the model is no classifier.
    """
    import textwrap

    from matplotlib.figure import Figure

    schema = model.schema
    names = _classes_of(model)
    table = schema.known_cells(to_table(table))
    table = table.sample(min(count, len(table)), random_state=seed)
    table = table.reset_index(drop=True)
    predicted = model.predict(table, base_dir=base_dir, verbose=0)
    drawn = _drawn(schema)
    # What fits into a line: no sounds, clips, signals or graphs.
    texts = [n for n, v in schema.inputs.items() if not (v.is_file or v.raw_shape)]
    columns = 6
    lines = -(-len(table) // columns)
    figure = Figure(figsize=(11, 2.6 * lines), layout="constrained")
    for axes in np.ravel(figure.subplots(lines, columns, squeeze=False)):
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    for row, axes in zip(range(len(table)), figure.axes):
        if drawn:
            _draw(axes, schema.inputs[drawn], table[drawn][row], base_dir)
        best = int(predicted[row].argmax())
        truth = str(table[schema.target_name][row])
        right = names[best] == truth
        caption = "; ".join(
            str(table[name][row]) for name in texts if not is_missing(table[name][row])
        )
        title = f"{names[best]} {predicted[row, best]:.0%}"
        if not right:
            title += f"\n(is {truth})"
        axes.set_title(title, fontsize=8.5, color="#1a7f37" if right else "#cf222e")
        # "$" would start a formula.
        caption = textwrap.shorten(caption, 46, placeholder="...").replace("$", r"\$")
        axes.set_xlabel(textwrap.fill(caption, 24), fontsize=7, color="#444444")
    return figure


def _classes_of(model):
    """The names of a classifier's classes; refuses other models."""
    target, name = model.schema.target, model.schema.target_name
    if target is None:
        raise without_target(f"model={model.name!r}")
    if not isinstance(target, ClassLabel):
        raise ValueError(
            "This picture is about classes, one a row. Give a classifier; "
            "keras_mm.evaluation.to_frame makes a table of any model's predictions. "
            f"Received: {name}={target!r}"
        )
    return target.names


def _drawn(schema):
    """Name of the column that shows best what a row holds, or None."""
    for kind in (Image, Video, Audio, Sequence):
        for name, value in schema.inputs.items():
            if isinstance(value, kind):
                return name
    return None


def _draw(axes, value, cell, base_dir):
    import pandas as pd

    if isinstance(value, Image):
        axes.imshow(_pixels(cell, base_dir))
        return
    column = pd.Series([cell], dtype=object)
    raw = value.to_raw(column, base_dir=base_dir, bad="missing")
    (tensor,) = np.asarray(value.preprocess(raw))
    there = tensor[~np.isnan(tensor).reshape(len(tensor), -1).all(axis=1)]
    if not len(there):
        axes.imshow(_pixels(None, base_dir))
    elif isinstance(value, Video):
        places = np.linspace(0, len(there) - 1, min(3, len(there))).astype(int)
        axes.imshow(np.hstack(there[places]))
    elif isinstance(value, Audio) and value.features != "waveform":
        axes.imshow(there.T, origin="lower", aspect="auto", cmap="magma")
    else:
        axes.plot(tensor, linewidth=0.8)


def _pixels(cell, base_dir):
    import os

    from PIL import Image as Pillow

    # Of several pictures, the first.
    cell = next((item for item in items_of(cell) if not is_missing(item)), None)
    if is_missing(cell):
        return np.full((8, 8, 3), 230, dtype="uint8")
    if isinstance(cell, (str, os.PathLike)):
        return np.asarray(
            Pillow.open(os.path.join(base_dir or "", cell)).convert("RGB")
        )
    if isinstance(cell, (bytes, bytearray)):
        picture = Pillow.open(io.BytesIO(cell)).convert("RGBA")
        paper = Pillow.new("RGBA", picture.size, "white")
        return np.asarray(Pillow.alpha_composite(paper, picture).convert("RGB"))
    return np.asarray(cell)
