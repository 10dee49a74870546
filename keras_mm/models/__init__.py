"""The builders: a schema in, a compiled Keras model out."""

from .autoencoder import Autoencoder, build_autoencoder
from .build_model import build_model
from .classifier import build_classifier
from .ensemble import Ensemble
from .ensemble_report import EnsembleReport
from .hard_negatives import hard_negatives
from .model import MultimodalModel
from .multitask import build_multitask
from .regressor import build_regressor
from .reranker import build_reranker
from .reranker_model import Reranker
from .retriever import build_retriever
from .retriever_model import Retriever
