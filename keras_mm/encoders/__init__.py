"""Encoders: small Keras models from one modality's tensors to tokens and mask."""

from .application import Application
from .augmentation import Augmentation
from .average import Average
from .cnn import CNN
from .conv3d import Conv3D
from .custom import Custom
from .dense import Dense
from .embedding import Embedding
from .encoder import Encoder
from .feature_transformer import FeatureTransformer
from .frames import Frames
from .gat import GAT
from .gcn import GCN
from .gru import GRU
from .hub import Hub
from .lstm import LSTM
from .ngrams import NGrams
from .oriented_gradients import OrientedGradients
from .piecewise_linear import PiecewiseLinear
from .pretrained_choice import PRESETS, expanded
from .residual_cnn import ResidualCNN
from .rnn import RNN
from .several import by_column, split_modalities
from .sinusoidal_positions import SinusoidalPositions
from .spectrogram_cnn import SpectrogramCNN
from .tabular import Tabular
from .temporal_cnn import TemporalCNN
from .trained import Trained, is_encoder
from .transformer import Transformer
from .vit import ViT
from .waveform_cnn import WaveformCNN

ENCODERS = {
    "residual_cnn": ResidualCNN,
    "cnn": CNN,
    "vit": ViT,
    "frames": Frames,
    "conv3d": Conv3D,
    "ngrams": NGrams,
    "average": Average,
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "temporal_cnn": TemporalCNN,
    "transformer": Transformer,
    "spectrogram_cnn": SpectrogramCNN,
    "waveform_cnn": WaveformCNN,
    "dense": Dense,
    "embedding": Embedding,
    "feature_transformer": FeatureTransformer,
    "tabular": Tabular,
    "gcn": GCN,
    "gat": GAT,
}


def split(modalities, encoders):
    """Gives each encoder of a list a modality of its own; see `split_modalities`."""
    named = {made: name for name, made in ENCODERS.items()}
    return split_modalities(modalities, encoders, named)


def get(encoder, inputs):
    """Returns the `Encoder` for a name, an object, or the user's own layer.

    Args:
        encoder: string, `Encoder`, layer, model or function; None: the
            inputs' default. `"hub:<preset>"` is `Hub(preset)`,
            `"applications:<name>"` is `Application(name)`.
        inputs: list of the `Input` objects to encode.
    """
    if isinstance(encoder, (list, tuple)):
        raise ValueError(
            "One encoder is needed here, as it is for several columns, or for a model "
            f"that has no fusion. Received: encoder={encoder!r}"
        )
    kinds, column = {value.kind for value in inputs}, type(inputs[0]).__name__
    encoder = encoder or inputs[0].default_encoder
    if isinstance(encoder, str) and encoder.startswith("hub:"):
        encoder = Hub(encoder.removeprefix("hub:"))
    if isinstance(encoder, str) and encoder.startswith("applications:"):
        encoder = Application(encoder.removeprefix("applications:"))
    if isinstance(encoder, str):
        fitting = sorted(
            name for name, made in ENCODERS.items() if kinds <= set(made.reads)
        )
        if encoder not in fitting:
            raise ValueError(
                f"An encoder of {column} must be one of {fitting}, a layer, a "
                f"model or a function. Received: encoder={encoder!r}"
            )
        return ENCODERS[encoder]()
    if isinstance(encoder, Encoder):
        if encoder.reads and not kinds <= set(encoder.reads):
            raise ValueError(
                f"{type(encoder).__name__} does not read {column} columns. "
                f"Received: encoder={encoder!r}"
            )
        return encoder
    if isinstance(encoder, type) or not callable(encoder):
        raise ValueError(
            "An encoder is a name, an object such as keras_mm.encoders.LSTM(64),"
            f" a layer, a model or a function. Received: encoder={encoder!r}"
        )
    return Trained(encoder) if is_encoder(encoder) else Custom(encoder)
