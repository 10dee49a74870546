"""Weights of candidates by their out-of-fold predictions."""

import numpy as np
from keras import ops

from .greedy_weights import greedy_weights


class OutOfFold:
    """Several models' out-of-fold predictions of one target, and its labels.

    Args:
        head: the target's `Head`.
        target: `Target`.
        labels: array, of rows that have a label.
        counts: array `(rows,)`, how much each row counts.
        predictions: list of arrays, one for each model.
    """

    def __init__(self, head, target, labels, counts, predictions):
        self.head, self.target = head, target
        self.labels, self.counts, self.predictions = labels, counts, predictions
        self.loss_function = head.loss(target)

    def mean(self, weights):
        """The models' weighted mean, as an ensemble predicts it."""
        used = np.flatnonzero(weights)
        layer = self.head.mean(self.target, weights[used].tolist(), "mean")
        tensors = [ops.convert_to_tensor(self.predictions[place]) for place in used]
        return ops.convert_to_numpy(layer(tensors))

    def loss(self, weights):
        """The target's own loss of that mean."""
        labels = ops.convert_to_tensor(self.labels)
        mean = ops.convert_to_tensor(self.mean(weights))
        losses = ops.convert_to_numpy(self.loss_function.call(labels, mean))
        losses = np.asarray(losses, "float64").reshape(-1)
        return float(losses @ self.counts / max(self.counts.sum(), 1e-12))

    def scores(self, weights):
        """The loss, and the target's usual score."""
        if not len(self.labels):
            return {}
        usual = self.target.metrics[0]
        scores = self.target.score(self.labels, self.mean(weights))
        return {"loss": self.loss(weights), usual: scores[usual]}

    def greedy_weights(self):
        """The weights of least loss; with no rows that count, the first model alone."""
        count = len(self.predictions)
        if not self.counts.any():
            return np.eye(count)[0]
        return greedy_weights(self.loss, count)
