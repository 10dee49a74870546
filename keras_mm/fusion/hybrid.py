import keras
from keras import ops

from .fusion import Fusion, presence
from .gated import Gated
from .late_weighted import LateWeighted


@keras.saving.register_keras_serializable(package="keras_mm")
class Hybrid(LateWeighted):
    """Early and late fusion: each modality predicts, and so do all together.

    It has one expert more than `LateWeighted`: this one reads the vector of an
    early fusion of all modalities, and learns their interactions. The heads of
    single modalities keep every encoder learning, also where another modality
    is easier to learn from. `model.fit` weighs the experts on the validation
    rows; without any, they count equally.

    Examples:

    >>> fusion = keras_mm.fusion.Hybrid(keras_mm.fusion.Gated(units=64))
    >>> model = keras_mm.build_classifier(schema, fusion=fusion)

    With `modulation`, an encoder that is ahead of the others learns more slowly:
    a modality's score is the probability that its expert gave to the true class,
    the mean of the batch. Where it is `r > 1` times that of the others,
    the gradient of its encoder is scaled by `1 - tanh(modulation * r)` in the
    step that follows (the paper: in the same step, and with noise added, which
    is left out here). Optimizers such as Adam even out lasting differences of
    scale; with SGD it shows most.

    Args:
        early: `Fusion` object; None: `Gated()`.
        modulation: float, 0 for none; for classes.
        units: int, number of outputs. Builders set it.
        activation: `"softmax"`, `"sigmoid"` or None. Builders set it.
        hidden_units: int or list of ints, units of hidden layers in each expert.
        dropout: float, dropout rate before each expert's last layer.
        members: int, networks in each expert, see `LateFusion`.
        linear: list of ints, places of modalities without hidden layers.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_weights: bool, whether to return each modality's weight, too, by
            itself and within the early fusion, if that has weights.
        return_tokens: bool, whether to return the early fusion's tokens, too, if
            it has some.
        return_experts: bool, whether to return each expert's logits, too: those
            of the modalities, then that of the early fusion.

    Returns:
        Tensor `(batch, units)` of logits; with `return_weights` also a tensor
        `(batch, modalities)`; with `return_tokens` also the early fusion's tokens
        and their mask; with `return_experts` also logits `(batch, (modalities + 1) *
        members, units)` and bools `(batch, (modalities + 1) * members)`.

    Reference:
        Wang et al. 2020, "What Makes Training Multi-modal Classification Networks
        Hard?" (heads of single modalities beside the fused one); Peng et al.
        2022, "Balanced Multimodal Learning via On-the-fly Gradient Modulation".
    """

    needs_validation = False

    def __init__(self, early=None, modulation=0.0, **kwargs):
        super().__init__(**kwargs)
        if modulation < 0:
            raise ValueError(
                f"`modulation` must not be negative. Received: modulation={modulation}"
            )
        self.modulation = modulation
        early = Gated() if early is None else early
        if isinstance(early, dict):
            early = keras.saving.deserialize_keras_object(early)
        if not isinstance(early, Fusion):
            raise ValueError(
                "`early` must be a fusion object, such as "
                f"keras_mm.fusion.Gated(units=64). Received: early={early!r}"
            )
        self.early = early
        self.uses_tokens = early.uses_tokens
        self.tokens_kind = early.tokens_kind
        self.weights_kind = early.weights_kind
        if early.weights_kind != "modalities":
            self.weights_kind = None

    def build(self, tokens_shape, masks_shape):
        """Creates the early fusion and the experts."""
        self.early.build(tokens_shape, masks_shape)
        dims = [shape[-1] for shape in tokens_shape]
        early = self.early.compute_output_shape(tokens_shape, masks_shape)
        self.build_experts([*dims, early[-1]])
        if self.modulation:
            self.gradient_scales = self.add_weight(
                name="gradient_scales",
                shape=(len(dims),),
                initializer="ones",
                trainable=False,
            )

    def vectors(self, tokens, masks):
        """The modalities' means, and the early fusion's vector."""
        if self.modulation:
            # A copy: `observe` sets the next step's scales before this step's
            # gradients are taken.
            scales = ops.copy(self.gradient_scales)
            tokens = [
                _scaled_gradient(token, scales[index])
                for index, token in enumerate(tokens)
            ]
        means, present, _ = super().vectors(tokens, masks)
        early = self.early.fuse(
            tokens, masks, return_weights=self.weights_kind is not None
        )
        return [*means, early.vector], presence([*masks, present]), early

    def observe(self, logits, present, y_true):
        """Sets the scales of the next step's gradients from this step's predictions."""
        if not self.modulation or self.activation != "softmax":
            return
        probabilities = ops.exp(self.scores(logits)[:, :-1])
        present = self.present_experts(present)
        if len(y_true.shape) < 2 or y_true.shape[-1] == 1:
            index = ops.cast(ops.reshape(y_true, (-1,)), "int32")
            y_true = ops.one_hot(index, self.units)
        y_true = ops.cast(y_true, probabilities.dtype)[:, None]
        right = ops.sum(y_true * probabilities, axis=-1)
        # A row without a label, -1, is ignored.
        counted = ops.cast(present[:, :-1], right.dtype) * ops.sum(y_true, axis=-1)
        scores = ops.divide_no_nan(
            ops.sum(counted * right, axis=0), ops.sum(counted, axis=0)
        )
        others = (ops.sum(scores) - scores) / max(scores.shape[0] - 1, 1)
        ratio = ops.divide_no_nan(scores, others)
        slowed = 1.0 - ops.tanh(self.modulation * ratio)
        scales = ops.where(ratio > 1, slowed, ops.ones_like(ratio))
        self.gradient_scales.assign(ops.stop_gradient(scales))

    def modality_shares(self, present, early):
        """Each modality's own weight, plus its weight within the early fusion."""
        shares, count = self.shares(present), present.shape[1] - 1
        within = shares[:, count:] * ops.cast(early.weights, shares.dtype)
        return shares[:, :count] + within

    def tokens_spec(self, tokens):
        """Symbolic tokens of the early fusion, and their mask."""
        return self.early.tokens_spec(tokens)

    def get_config(self):
        """The constructor's arguments."""
        early = keras.saving.serialize_keras_object(self.early)
        # `build` builds it, for the modalities of the new model.
        early.pop("build_config", None)
        return {
            **super().get_config(),
            "early": early,
            "modulation": self.modulation,
        }


def _scaled_gradient(x, scale):
    """`x` itself, whose gradient is scaled."""
    scale = ops.cast(scale, x.dtype)
    # Forwards exactly x: the second part is 0.
    return ops.stop_gradient(x) + scale * (x - ops.stop_gradient(x))
