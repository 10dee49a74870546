"""The end of a model: a vector -> the prediction, its loss and its metrics."""

import keras
from keras import layers

from ..inputs import ClassLabel, MultiLabel, Number
from ..names import answer_name, layer_name
from .class_accuracy import ClassAccuracy
from .crossentropy import Crossentropy
from .masked_loss import MaskedLoss
from .masked_metric import MaskedMetric
from .standardized_mean_squared_error import StandardizedMeanSquaredError


class Head:
    """What belongs to a target.

    Args:
        target: `ClassLabel`, `MultiLabel` or `Number`.
        name: string, the target column's name.
        label_smoothing: float, for classes.
        masked: bool, whether labels may be missing.
    """

    def __init__(self, target, name, label_smoothing=0.0, masked=False):
        self.target = target
        self.name = name
        self.label_smoothing = label_smoothing
        self.masked = masked

    def __call__(self, vector):
        """`(batch, dim)` -> the prediction, always in `float32`."""
        if isinstance(self.target, Number):
            # The network predicts in standard deviations, the model in the
            # target's own unit.
            name = layer_name("standardized", self.name)
            return self.activate(layers.Dense(1, dtype="float32", name=name)(vector))
        return layers.Dense(
            self.units,
            activation=self.activation,
            kernel_initializer="orthogonal" if self.is_class else "glorot_uniform",
            dtype="float32",
            name=answer_name(self.name),
        )(vector)

    def activate(self, logits):
        """Logits `(batch, units)`, as late fusions give them -> the prediction."""
        if isinstance(self.target, Number):
            return layers.Rescaling(
                self.target.std or 1.0,
                self.target.mean or 0.0,
                dtype="float32",
                name=answer_name(self.name),
            )(logits)
        name = answer_name(self.name)
        return layers.Activation(self.activation, dtype="float32", name=name)(logits)

    @property
    def is_class(self):
        """Whether exactly one class is right."""
        return isinstance(self.target, ClassLabel)

    @property
    def units(self):
        """Number of outputs."""
        return 1 if isinstance(self.target, Number) else self.target.num_classes

    @property
    def activation(self):
        """What makes logits predictions: `"softmax"`, `"sigmoid"` or None."""
        if isinstance(self.target, Number):
            return None
        return "softmax" if self.is_class else "sigmoid"

    @property
    def loss(self):
        """The loss that `compile` takes."""
        return MaskedLoss(self._loss, self._minimum) if self.masked else self._loss

    @property
    def metrics(self):
        """The metrics that `compile` takes."""
        if not self.masked:
            return self._metrics
        return [MaskedMetric(metric, self._minimum) for metric in self._metrics]

    @property
    def _minimum(self):
        """The least value of a label that is there."""
        return None if isinstance(self.target, Number) else 0

    @property
    def _loss(self):
        if isinstance(self.target, ClassLabel):
            return Crossentropy(self.label_smoothing)
        if isinstance(self.target, MultiLabel):
            return keras.losses.BinaryCrossentropy(label_smoothing=self.label_smoothing)
        return StandardizedMeanSquaredError(self.target.std or 1.0)

    @property
    def _metrics(self):
        if isinstance(self.target, ClassLabel):
            return [ClassAccuracy()]
        if isinstance(self.target, MultiLabel):
            return [
                keras.metrics.F1Score(
                    average="macro", threshold=self.target.threshold, name="f1_score"
                ),
                keras.metrics.AUC(multi_label=True, name="auc"),
            ]
        return [keras.metrics.MeanAbsoluteError(name="mean_absolute_error")]
