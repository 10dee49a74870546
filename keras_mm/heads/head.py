"""The end of a model: a vector -> the prediction, its loss and its metrics."""

import keras
from keras import layers

from ..inputs import ClassLabel, MultiLabel
from .crossentropy import Crossentropy


class Head:
    """What belongs to a target.

    Args:
        target: `ClassLabel`, `MultiLabel` or `Number`.
        name: string, the output layer's name.
        label_smoothing: float, for classes.
    """

    def __init__(self, target, name, label_smoothing=0.0):
        self.target = target
        self.name = name
        self.label_smoothing = label_smoothing

    def __call__(self, vector):
        """`(batch, dim)` -> the prediction, always in `float32`."""
        if isinstance(self.target, ClassLabel):
            return layers.Dense(
                self.target.num_classes,
                activation="softmax",
                kernel_initializer="orthogonal",
                dtype="float32",
                name=self.name,
            )(vector)
        if isinstance(self.target, MultiLabel):
            return layers.Dense(
                self.target.num_classes,
                activation="sigmoid",
                dtype="float32",
                name=self.name,
            )(vector)
        # The network predicts in standard deviations, the model in the
        # target's own unit.
        output = layers.Dense(1, dtype="float32", name=f"{self.name}_standardized")(
            vector
        )
        return layers.Rescaling(
            self.target.std or 1.0,
            self.target.mean or 0.0,
            dtype="float32",
            name=self.name,
        )(output)

    @property
    def loss(self):
        """The loss that `compile` takes."""
        if isinstance(self.target, ClassLabel):
            return Crossentropy(self.label_smoothing)
        if isinstance(self.target, MultiLabel):
            return keras.losses.BinaryCrossentropy(label_smoothing=self.label_smoothing)
        return keras.losses.MeanSquaredError()

    @property
    def metrics(self):
        """The metrics that `compile` takes."""
        if isinstance(self.target, ClassLabel):
            return ["accuracy"]
        if isinstance(self.target, MultiLabel):
            return [
                keras.metrics.F1Score(
                    average="macro", threshold=self.target.threshold, name="f1_score"
                ),
                keras.metrics.AUC(multi_label=True, name="auc"),
            ]
        return [keras.metrics.MeanAbsoluteError(name="mean_absolute_error")]
