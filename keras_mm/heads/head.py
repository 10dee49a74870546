"""The interface of heads: from the fused vector to predictions of a target."""

import numpy as np
from keras import ops

from ..names import answer_name
from .masked_loss import MaskedLoss
from .masked_metric import MaskedMetric
from .weighted_mean import WeightedMean


class Head:
    """Base class of heads: the last layers that predict a target, and their loss.

    It has two steps, `logits` and `predictions`, so that late fusions and calibration
    can act in between. A head is a description, as an `Encoder` is: each call of `build`
    creates new layers.
    """

    # The kinds of target (`Target.kind`) that it predicts.
    reads = ()
    # What it reads of `fusion.Fused`: "vector", or "tokens", which not every fusion has.
    needs = "vector"
    # Layers before the last one; a late fusion creates them for each expert.
    hidden_units = None
    dropout = 0.0
    # The name of its loss, if that corrects for classes of unequal size.
    imbalance = None
    # Whether it has a `linear_model`, which stacking needs.
    has_linear_model = False

    def build(self, fused, target, name):
        """Creates the layers and applies them.

        Args:
            fused: `keras_mm.fusion.Fused` of Keras tensors.
            target: adapted `keras_mm.targets.Target`.
            name: string, the target column's name.

        Returns:
            The predictions, a `float32` Keras tensor; its layer has the target's name
            in an exported model.
        """
        return self.predictions(self.logits(fused, target, name), target, name)

    def logits(self, fused, target, name):
        """`Fused` -> logits `(batch, target.units)`."""
        raise NotImplementedError

    def predictions(self, logits, target, name):
        """Logits -> predictions, by a layer whose name is `layer_name(name)`."""
        raise NotImplementedError

    def mean(self, target, weights, name):
        """The layer that averages several models' predictions of a target.

        Args:
            target: `Target`.
            weights: list of floats, one for each model, which sum to 1.
            name: string, the target column's name.

        Returns:
            Layer from a list of predictions to predictions, called
            `layer_name(name)`; by default `WeightedMean`.
        """
        return WeightedMean(weights, name=self.layer_name(name))

    @staticmethod
    def layer_name(name):
        """The name of the layer that predicts the target `name`."""
        return answer_name(name)

    def activation(self, target):
        """The activation of logits that late fusions mix: `"softmax"`, ..., or None."""
        return None

    def loss(self, target):
        """The loss of rows that have a label."""
        raise NotImplementedError

    def metrics(self, target):
        """list of metrics of rows that have a label."""
        return []

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

    def row_losses(self, logits, labels, target, predict):
        """The loss of each row, in NumPy and `float64`.

        Late fusions find the weights of their experts by it.

        Args:
            logits: array `(rows, units)`.
            labels: array, the result of `target.encode`.
            target: `Target`.
            predict: function from logits to the predictions that `loss` takes.

        Returns:
            Array `(rows,)`.
        """
        logits = ops.convert_to_tensor(logits, "float32")
        losses = self.loss(target).call(ops.convert_to_tensor(labels), predict(logits))
        return np.asarray(ops.convert_to_numpy(losses), "float64")

    def linear_model(self, features, labels, weights, target):
        """Fits a linear model from features to logits.

        Args:
            features: array `(rows, features)`.
            labels: array, the result of `target.encode`.
            weights: array `(rows,)`, weight of each row.
            target: `Target`.

        Returns:
            kernel `(features, units)` and bias `(units,)`.
        """
        raise NotImplementedError

    def get_config(self):
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Creates the head again from `get_config()`."""
        return cls(**config)
