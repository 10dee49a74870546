import keras
import numpy as np

from ..models.late import experts_losses, late_fusion
from ..names import layer_name


class GradientBlending(keras.callbacks.Callback):
    """Trains those experts of a late or hybrid fusion more that generalise.

    Every few epochs it measures, for each expert, by how much its loss on
    validation rows fell since the last time (`G`) and by how much the distance
    to its loss on training rows grew (`O`). Its loss then counts in proportion
    to `G / O^2`; the weights' mean is 1. So a modality that learns its rows by
    heart does not set the pace for the others.

    Examples:

    >>> model = keras_mm.build_classifier(schema, fusion="hybrid")
    >>> blending = keras_mm.training.GradientBlending(train, validation, every=1)
    >>> history = model.fit(train, epochs=2, callbacks=[blending])

    Args:
        train: rows with the target to measure on; a part of the training rows
            will do.
        validation: rows with the target that are not trained on.
        every: int, epochs between two measurements.
        base_dir: as in `model.fit`.
        bad: as in `model.fit`.

    Attributes:
        weights: list of pairs of an epoch and the weights that follow it, one
            weight an expert: the modalities, then (hybrid) all together.

    Raises:
        ValueError: at the start of training, if the model has no experts.

    Reference:
        Wang et al. 2020, "What Makes Training Multi-modal Classification Networks
        Hard?", the online variant.
    """

    def __init__(self, train, validation, every=5, base_dir=None, bad="error"):
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be positive. Received: every={every}")
        self.train, self.validation, self.every = train, validation, every
        self.base_dir, self.bad = base_dir, bad
        self.weights = []

    def on_train_begin(self, logs=None):
        """Measures where the experts start."""
        if late_fusion(self.model) is None:
            raise ValueError(
                "Gradient blending weighs the losses of experts: build the model "
                "with fusion='hybrid' or a late one. "
                f"Received: fusion={self.model.get_layer(layer_name('fusion'))!r}"
            )
        self.rows = [
            self.model._pairs(rows, None, None, self.base_dir, self.bad)
            for rows in (self.train, self.validation)
        ]
        self.weights, self.before = [], self._measure()

    def on_epoch_end(self, epoch, logs=None):
        """Measures again, and weighs."""
        if (epoch + 1) % self.every:
            return
        now = self._measure()
        gained = self.before[1] - now[1]
        overfit = (now[1] - now[0]) - (self.before[1] - self.before[0])
        weights = blended(gained, overfit)
        self.before = now
        self.weights.append((epoch, weights))
        late_fusion(self.model).loss_weights.assign(weights)

    def _measure(self):
        """Losses on the training and on the validation rows."""
        return [experts_losses(self.model, rows) for rows in self.rows]


def blended(gained, overfit):
    """Weights in proportion to `G / O^2`, of mean 1.

    Args:
        gained: array `(experts,)`, `G`; what is not positive counts as 0.
        overfit: array `(experts,)`, `O`.

    Returns:
        Array `(experts,)`; equal weights if nobody gained.
    """
    weights = np.maximum(gained, 0) / np.square(np.maximum(np.abs(overfit), 1e-3))
    total = weights.sum()
    return weights / total * len(weights) if total else np.ones(len(weights))
