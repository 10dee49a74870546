import keras
import numpy as np
from keras import ops

from .crossentropy import Crossentropy


@keras.saving.register_keras_serializable(package="keras_mm")
class LogitAdjustedCrossentropy(Crossentropy):
    """Cross-entropy for classes of unequal size: `log prior` is added to the logits.

    `-log softmax(z + tau log prior)_c` of the right class `c`. The model's own
    probabilities, `softmax(z)`, are then those of classes that are equally frequent: its
    mean recall over the classes is higher, its accuracy may be lower. With `tau=1` it is
    the balanced softmax.

    Examples:

    >>> loss = keras_mm.heads.LogitAdjustedCrossentropy([0.75, 0.25])
    >>> round(float(loss([1], [[0.5, 0.5]])), 4)
    1.3863

    Args:
        priors: list of floats, the relative frequency of each class.
        tau: float, strength of the adjustment.
        label_smoothing: float, part of the label that is spread over all classes.

    Call arguments:
        y_true: integers `(batch,)` or `(batch, 1)`, or `(batch, classes)`.
        y_pred: probabilities `(batch, classes)`.

    Reference:
        Menon et al. 2021, "Long-tail Learning via Logit Adjustment"; Ren et al. 2020,
        "Balanced Meta-Softmax for Long-Tailed Visual Recognition".
    """

    def __init__(self, priors, tau=1.0, name="logit_adjusted_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        if min(priors) <= 0:
            raise ValueError(f"`priors` must be positive. Received: priors={priors}")
        self.priors = [float(prior) for prior in priors]
        self.tau = tau

    def call(self, y_true, y_pred):
        """One loss per row."""
        y_pred = ops.convert_to_tensor(y_pred)
        # Probabilities are logits up to a constant. The floor is far below that of
        # `keras.config.epsilon()`: what is clipped has no gradient.
        logits = ops.log(ops.maximum(y_pred, 1e-37))
        shift = self.tau * np.log(np.asarray(self.priors))
        logits += ops.convert_to_tensor(shift, logits.dtype)
        labels = self.smoothed(y_true, y_pred)
        return ops.categorical_crossentropy(labels, logits, from_logits=True)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "priors": self.priors, "tau": self.tau}
