import keras
from keras import ops

from .fusion import masked_mean, presence


@keras.saving.register_keras_serializable(package="keras_mm")
class Imputation(keras.layers.Layer):
    """Predicts the token of an absent modality from those that are present.

    The mean tokens of the modalities that are present go through a Dense layer
    each; from the mean of these, a head for each modality predicts the mean
    token of that modality. In training the heads learn from the modalities that
    are present, by a loss beside the model's own; its gradients do not reach the
    encoders.

    Examples:

    >>> tokens, masks = keras_mm.fusion.Imputation()(tokens, masks)

    Args:
        units: int, length of the shared representation.
        loss_weight: float, weight of the heads' loss: the mean over modalities of
            `sum |predicted - token|^2 / sum |token|^2`.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        training: bool.

    Returns:
        list of tokens and list of masks, of the same shapes. An absent
        modality has one token, in the first place; the others are as before. A
        row without any modality stays without.

    Reference:
        Tran et al. 2017, "Missing Modalities Imputation via Cascaded Residual
        Autoencoder", for learning to reconstruct from the modalities that are
        present.
    """

    def __init__(self, units=64, loss_weight=0.1, **kwargs):
        super().__init__(**kwargs)
        if units < 1 or loss_weight < 0:
            raise ValueError(
                "`units` must be positive and `loss_weight` not negative. "
                f"Received: units={units}, loss_weight={loss_weight}"
            )
        self.units = units
        self.loss_weight = loss_weight

    def build(self, tokens_shape, masks_shape):
        """Creates two Dense layers per modality: in and out."""
        self.inner, self.outer = [], []
        for index, shape in enumerate(tokens_shape):
            inner = keras.layers.Dense(
                self.units,
                activation="tanh",
                dtype=self.dtype_policy,
                name=f"inner_{index}",
            )
            inner.build((None, shape[-1]))
            self.inner.append(inner)
            outer = keras.layers.Dense(
                shape[-1], dtype=self.dtype_policy, name=f"outer_{index}"
            )
            outer.build((None, self.units))
            self.outer.append(outer)

    def call(self, tokens, masks, training=False):
        """Predicts the tokens of absent modalities."""
        means = [
            ops.stop_gradient(masked_mean(token, mask))
            for token, mask in zip(tokens, masks)
        ]
        present = presence(masks)
        hidden = [inner(mean) for inner, mean in zip(self.inner, means)]
        weights = ops.cast(present, hidden[0].dtype)
        tokens_after, masks_after, errors = [], [], []
        for index, (token, mask) in enumerate(zip(tokens, masks)):
            # Never from the modality itself: it would learn to copy.
            others = [k for k in range(len(tokens)) if k != index]
            count = sum((weights[:, k : k + 1] for k in others), weights[:, :1] * 0)
            total = sum(
                (weights[:, k : k + 1] * hidden[k] for k in others), hidden[0] * 0
            )
            predicted = self.outer[index](ops.divide_no_nan(total, count))
            both = weights[:, index : index + 1] * ops.cast(count > 0, weights.dtype)
            errors.append(_relative_error(predicted, means[index], both))
            absent = ops.logical_and(
                ops.logical_not(present[:, index : index + 1]), count > 0
            )
            first = ops.arange(ops.shape(mask)[1]) == 0
            filled_in = ops.logical_and(absent, first[None])
            tokens_after.append(
                ops.where(
                    ops.expand_dims(filled_in, -1),
                    ops.cast(predicted, token.dtype)[:, None],
                    token,
                )
            )
            masks_after.append(ops.logical_or(mask, filled_in))
        if training and self.loss_weight:
            self.add_loss(self.loss_weight * sum(errors) / len(errors))
        return tokens_after, masks_after

    def compute_output_shape(self, tokens_shape, masks_shape):
        """The same shapes."""
        return tokens_shape, masks_shape

    def compute_output_spec(self, tokens, masks, training=False):
        """The same shapes and dtypes."""
        return (
            [keras.KerasTensor(token.shape, self.compute_dtype) for token in tokens],
            [keras.KerasTensor(mask.shape, "bool") for mask in masks],
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "loss_weight": self.loss_weight,
        }


def _relative_error(predicted, token, weight):
    predicted, token, weight = (
        ops.cast(value, "float32") for value in (predicted, token, weight)
    )
    error = ops.sum(weight * ops.square(predicted - token))
    return ops.divide_no_nan(error, ops.sum(weight * ops.square(token)))
