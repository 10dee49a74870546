import itertools

import numpy as np


class Additive:
    """Predictions of all targets as one matrix, on an additive scale such as logits.

    Averages over predictions are computed on this matrix, for all targets at once.

    Examples:

    >>> target = keras_mm.ClassLabel(2)
    >>> additive = keras_mm.evaluation.additive.Additive({"spam": target})
    >>> matrix = additive.join({"spam": numpy.array([[0.2, 0.8], [0.5, 0.5]])})
    >>> additive.split(matrix)["spam"].round(3).tolist()
    [[0.2, 0.8], [0.5, 0.5]]

    Args:
        targets: dict from name to `Target`, adapted.
    """

    def __init__(self, targets):
        self.targets = dict(targets)

    def join(self, predictions):
        """dict from target to predictions -> float array `(rows, units of all)`."""
        columns = [t.to_additive(predictions[n]) for n, t in self.targets.items()]
        return np.concatenate(columns, axis=1)

    def split(self, matrix):
        """The inverse of `join`: dict from target to predictions."""
        units = [target.units for target in self.targets.values()]
        ends = list(itertools.accumulate(units))[:-1]
        parts = zip(self.targets.items(), np.split(matrix, ends, axis=1))
        return {name: target.from_additive(part) for (name, target), part in parts}
