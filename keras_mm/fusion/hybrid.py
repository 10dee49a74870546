import keras
from keras import ops

from .fusion import Fusion, presence
from .gated import Gated
from .late_weighted import LateWeighted


@keras.saving.register_keras_serializable(package="keras_mm")
class Hybrid(LateWeighted):
    """Early and late fusion: each modality predicts, and so do all together.

    One expert more than `LateWeighted` has: it reads what an early fusion makes
    of all modalities, and finds what only their combination tells. The heads of
    single modalities keep every encoder learning, also where another modality
    is easier to learn from. `model.fit` weighs the experts on the validation
    rows; without any, they count equally.

    Examples:

    >>> fusion = keras_mm.fusion.Hybrid(keras_mm.fusion.Gated(units=64))
    >>> model = keras_mm.build_classifier(schema, fusion=fusion)

    Args:
        early: `Fusion` object; None: `Gated()`.
        units: int, number of outputs. Builders set it.
        activation: `"softmax"`, `"sigmoid"` or None. Builders set it.
        hidden_units: int, units of a Dense layer in each expert.
        dropout: float, dropout rate before each expert's last layer.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one a modality.
        masks: list of bool tensors `(batch, length)`.
        return_weights: bool, whether to return how much each modality counts,
            too, by itself and within the early fusion, if that has weights.
        return_experts: bool, whether to return what each expert says, too: the
            modalities, then all together.

    Returns:
        Tensor `(batch, units)` of logits; with `return_weights` also a tensor
        `(batch, modalities)`; with `return_experts` also logits `(batch,
        modalities + 1, units)` and bools `(batch, modalities + 1)`.

    Reference:
        Wang et al. 2020, "What Makes Training Multi-modal Classification Networks
        Hard?" (heads of single modalities beside the fused one).
    """

    needs_validation = False

    def __init__(self, early=None, **kwargs):
        super().__init__(**kwargs)
        early = Gated() if early is None else early
        if isinstance(early, dict):
            early = keras.saving.deserialize_keras_object(early)
        if not isinstance(early, Fusion) or early.units is None:
            raise ValueError(
                "`early` must be a fusion object with `units`, such as "
                f"keras_mm.fusion.Gated(units=64). Received: early={early!r}"
            )
        self.early = early
        self.uses_tokens = early.uses_tokens
        self.weights_kind = early.weights_kind
        if early.weights_kind != "modalities":
            self.weights_kind = None

    def build(self, tokens_shape, masks_shape):
        """Creates the early fusion and the experts."""
        self.early.build(tokens_shape, masks_shape)
        dims = [shape[-1] for shape in tokens_shape]
        self.build_experts([*dims, self.early.units])

    def vectors(self, tokens, masks):
        """The modalities' means, and what the early fusion makes of them."""
        means, present, _ = super().vectors(tokens, masks)
        if self.weights_kind:
            fused, within = self.early(tokens, masks, return_weights=True)
        else:
            fused, within = self.early(tokens, masks), None
        return [*means, fused], presence([*masks, present]), within

    def modality_shares(self, present, within):
        """Each modality's own share, and its part in all together."""
        shares, count = self.shares(present), present.shape[1] - 1
        together = shares[:, count:] * ops.cast(within, shares.dtype)
        return shares[:, :count] + together

    def get_config(self):
        """The constructor's arguments."""
        early = keras.saving.serialize_keras_object(self.early)
        # `build` builds it, for the modalities that there are then.
        early.pop("build_config", None)
        return {**super().get_config(), "early": early}
