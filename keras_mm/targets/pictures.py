"""Plots of targets."""

import numpy as np


def draw_confusion(axes, truth, predicted, names):
    """The confusion matrix: true classes in rows, predicted classes in columns.

    Args:
        axes: Matplotlib axes.
        truth: int array `(rows,)`, class indices.
        predicted: int array `(rows,)`.
        names: list of strings.
    """
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(truth, predicted, labels=range(len(names)))
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
    axes.set_xticks(range(len(counts)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(counts)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")


def draw_bars(axes, names, values, title):
    """A bar from 0 to 1 for each name.

    Args:
        axes: Matplotlib axes.
        names: list of strings.
        values: float array `(names,)`.
        title: string, what the bars show.
    """
    axes.barh(range(len(names)), values)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel(title)
