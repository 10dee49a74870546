"""A vector -> named predictions, with the loss and metrics that belong to them."""

from .crossentropy import Crossentropy
from .head import Head
from .masked_loss import MaskedLoss
from .masked_mean_squared_error import MaskedMeanSquaredError
from .masked_metric import MaskedMetric
