import keras
from keras import ops

from .fusion import masked_softmax
from .late_fusion import LateFusion


@keras.saving.register_keras_serializable(package="keras_mm")
class LateWeighted(LateFusion):
    """Each modality predicts by itself; the more accurate ones have more weight.

    `scale * sum_m w_m log p_m`, where the `w_m` are a softmax over the modalities
    that are present: one weight per modality, the same for every row. `model.fit`
    fits weights and scale at its end, on the validation rows, so that overfitted
    experts gain no weight. The scale calibrates
    the probabilities.

    Examples:

    >>> model = keras_mm.build_classifier(schema, fusion="late_weighted")
    >>> history = model.fit(train, validation_data=validation, epochs=1)

    Args:
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
        return_weights: bool, whether to return the weights, too.
        return_experts: bool, whether to return each member's logits, too.

    Returns:
        Tensor `(batch, units)` of logits; with `return_weights` also a tensor
        `(batch, modalities)`; with `return_experts` also logits `(batch,
        modalities, units)` and bools `(batch, modalities)`.

    Reference:
        Kittler et al. 1998, "On Combining Classifiers"; Guo et al. 2017, "On
        Calibration of Modern Neural Networks" (the scale).
    """

    weights_kind = "modalities"
    weighs = True
    needs_validation = True

    def build_experts(self, dims):
        """Creates the experts, and one logit each, and the scale."""
        super().build_experts(dims)
        self.weight_logits = self.add_weight(
            name="weight_logits",
            shape=(len(dims),),
            initializer="zeros",
            trainable=False,
        )
        self.scale = self.add_weight(
            name="scale", shape=(), initializer="ones", trainable=False
        )

    def shares(self, present):
        """A softmax over the experts that are present."""
        logits = ops.cast(self.weight_logits, "float32")[None]
        return masked_softmax(logits, present)

    def combine(self, scores, present):
        """The weighted sum."""
        shares = ops.expand_dims(self.shares(present), -1)
        scale = ops.cast(self.scale, "float32")
        return scale * ops.sum(shares * scores, axis=1)
