"""The builders: a schema in, a compiled Keras model out."""

from .autoencoder import Autoencoder, build_autoencoder
from .classifier import build_classifier
from .model import MultimodalModel
from .multitask import build_multitask
from .regressor import build_regressor
from .retriever import Retriever, build_retriever
