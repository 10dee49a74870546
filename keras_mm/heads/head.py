"""The contract of the end of a model: what was fused -> the prediction of a target."""

from ..names import answer_name
from .masked_loss import MaskedLoss
from .masked_metric import MaskedMetric


class Head:
    """Base class: what a model computes to predict a target, and what it minimises.

    The way has two steps, `logits` and `predictions`: late fusions and calibration come
    in between. A head is a description, as an `Encoder` is: `build` makes new layers.
    """

    # The kinds of target that it predicts.
    reads = ()
    # The layers before the last one; a late fusion makes them for each expert.
    hidden_units = None
    dropout = 0.0

    def build(self, vector, target, name):
        """Makes the layers.

        Args:
            vector: Keras tensor `(batch, dim)`.
            target: adapted `keras_mm.targets.Target`.
            name: string, the target column's name.

        Returns:
            The predictions, a `float32` Keras tensor of a layer called like the target
            is served.
        """
        return self.predictions(self.logits(vector, target, name), target, name)

    def logits(self, vector, target, name):
        """`(batch, dim)` -> logits `(batch, target.units)`."""
        raise NotImplementedError

    def predictions(self, logits, target, name):
        """Logits -> predictions, by a layer whose name is `layer_name(name)`."""
        raise NotImplementedError

    @staticmethod
    def layer_name(name):
        """The name of the layer that predicts the target `name`."""
        return answer_name(name)

    def activation(self, target):
        """How late fusions add logits: as those of a `"softmax"`, or None."""
        return None

    def loss(self, target):
        """The loss of rows whose label is there."""
        raise NotImplementedError

    def metrics(self, target):
        """list of metrics of rows whose label is there."""
        raise NotImplementedError

    def compiled(self, target, masked=False):
        """The loss and the list of metrics that `compile` takes.

        Args:
            target: `Target`.
            masked: bool, whether labels may be missing.
        """
        loss, metrics = self.loss(target), self.metrics(target)
        if not masked:
            return loss, metrics
        least = target.least_label
        return MaskedLoss(loss, least), [MaskedMetric(m, least) for m in metrics]

    def row_losses(self, logits, labels, target):
        """What training minimises, in NumPy and `float64`: one loss a row.

        Args:
            logits: array `(rows, units)`.
            labels: array, as `target.encode` gives it.
            target: `Target`.
        """
        raise NotImplementedError

    def linear_model(self, features, labels, weights, target):
        """The linear model from features to logits.

        Args:
            features: array `(rows, features)`.
            labels: array, as `target.encode` gives it.
            weights: array `(rows,)`, how much each row counts.
            target: `Target`.

        Returns:
            kernel `(features, units)` and bias `(units,)`.
        """
        raise NotImplementedError
