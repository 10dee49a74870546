"""Shapley values of modalities, and the additive projection of their interaction."""

import itertools
import math

import numpy as np


def all_subsets(names):
    """Every subset as a tuple, the empty one first."""
    return [
        subset
        for size in range(len(names) + 1)
        for subset in itertools.combinations(names, size)
    ]


def shapley_values(names, scores):
    """Exact Shapley values: attributes a score to modalities.

    A modality's value is the score that it adds to a subset of the others, averaged
    over all orders of the modalities. The values sum to the score of all modalities
    minus that of the empty subset.

    Examples:

    >>> scores = {(): 0.2, ("a",): 0.5, ("b",): 0.2, ("a", "b"): 0.8}
    >>> values = keras_mm.evaluation.shapley_values(["a", "b"], scores)
    >>> {name: round(value, 6) for name, value in values.items()}
    {'a': 0.45, 'b': 0.15}

    Args:
        names: list of strings.
        scores: dict from each subset, a tuple in the order of `names`, to a float or an
            array of floats.

    Returns:
        dict from name to value.

    Reference:
        Shapley 1953, "A value for n-person games".
    """
    count = math.factorial(len(names))
    values = {}
    for name in names:
        others = [other for other in names if other != name]
        total = 0.0
        for subset in all_subsets(others):
            size = len(subset)
            orders = math.factorial(size) * math.factorial(len(names) - size - 1)
            joined = tuple(n for n in names if n in subset or n == name)
            total = total + orders / count * (scores[joined] - scores[subset])
        values[name] = total
    return values


def additive_projection(predict, tensors, modalities, rows, batch=1024):
    """Empirical multimodally-additive projection (EMAP): removes interactions.

    The projected prediction of a row is the sum of one term per modality, the mean
    prediction with the other modalities taken from each of the rows, minus the
    overall mean for every modality but one. For two modalities it takes `rows ** 2`
    predictions, for more that many per modality.

    Args:
        predict: function from tensors to predictions `(rows, outputs)` on an additive
            scale, such as logits.
        tensors: dict from column name to array.
        modalities: dict from modality name to its columns.
        rows: int array, the rows to use, all pairs of them.
        batch: int, predictions at a time.

    Returns:
        float array `(rows, outputs)`.

    Reference:
        Hessel and Lee 2020, "Does my multimodal model learn cross-modal
        interactions? It's harder to tell than you might think!".
    """
    count, names = len(rows), list(modalities)
    means = []
    # For two modalities, the predictions of all pairs hold both means.
    for name in names[:1] if len(names) == 2 else names:
        table = []
        for start in range(0, count**2, batch):
            pair = np.arange(start, min(start + batch, count**2))
            own, other = rows[pair // count], rows[pair % count]
            mixed = {
                column: tensors[column][own if modality == name else other]
                for modality, columns in modalities.items()
                for column in columns
            }
            table.append(np.asarray(predict(mixed), "float64"))
        table = np.concatenate(table).reshape(count, count, -1)
        means.append(table.mean(axis=1))
        if len(names) == 2:
            means.append(table.mean(axis=0))
    overall = np.mean([mean.mean(axis=0) for mean in means], axis=0)
    return sum(means) - (len(names) - 1) * overall
