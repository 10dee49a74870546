"""A vector -> named predictions, with the loss and metrics that belong to them."""

from .class_accuracy import ClassAccuracy
from .crossentropy import Crossentropy
from .head import Head
from .info_nce import InfoNCE
from .masked_loss import MaskedLoss
from .masked_mean_squared_error import MaskedMeanSquaredError
from .masked_metric import MaskedMetric
from .semi_hard_triplet import SemiHardTriplet
from .sigmoid_contrastive import SigmoidContrastive
from .similarity import Similarity
from .standardized_mean_squared_error import StandardizedMeanSquaredError
