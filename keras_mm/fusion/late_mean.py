import keras
from keras import ops

from .late_fusion import LateFusion


@keras.saving.register_keras_serializable(package="keras_mm")
class LateMean(LateFusion):
    """Each modality predicts by itself; the mean of the predictions is returned.

    The mean of probabilities is robust against an expert that is confidently
    wrong; the mean of logits lets the confident ones decide. Interactions between
    modalities are not modelled.

    Examples:

    >>> fusion = keras_mm.fusion.LateMean(of="logits")
    >>> model = keras_mm.build_classifier(schema, fusion=fusion)

    Args:
        of: `"probabilities"` or `"logits"`; numbers have one mean only.
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
        return_weights: bool, whether to return each modality's share, too.
        return_experts: bool, whether to return each member's logits, too.

    Returns:
        Tensor `(batch, units)` of logits; with `return_weights` also a tensor
        `(batch, modalities)`; with `return_experts` also logits `(batch,
        modalities, units)` and bools `(batch, modalities)`.

    Reference:
        Kittler et al. 1998, "On Combining Classifiers": the sum rule, and with
        logits the product rule.
    """

    weights_kind = "modalities"

    def __init__(self, of="probabilities", **kwargs):
        super().__init__(**kwargs)
        if of not in ("probabilities", "logits"):
            raise ValueError(
                f"`of` must be 'probabilities' or 'logits'. Received: of={of!r}"
            )
        self.of = of

    def combine(self, scores, present):
        """The mean over the experts that are present."""
        shares = ops.expand_dims(self.shares(present), -1)
        if self.of == "logits" or self.activation is None:
            return ops.sum(shares * scores, axis=1)
        if self.activation == "softmax":
            return ops.log(ops.sum(shares * ops.exp(scores), axis=1) + 1e-12)
        yes = ops.sum(shares * ops.sigmoid(scores), axis=1)
        no = ops.sum(shares * ops.sigmoid(-scores), axis=1)
        return ops.log(yes + 1e-12) - ops.log(no + 1e-12)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "of": self.of}
