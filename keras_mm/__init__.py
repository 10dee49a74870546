"""Multimodal deep learning with Keras: from a table to a served model."""

from . import quiet  # isort: skip, before TensorFlow is imported
from . import (
    data,
    encoders,
    evaluation,
    fusion,
    heads,
    inputs,
    models,
    objectives,
    serving,
    targets,
    training,
)
from .data import Schema, Tensors, infer_schema
from .inputs import (
    Audio,
    Category,
    Date,
    Graph,
    Image,
    Number,
    Sequence,
    Text,
    Vector,
    Video,
)
from .models import (
    MultimodalModel,
    build_autoencoder,
    build_classifier,
    build_model,
    build_multitask,
    build_regressor,
    build_reranker,
    build_retriever,
)
from .serving import SearchIndex, export, load_exported
from .targets import ClassLabel, MultiLabel
from .training import fit_ensemble
from .version import __version__
