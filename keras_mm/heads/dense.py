import keras
from keras import layers

from ..names import layer_name
from .head import Head
from .outputs import IMBALANCE, OUTPUTS
from .weighted_mean import WeightedMean


@keras.saving.register_keras_serializable(package="keras_mm")
class Dense(Head):
    """A Dense layer that predicts classes, labels or a number.

    Classes: softmax and cross-entropy. Several labels: sigmoid and the mean of their
    binary cross-entropies. Numbers: a linear output in standardised units, rescaled to
    the target's own unit; the loss is the mean squared error in standardised units.

    Examples:

    >>> heads = {"category": keras_mm.heads.Dense(hidden_units=64)}
    >>> model = keras_mm.build_classifier(schema, heads=heads)

    Args:
        hidden_units: int, units of a hidden Dense layer, or None.
        dropout: float, dropout rate before the last layer.
        label_smoothing: float, part of each label that is spread over all classes.
        loss: `keras.losses.Loss`, or the name of its class, in place of the default
            one. For numbers it is computed in their own unit. For classes of unequal
            size `"logit_adjusted"`, `"focal"` or `"balanced"`, see
            `LogitAdjustedCrossentropy`, `FocalCrossentropy` and `BalancedCrossentropy`.
            The weights of a late fusion's experts are always fitted with the default
            loss.

    Raises:
        ValueError: if `loss` is a function: a loss per row is needed.
    """

    reads = tuple(OUTPUTS)
    has_linear_model = True

    def __init__(self, hidden_units=None, dropout=0.0, label_smoothing=0.0, loss=None):
        self.hidden_units = hidden_units
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.imbalance = loss if loss in tuple(IMBALANCE) else None
        loss = None if self.imbalance else keras.losses.get(loss)
        if loss is not None and not isinstance(loss, keras.losses.Loss):
            raise ValueError(
                "`loss` must be a keras.losses.Loss, which has one loss per row, such "
                "as keras.losses.Huber(), or the name of its class, 'Huber'. "
                f"Received: loss={loss!r}"
            )
        self.own_loss = loss

    def logits(self, fused, target, name):
        """`Fused` -> logits `(batch, target.units)`, in `float32`."""
        x = fused.vector
        if self.hidden_units:
            hidden = layer_name("hidden", name)
            x = layers.Dense(self.hidden_units, activation="relu", name=hidden)(x)
        if self.dropout:
            x = layers.Dropout(self.dropout, name=layer_name("dropout", name))(x)
        return layers.Dense(
            target.units,
            kernel_initializer=OUTPUTS[target.kind].kernel_initializer,
            dtype="float32",
            name=layer_name("logits", name),
        )(x)

    def predictions(self, logits, target, name):
        """Logits -> probabilities, or numbers in their own unit."""
        return OUTPUTS[target.kind].layer(target, self.layer_name(name))(logits)

    def mean(self, target, weights, name):
        """The mean of probabilities, or of numbers on the scale of the training."""
        kind = OUTPUTS[target.kind]
        return WeightedMean(weights, *kind.scale(target), name=self.layer_name(name))

    def activation(self, target):
        """`"softmax"` for classes, `"sigmoid"` for labels, None for numbers."""
        return OUTPUTS[target.kind].activation

    def loss(self, target):
        """The loss of rows that have a label."""
        if self.imbalance and target.kind != "class":
            raise ValueError(
                f"loss={self.imbalance!r} is for classes (ClassLabel). "
                f"Received: a target of the kind {target.kind!r}"
            )
        if self.imbalance:
            return IMBALANCE[self.imbalance](target, self.label_smoothing)
        if self.own_loss is not None:
            return self.own_loss
        return OUTPUTS[target.kind].loss(target, self.label_smoothing)

    def metrics(self, target):
        """list of metrics of rows that have a label."""
        return OUTPUTS[target.kind].metrics(target)

    def row_losses(self, logits, labels, target, predict=None):
        """The loss per row in NumPy; see `Head`."""
        return OUTPUTS[target.kind].row_losses(logits, labels, target)

    def linear_model(self, features, labels, weights, target):
        """The linear model from features to logits; see `Head`."""
        return OUTPUTS[target.kind].linear_model(features, labels, weights, target)

    def get_config(self):
        """The constructor's arguments."""
        loss = self.own_loss
        return {
            "hidden_units": self.hidden_units,
            "dropout": self.dropout,
            "label_smoothing": self.label_smoothing,
            "loss": self.imbalance
            or (loss and keras.saving.serialize_keras_object(loss)),
        }

    @classmethod
    def from_config(cls, config):
        """Creates the head again from `get_config()`."""
        loss = config["loss"]
        if isinstance(loss, dict):
            loss = keras.saving.deserialize_keras_object(loss)
        return cls(**{**config, "loss": loss})
