import keras
from keras import ops

from .late_fusion import LateFusion


@keras.saving.register_keras_serializable(package="keras_mm")
class Stacking(LateFusion):
    """Each modality predicts by itself; a linear model reads all predictions.

    `sum_m log p_m W_m + b` for classes, and the same of labels' logits and of
    numbers. `model.fit` first predicts every training row by models that were
    trained without it (`folds` times), fits `W` and `b` to those, and then
    trains on all rows: so `W` reflects how reliable each modality is on unseen
    rows, class by class. It takes `folds + 1` times as long.

    Examples:

    >>> fusion = keras_mm.fusion.Stacking(folds=3)
    >>> model = keras_mm.build_classifier(schema, fusion=fusion)

    Args:
        folds: int, at least 2, parts of the training rows.
        units: int, number of outputs. Builders set it.
        activation: `"softmax"`, `"sigmoid"` or None. Builders set it.
        hidden_units: int or list of ints, units of hidden layers in each modality's
            head.
        dropout: float, dropout rate before each head's last layer.
        members: int, networks in each modality's head, see `LateFusion`.
        linear: list of ints, places of modalities without hidden layers.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_experts: bool, whether to return each member's logits, too.

    Returns:
        Tensor `(batch, units)` of logits; with `return_experts` also logits
        `(batch, modalities, units)` and bools `(batch, modalities)`.

    Reference:
        Wolpert 1992, "Stacked Generalization"; Breiman 1996, "Stacked
        Regressions".
    """

    out_of_fold = True

    def __init__(self, folds=5, **kwargs):
        super().__init__(**kwargs)
        if folds < 2:
            raise ValueError(f"`folds` must be at least 2. Received: folds={folds}")
        self.folds = folds

    def build_experts(self, dims):
        """Creates the experts, and `W` and `b`: at first, their mean."""
        super().build_experts(dims)
        count = len(dims)

        def mean(shape, dtype=None):
            eye = ops.eye(self.units, dtype=dtype) / count
            return ops.stack([eye] * count)

        self.kernel = self.add_weight(
            name="kernel",
            shape=(count, self.units, self.units),
            initializer=mean,
            trainable=False,
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.units,), initializer="zeros", trainable=False
        )

    def features(self, scores, present):
        """The linear model's features; those of absent experts are 0."""
        if self.activation == "softmax":
            # log p of many classes is far from 0 for all but one of them.
            scores = scores - ops.mean(scores, axis=-1, keepdims=True)
        present = ops.cast(ops.expand_dims(present, -1), scores.dtype)
        return scores * present

    def combine(self, scores, present):
        """The linear model."""
        x = self.features(scores, present)
        kernel, bias = (ops.cast(value, x.dtype) for value in (self.kernel, self.bias))
        return ops.einsum("bmi,mio->bo", x, kernel) + bias

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "folds": self.folds}
