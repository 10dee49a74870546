"""Every kind of target with every head that reads it: one row each."""

from typing import Any, NamedTuple

import numpy as np

import keras_mm
from keras_mm import heads


class Case(NamedTuple):
    """A target with a head.

    `target` makes a target that has seen nothing. `cells` are six cells of its column,
    as `Target.to_columns` spells them. `perfect` makes of labels the predictions that
    mean them.
    """

    target: Any
    head: Any
    cells: list
    perfect: Any


def one_hot(labels):
    return np.eye(labels.max() + 1, dtype="float32")[labels]


CLASSES = keras_mm.ClassLabel, ["ant", "bee", "cat", "bee", "ant", "cat"], one_hot
TWO_CLASSES = keras_mm.ClassLabel, ["no", "yes", "yes", "no", "no", "yes"], one_hot
LABELS = keras_mm.MultiLabel, ["a", "b|c", "", "a|b|c", "c", "b"], np.asarray
NUMBER = keras_mm.Number, [1.5, -2.0, 4.0, 0.5, 3.25, -1.0], np.asarray
LOGARITHM = (
    lambda: keras_mm.Number(scale="log"),
    [1.5, 200.0, 4.0, 0.5, 3.25, 1.0],
    np.asarray,
)
SCORE = lambda: keras_mm.Number(scale="quantile"), *NUMBER[1:]


def case(kind, head):
    target, cells, perfect = kind
    return Case(target, head, cells, perfect)


# Some of the names are others in an export.
CASES = {
    "class": case(CLASSES, heads.Dense()),
    "yes or no": case(TWO_CLASSES, heads.Dense(label_smoothing=0.1)),
    "class, hidden": case(
        CLASSES, heads.Dense(hidden_units=8, dropout=0.2, label_smoothing=0.1)
    ),
    "class, logit adjusted": case(
        CLASSES, heads.Dense(loss="logit_adjusted", label_smoothing=0.1)
    ),
    "labels": case(LABELS, heads.Dense()),
    "labels, hidden": case(
        LABELS, heads.Dense(hidden_units=8, dropout=0.2, label_smoothing=0.1)
    ),
    "number": case(NUMBER, heads.Dense()),
    "number, log": case(LOGARITHM, heads.Dense()),
    "number, quantile": case(SCORE, heads.Dense()),
    "number, hidden": case(
        NUMBER, heads.Dense(hidden_units=8, dropout=0.2, loss="Huber")
    ),
}
