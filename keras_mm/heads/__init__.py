"""Heads: from the fused vector to predictions of a target, with loss and metrics."""

from .balanced_crossentropy import BalancedCrossentropy
from .class_accuracy import ClassAccuracy
from .crossentropy import Crossentropy
from .dense import Dense
from .focal_crossentropy import FocalCrossentropy
from .head import Head
from .info_nce import InfoNCE
from .logit_adjusted_crossentropy import LogitAdjustedCrossentropy
from .masked_loss import MaskedLoss
from .masked_mean_squared_error import MaskedMeanSquaredError
from .masked_metric import MaskedMetric
from .number_scale import NumberScale
from .scaled_mean_squared_error import ScaledMeanSquaredError
from .semi_hard_triplet import SemiHardTriplet
from .sigmoid_contrastive import SigmoidContrastive
from .similarity import Similarity
from .standardized_mean_squared_error import StandardizedMeanSquaredError
from .weighted_mean import WeightedMean

HEADS = {"dense": Dense}


def get(head, target, name="target"):
    """Returns a head for a target, by name or object.

    Args:
        head: name in `HEADS`, `Head`, or None for the target's default.
        target: `keras_mm.targets.Target`.
        name: string, the target column's name, for messages.
    """
    head = target.default_head if head is None else head
    if isinstance(head, str):
        if head not in HEADS:
            raise ValueError(
                f"A head must be one of {sorted(HEADS)}, or an object of a "
                f"keras_mm.heads.Head. Received: heads[{name!r}]={head!r}"
            )
        head = HEADS[head]()
    if not isinstance(head, Head) or target.kind not in head.reads:
        raise ValueError(
            f"Target {name!r} is of the kind {target.kind!r}, which this head does not "
            f"predict. Received: heads[{name!r}]={head!r}"
        )
    return head
