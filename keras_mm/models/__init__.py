"""The builders: a schema in, a compiled Keras model out."""

from .autoencoder import Autoencoder, build_autoencoder
from .classifier import build_classifier
from .model import MultimodalModel
from .regressor import build_regressor
