"""How a Dense head interprets its logits, for each kind of target."""

import keras
import numpy as np
from keras import layers, ops

from .balanced_crossentropy import BalancedCrossentropy
from .class_accuracy import ClassAccuracy
from .crossentropy import Crossentropy
from .focal_crossentropy import FocalCrossentropy
from .logit_adjusted_crossentropy import LogitAdjustedCrossentropy
from .number_scale import NumberScale
from .scaled_mean_squared_error import ScaledMeanSquaredError
from .standardized_mean_squared_error import StandardizedMeanSquaredError


class Probabilities:
    """Base class: an activation turns logits into probabilities."""

    activation = None
    kernel_initializer = "glorot_uniform"

    def layer(self, target, name):
        return layers.Activation(self.activation, dtype="float32", name=name)

    def scale(self, target):
        """The scale of means: probabilities are averaged as they are."""
        return ()


class Softmax(Probabilities):
    """Classes, exactly one per row."""

    activation = "softmax"
    kernel_initializer = "orthogonal"

    def loss(self, target, label_smoothing):
        return Crossentropy(label_smoothing)

    def metrics(self, target):
        return [ClassAccuracy()]

    def row_losses(self, logits, labels, target):
        """`-log softmax(logits)` of the right class."""
        from scipy.special import log_softmax

        return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]

    def linear_model(self, features, labels, weights, target):
        """Logistic regression; classes without any row get a bias of -10."""
        from sklearn.linear_model import LogisticRegression

        units = target.units
        kernel, bias = np.zeros((features.shape[1], units)), np.full(units, -10.0)
        present = np.unique(labels)
        if len(present) == 1:
            bias[present] = 0.0
            return kernel, bias
        line = LogisticRegression(max_iter=1000).fit(features, labels, weights)
        if len(present) == 2:
            kernel[:, present[1]] = line.coef_[0]
            bias[present] = [0.0, line.intercept_[0]]
        else:
            kernel[:, present], bias[present] = line.coef_.T, line.intercept_
        return kernel, bias


class Sigmoid(Probabilities):
    """Labels, any number per row."""

    activation = "sigmoid"

    def loss(self, target, label_smoothing):
        return keras.losses.BinaryCrossentropy(label_smoothing=label_smoothing)

    def metrics(self, target):
        return [
            keras.metrics.F1Score(
                average="macro", threshold=target.threshold, name="f1_score"
            ),
            keras.metrics.AUC(multi_label=True, name="auc"),
        ]

    def row_losses(self, logits, labels, target):
        """`log(1 + exp z) - y z`, averaged over the labels."""
        labels = np.reshape(labels, logits.shape)
        return (np.logaddexp(0, logits) - labels * logits).mean(axis=1)

    def linear_model(self, features, labels, weights, target):
        """A logistic regression for each label."""
        from sklearn.linear_model import LogisticRegression

        kernel = np.zeros((features.shape[1], labels.shape[1]))
        bias = np.zeros(labels.shape[1])
        for label, column in enumerate(labels.T):
            if len(np.unique(column)) < 2:
                bias[label] = 10.0 if column[0] else -10.0
                continue
            line = LogisticRegression(max_iter=1000).fit(features, column, weights)
            kernel[:, label], bias[label] = line.coef_[0], line.intercept_[0]
        return kernel, bias


class Standardized:
    """Numbers, on the target's scale: by default standardised."""

    activation = None
    kernel_initializer = "glorot_uniform"

    def layer(self, target, name):
        if target.scale != "standard":
            return NumberScale(target.scale, _quantiles(target), name=name)
        return layers.Rescaling(
            target.std or 1.0, target.mean or 0.0, dtype="float32", name=name
        )

    def scale(self, target):
        """The scale of means, and its quantiles; a standardised mean needs neither."""
        if target.scale == "standard":
            return ()
        return target.scale, _quantiles(target)

    def loss(self, target, label_smoothing):
        if target.scale != "standard":
            return ScaledMeanSquaredError(target.scale, _quantiles(target))
        return StandardizedMeanSquaredError(target.std or 1.0)

    def metrics(self, target):
        return [keras.metrics.MeanAbsoluteError(name="mean_absolute_error")]

    def row_losses(self, logits, labels, target):
        """Squared errors on the scale."""
        labels = self._to_scale(np.reshape(labels, logits.shape), target)
        return np.square(logits - labels).mean(axis=1)

    def linear_model(self, features, labels, weights, target):
        """Ridge regression of the number on the scale."""
        from sklearn.linear_model import Ridge

        labels = self._to_scale(labels, target).reshape(-1)
        line = Ridge().fit(features, labels, weights)
        return line.coef_[:, None], np.array([line.intercept_])

    def _to_scale(self, labels, target):
        if target.scale == "standard":
            labels = np.asarray(labels, "float64")
            return (labels - (target.mean or 0.0)) / (target.std or 1.0)
        scale = NumberScale(target.scale, _quantiles(target))
        return np.asarray(ops.convert_to_numpy(scale.to_scale(labels)), "float64")


def _quantiles(target):
    if target.quantiles is None:
        raise ValueError(
            f"scale={target.scale!r} is learned from the training rows: adapt the schema "
            f"first. Received: quantiles={target.quantiles}"
        )
    return target.quantiles


def logit_adjusted(target, label_smoothing):
    """The loss with the priors of the training rows."""
    # As if each class had one row more: one without rows has a prior, too.
    rows = np.asarray(_counts(target, "logit_adjusted"), "float64") + 1
    priors = (rows / rows.sum()).tolist()
    return LogitAdjustedCrossentropy(priors, label_smoothing=label_smoothing)


def focal(target, label_smoothing):
    """The focal loss, which needs no counts."""
    return FocalCrossentropy(label_smoothing=label_smoothing)


def balanced(target, label_smoothing):
    """The loss with the counts of the training rows."""
    counts = _counts(target, "balanced")
    return BalancedCrossentropy(counts, label_smoothing=label_smoothing)


def _counts(target, loss):
    if target.counts is None:
        raise ValueError(
            f"loss={loss!r} needs the number of training rows of each class: adapt the "
            "schema to the training rows, or pass "
            "keras_mm.ClassLabel(class_names=..., counts=...). "
            f"Received: counts={target.counts}"
        )
    return target.counts


# Losses of classes that correct for their unequal sizes, by name.
IMBALANCE = {"logit_adjusted": logit_adjusted, "focal": focal, "balanced": balanced}

# By the target's kind.
OUTPUTS = {"class": Softmax(), "labels": Sigmoid(), "number": Standardized()}
