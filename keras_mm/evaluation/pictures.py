"""Plots of training curves, confusion matrices and predictions."""

import io

import numpy as np

from ..data import to_table
from ..data.raw import encode_targets
from ..errors import without_target
from ..inputs import Audio, Forms, Image, Sequence, Video
from ..inputs.cells import is_missing
from ..inputs.items import items_of

# By whether a prediction is right; None: neither right nor wrong, as a number.
_COLORS = {True: "#1a7f37", False: "#cf222e", None: "black"}


def plot_history(histories, metric="accuracy"):
    """Draws training curves of the loss and a metric.

    Examples:

    >>> history = model.fit(train, validation_data=validation, epochs=20)
    >>> keras_mm.evaluation.plot_history(history).savefig("curves.png")

    Args:
        histories: a `keras.callbacks.History`, or a dict of them by the model's name.
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
    """Draws confusion matrices; their rows are the true classes.

    Examples:

    >>> keras_mm.evaluation.plot_confusion(model, test).savefig("confusion.png")

    Args:
        models: a classifier made by a builder, or a dict of them by name, to draw
            several side by side. For several targets, each has its own matrix.
        table: rows with the targets.
        base_dir: folder that relative file paths start from.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: if a target of a model is not a `ClassLabel`.
    """
    for model in (models if isinstance(models, dict) else {"": models}).values():
        for name, target in _targets_of(model).items():
            if target.kind != "class":
                raise ValueError(
                    "A confusion matrix is for classes, one per row. Pass a "
                    "classifier, or use keras_mm.evaluation.plot_targets, which takes "
                    f"any target. Received: {name}={target!r}"
                )
    return plot_targets(models, table, base_dir)


def plot_targets(models, table, base_dir=None):
    """Draws predictions against the truth, by the kind of each target.

    For classes it draws a confusion matrix, for several labels the F1 score of each,
    for a number a scatter plot of predictions and true values.

    Examples:

    >>> keras_mm.evaluation.plot_targets(model, test).savefig("targets.png")

    Args:
        models: a model made by a builder, or a dict of them by name, to draw several
            side by side.
        table: rows with the targets.
        base_dir: folder that relative file paths start from.

    Returns:
        `matplotlib.figure.Figure`.
    """
    from matplotlib.figure import Figure

    if not isinstance(models, dict):
        models = {"": models}
    table, drawn = to_table(table), []
    for title, model in models.items():
        predictions = model.predict(table, base_dir=base_dir, verbose=0)
        labels, schema = encode_targets(table, model.schema), model.schema
        predictions = schema.by_target(predictions)
        for name, target in schema.targets.items():
            titled = f"{title} {name}".strip() if len(schema.targets) > 1 else title
            drawn.append((titled, target, labels[name], predictions[name]))
    side = 2.2 + 0.5 * max(4, *(target.units for _, target, _, _ in drawn))
    figure = Figure(figsize=((side + 0.6) * len(drawn), side), layout="constrained")
    panels = figure.subplots(1, len(drawn), squeeze=False)[0]
    for axes, (title, target, labels, predictions) in zip(panels, drawn):
        mask = target.is_known(labels)
        if mask.any():
            target.draw(axes, labels[mask], predictions[mask])
        axes.set_title(title, fontsize=11)
    return figure


def plot_predictions(model, table, count=18, seed=0, base_dir=None):
    """Draws rows with their image, texts, true labels and predictions.

    Without an image column it draws the first column of videos (three frames, in
    order), audio (a log-mel spectrogram) or sequences.

    The prediction is green if it is right and red if it is wrong. For several targets
    each has a line, and the lines are red if any of them is wrong; missing labels are
    ignored.

    Examples:

    >>> keras_mm.evaluation.plot_predictions(model, test).savefig("sheet.png")

    Args:
        model: a model made by a builder.
        table: rows with the targets.
        count: int, number of rows, chosen at random.
        seed: int.
        base_dir: folder that relative file paths start from.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the model has no target.
    """
    import textwrap

    from matplotlib.figure import Figure

    schema = model.schema
    targets = _targets_of(model)
    table = schema.replace_missing_cells(to_table(table))
    table = table.sample(min(count, len(table)), random_state=seed)
    table = table.reset_index(drop=True)
    labels = encode_targets(table, schema)
    predictions = model.predict(table, base_dir=base_dir, verbose=0)
    predictions = schema.by_target(predictions)
    masks = {name: target.is_known(labels[name]) for name, target in targets.items()}
    drawn, value = _drawn(schema)
    # Only inputs that fit into a line: no files, sequences or graphs.
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
            _draw(axes, value, table[drawn][row], base_dir)
        title, rights = [], []
        for name, target in targets.items():
            line = target.caption(predictions[name][row])
            title.append(f"{name}: {line}" if len(targets) > 1 else line)
            if masks[name][row]:
                right = target.is_right(labels[name][row], predictions[name][row])
                rights.append(right)
                if not right:
                    title.append(f"(is {table[name][row]})")
        # Wrong if any is wrong, else right if any is right.
        right = min((one for one in rights if one is not None), default=None)
        caption = "; ".join(
            str(table[name][row]) for name in texts if not is_missing(table[name][row])
        )
        axes.set_title("\n".join(title), fontsize=8.5, color=_COLORS[right])
        # "$" would start a formula.
        caption = textwrap.shorten(caption, 46, placeholder="...").replace("$", r"\$")
        axes.set_xlabel(textwrap.fill(caption, 24), fontsize=7, color="#444444")
    return figure


def _targets_of(model):
    """A model's targets by name; refuses models without one."""
    if not model.schema.targets:
        raise without_target(f"model={model.name!r}")
    return model.schema.targets


def _drawn(schema):
    """The column to draw for each row, and its input, in the first of several forms."""
    for kind in (Image, Video, Audio, Sequence):
        for name, value in schema.inputs.items():
            if isinstance(value, Forms):
                value = next(iter(value.forms.values()))
            if isinstance(value, kind):
                return name, value
    return None, None


def _draw(axes, value, cell, base_dir):
    import pandas as pd

    if isinstance(value, Image):
        axes.imshow(_pixels(cell, base_dir))
        return
    column = pd.Series([cell], dtype=object)
    raw = value.to_raw(column, "column", base_dir, "missing")
    (tensor,) = np.asarray(value.preprocess(raw))
    steps = tensor[~np.isnan(tensor).reshape(len(tensor), -1).all(axis=1)]
    if not len(steps):
        axes.imshow(_pixels(None, base_dir))
    elif isinstance(value, Video):
        places = np.linspace(0, len(steps) - 1, min(3, len(steps))).astype(int)
        axes.imshow(np.hstack(steps[places]))
    elif isinstance(value, Audio) and value.features != "waveform":
        axes.imshow(steps.T, origin="lower", aspect="auto", cmap="magma")
    else:
        axes.plot(tensor, linewidth=0.8)


def _pixels(cell, base_dir):
    import os

    from PIL import Image as Pillow

    # The first of several images.
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
