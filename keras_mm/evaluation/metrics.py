"""Predictions against the truth, for many weightings of the rows at once."""

import numpy as np

from ..errors import without_target
from ..inputs import ClassLabel, MultiLabel

# Metrics of which less is better.
ERRORS = ("mean_absolute_error", "root_mean_squared_error")


def scores_of(target, truth, predicted, weights=None):
    """How good predictions are.

    Args:
        target: `ClassLabel`, `MultiLabel` or `Number`.
        truth: what `target.encode` gave.
        predicted: array that the model gave.
        weights: float array `(resamples, rows)`, how often each row counts; None:
            once.

    Returns:
        dict from a metric's name to an array `(resamples,)`, or to a float
        without `weights`. Classes: `accuracy`, `macro_recall`, `macro_f1`;
        several labels: `macro_f1`, `micro_f1`, `exact_match`; numbers:
        `mean_absolute_error`, `root_mean_squared_error`, `r2`.
    """
    if weights is None:
        scores = scores_of(target, truth, predicted, np.ones((1, len(truth))))
        return {name: float(values[0]) for name, values in scores.items()}
    if isinstance(target, ClassLabel):
        return _class_scores(truth, predicted, weights)
    if isinstance(target, MultiLabel):
        return _label_scores(truth > 0.5, predicted >= target.threshold, weights)
    return _number_scores(truth, predicted, weights)


def metric_of(target, metric=None):
    """The metric's name, or the target's usual one; refuses unknown names."""
    if target is None:
        raise without_target(f"target=None, metric={metric!r}")
    if isinstance(target, ClassLabel):
        known = ["accuracy", "macro_recall", "macro_f1"]
    elif isinstance(target, MultiLabel):
        known = ["macro_f1", "micro_f1", "exact_match"]
    else:
        known = ["r2", *ERRORS]
    if metric is not None and metric not in known:
        raise ValueError(
            f"`metric` must be one of {known} for this target. "
            f"Received: metric={metric!r}"
        )
    return metric or known[0]


def _class_scores(truth, predicted, weights):
    best = predicted.argmax(axis=1)
    names = range(predicted.shape[1])
    is_true = np.stack([truth == name for name in names], 1).astype(float)
    is_best = np.stack([best == name for name in names], 1).astype(float)
    hits = weights @ (is_true * is_best)
    true, chosen = weights @ is_true, weights @ is_best
    # A class that no row has can be neither found nor missed.
    count = np.maximum((true > 0).sum(axis=1), 1)
    f1 = np.where(true > 0, _divide(2 * hits, true + chosen), 0.0)
    return {
        "accuracy": hits.sum(axis=1) / weights.sum(axis=1),
        "macro_recall": _divide(hits, true).sum(axis=1) / count,
        "macro_f1": f1.sum(axis=1) / count,
    }


def _label_scores(truth, chosen, weights):
    hits = weights @ (truth & chosen).astype(float)
    both = weights @ (truth.astype(float) + chosen)
    exact = (truth == chosen).all(axis=1).astype(float)
    return {
        "macro_f1": _divide(2 * hits, both).mean(axis=1),
        "micro_f1": _divide(2 * hits.sum(axis=1), both.sum(axis=1)),
        "exact_match": weights @ exact / weights.sum(axis=1),
    }


def _number_scores(truth, predicted, weights):
    truth = np.asarray(truth, "float64").reshape(-1)
    error = np.asarray(predicted, "float64").reshape(-1) - truth
    rows = weights.sum(axis=1)
    squared = weights @ error**2
    # The spread does not depend on where 0 is; rounding does.
    centred = truth - truth.mean()
    spread = weights @ centred**2 - (weights @ centred) ** 2 / rows
    return {
        "mean_absolute_error": weights @ np.abs(error) / rows,
        "root_mean_squared_error": np.sqrt(squared / rows),
        # Of rows that are all alike nothing can be explained.
        "r2": np.where(spread > 0, 1.0 - _divide(squared, spread), 0.0),
    }


def _divide(above, below):
    """0 where `below` is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
