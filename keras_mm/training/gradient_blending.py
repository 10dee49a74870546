import keras
import numpy as np

from ..deprecated import renamed
from ..models.late import experts_losses


class GradientBlending(keras.callbacks.Callback):
    """Weights the losses of a late or hybrid fusion's experts by generalisation.

    Every few epochs it measures, for each expert, the decrease of the validation loss
    since the last measurement (`G`) and the increase of the gap to the training loss
    (`O`). The weight of its loss is proportional to `G / O^2`; the weights' mean is 1.
    So a modality that overfits does not dominate the others.

    Examples:

    >>> model = keras_mm.build_classifier(schema, fusion="hybrid")
    >>> blending = keras_mm.training.GradientBlending(train, validation, every=1)
    >>> history = model.fit(train, epochs=2, callbacks=[blending])

    Args:
        train: rows with the target to measure on, such as some of the training rows.
        validation: rows with the target that are not trained on.
        every: int, epochs between two measurements.
        base_dir: as in `model.fit`.
        on_unreadable: as in `model.fit`.

    Attributes:
        weights: list of pairs of an epoch and the weights after it, one per expert:
            the modalities, then (hybrid) all together; for several targets a dict of
            these.

    Raises:
        ValueError: at the start of training, if the model has no experts.

    Reference:
        Wang et al. 2020, "What Makes Training Multi-modal Classification Networks
        Hard?", the online variant.
    """

    @renamed(bad="on_unreadable")
    def __init__(
        self, train, validation, every=5, base_dir=None, on_unreadable="error"
    ):
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be positive. Received: every={every}")
        self.train, self.validation, self.every = train, validation, every
        self.base_dir, self.on_unreadable = base_dir, on_unreadable
        self.weights = []

    def on_train_begin(self, logs=None):
        """Measures the experts' initial losses."""
        if not self.model.late_fusions():
            raise ValueError(
                "Gradient blending weighs the losses of experts: build the model "
                "with fusion='hybrid' or a late one. "
                f"Received: fusion={next(iter(self.model.fusion_layers().values()))}"
            )
        self.rows = [
            self.model._pairs(rows, None, None, self.base_dir, self.on_unreadable)
            for rows in (self.train, self.validation)
        ]
        self.weights, self.before = [], self._measure()

    def on_epoch_end(self, epoch, logs=None):
        """Measures the losses again, and sets the weights."""
        if (epoch + 1) % self.every:
            return
        now, weights = self._measure(), {}
        for name, layer in self.model.late_fusions().items():
            (train, validation), (train_then, then) = (
                [losses[name] for losses in measured] for measured in (now, self.before)
            )
            weights[name] = blended(
                then - validation, (validation - train) - (then - train_then)
            )
            layer.loss_weights.assign(weights[name])
        self.before = now
        self.weights.append((epoch, self.model.schema.without_dict(weights)))

    def _measure(self):
        """Losses on the training and on the validation rows."""
        return [experts_losses(self.model, rows) for rows in self.rows]


def blended(gained, overfit):
    """Weights in proportion to `G / O^2`, of mean 1.

    Args:
        gained: array `(experts,)`, `G`; negative values count as 0.
        overfit: array `(experts,)`, `O`.

    Returns:
        Array `(experts,)`; equal weights if no expert gained.
    """
    weights = np.maximum(gained, 0) / np.square(np.maximum(np.abs(overfit), 1e-3))
    total = weights.sum()
    return weights / total * len(weights) if total else np.ones(len(weights))
