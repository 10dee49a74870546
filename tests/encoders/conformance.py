"""Every input with every encoder that reads it: one row each.

A row is `(encoder, input, cells)`, or `(encoder, input, cells, longer)`:
functions that make a small encoder, an input that has seen nothing, a list of
that many raw cells of a table, all different, and, where rows are padded, the
same input with more room.
"""

import functools
import pathlib
import tempfile

import numpy as np
import pytest

import keras_mm
from keras_mm import encoders

from ..helpers import encode_picture, random_pixels

WORDS = ["red", "green", "blue", "tall", "small", "bird", "tree", "house"]


def image():
    return keras_mm.Image((16, 16), augmentation=None)


def pictures(rows):
    return [encode_picture(random_pixels(row)) for row in range(rows)]


def several_images(num_images=3):
    return keras_mm.Image((16, 16), augmentation=None, num_images=num_images)


def lists_of_pictures(rows):
    cells = pictures(9 * rows)
    return [cells[9 * row : 9 * row + 1 + row % 3] for row in range(rows)]


def text(sequence_length=5, tokens=None):
    return keras_mm.Text(
        sequence_length, tokens=tokens, standardize="lower_and_strip_accents"
    )


def texts(rows):
    random = np.random.default_rng(0)
    return [" ".join(random.permutation(WORDS)[: 2 + row % 3]) for row in range(rows)]


def plain_words(rows):
    """Of words that a piece of the tiny BERT stands for, each."""
    words = ["red", "green", "bird"]
    return [" ".join(words[: 1 + row % 3] + words[: row // 3]) for row in range(rows)]


def several_texts(num_texts=3):
    return keras_mm.Text(5, num_texts=num_texts)


def lists_of_texts(rows):
    cells = texts(3 * rows)
    return [cells[3 * row : 3 * row + 1 + row % 3] for row in range(rows)]


def sequence(length=6):
    return keras_mm.Sequence(length, channels=2)


def signals(rows):
    """Of several lengths; one has a gap in a channel, one a step without any."""
    random = np.random.default_rng(0)
    cells = [random.normal(size=(2 + row % 5, 2)) for row in range(rows)]
    cells[0][1, 0] = np.nan
    cells[3][2] = np.nan
    return cells


def audio(features="log_mel"):
    return keras_mm.Audio(0.1, 8000, features, num_mels=16, num_mfccs=8)


def sounds(rows):
    random = np.random.default_rng(0)
    return [audio().sample(random) for _ in range(rows)]


def video(num_frames=4):
    return keras_mm.Video(num_frames, (10, 10))


def clips(rows):
    frames = pictures(9 * rows)
    return [frames[9 * row : 9 * row + 1 + row % 4] for row in range(rows)]


def graphs(rows, edge_features=0):
    random = np.random.default_rng(0)
    cells = []
    for _ in range(rows):
        nodes = int(random.integers(2, 6))
        edges = random.integers(0, nodes, (2 * nodes, 2))
        cell = {"nodes": random.normal(size=(nodes, 2)), "edges": edges}
        if edge_features:
            cell["edge_features"] = random.normal(size=(len(edges), edge_features))
        cells.append(cell)
    return cells


def dates(rows):
    return [f"2024-{1 + row % 12:02d}-03T{row % 24:02d}:00" for row in range(rows)]


def vectors(rows):
    return list(np.random.default_rng(0).normal(size=(rows, 3)))


def numbers(rows):
    return np.random.default_rng(0).normal(3.0, 2.0, rows).tolist()


def categories(rows):
    return [WORDS[row % len(WORDS)] for row in range(rows)]


# Kept until the process ends: encoders read them when they are built.
PRESETS = tempfile.TemporaryDirectory()


@functools.cache
def preset(name):
    """Folder of a tiny backbone of KerasHub with random weights."""
    pytest.importorskip("keras_hub")
    from . import hub_backbones

    folder = str(pathlib.Path(PRESETS.name) / name)
    getattr(hub_backbones, name)(folder)
    return folder


def hub(name):
    return encoders.Hub(preset(name), trainable=True)


CASES = {
    "several_images_cnn": (
        lambda: encoders.CNN(4),
        several_images,
        lists_of_pictures,
        lambda: several_images(4),
    ),
    "several_texts_lstm": (
        lambda: encoders.LSTM(6, 5),
        several_texts,
        lists_of_texts,
        lambda: several_texts(4),
    ),
    "several_texts_ngrams": (
        lambda: encoders.NGrams(6),
        several_texts,
        lists_of_texts,
        lambda: several_texts(4),
    ),
    "image_cnn": (lambda: encoders.CNN(4), image, pictures),
    "image_residual_cnn": (
        lambda: encoders.ResidualCNN((4,), units=6),
        image,
        pictures,
    ),
    "text_ngrams": (lambda: encoders.NGrams(6), text, texts),
    "text_lstm": (lambda: encoders.LSTM(6, 5), text, texts, lambda: text(9)),
    "text_lstm_bidirectional": (
        lambda: encoders.LSTM(6, 5, bidirectional=True),
        text,
        texts,
        lambda: text(9),
    ),
    "text_characters": (
        lambda: encoders.LSTM(6, 5),
        lambda: text(9, "characters"),
        texts,
    ),
    "text_word_pieces": (
        lambda: encoders.LSTM(6, 5),
        lambda: text(9, "word_pieces"),
        texts,
    ),
    "number_dense": (lambda: encoders.Dense(6), keras_mm.Number, numbers),
    "category_embedding": (
        lambda: encoders.Embedding(6),
        keras_mm.Category,
        categories,
    ),
    "image_vit": (
        lambda: encoders.ViT(8, units=8, num_blocks=1, num_heads=2),
        image,
        pictures,
    ),
    "text_average": (lambda: encoders.Average(6), text, texts, lambda: text(9)),
    "text_rnn": (lambda: encoders.RNN(6, 5), text, texts, lambda: text(9)),
    "text_gru": (
        lambda: encoders.GRU(6, 5, bidirectional=True),
        text,
        texts,
        lambda: text(9),
    ),
    "text_temporal_cnn": (
        lambda: encoders.TemporalCNN((6, 6), 3, 5),
        text,
        texts,
        lambda: text(9),
    ),
    "text_transformer": (
        lambda: encoders.Transformer(8, 1, 2),
        text,
        texts,
        lambda: text(9),
    ),
    "sequence_average": (
        lambda: encoders.Average(6),
        sequence,
        signals,
        lambda: sequence(9),
    ),
    "sequence_rnn": (lambda: encoders.RNN(6), sequence, signals, lambda: sequence(9)),
    "sequence_lstm": (
        lambda: encoders.LSTM(6, bidirectional=True),
        sequence,
        signals,
        lambda: sequence(9),
    ),
    "sequence_gru": (lambda: encoders.GRU(6), sequence, signals, lambda: sequence(9)),
    "sequence_temporal_cnn": (
        lambda: encoders.TemporalCNN((6, 6), 3),
        sequence,
        signals,
        lambda: sequence(9),
    ),
    "sequence_transformer": (
        lambda: encoders.Transformer(8, 1, 2),
        sequence,
        signals,
        lambda: sequence(9),
    ),
    "log_mel_spectrogram_cnn": (
        lambda: encoders.SpectrogramCNN((4, 6), units=8),
        audio,
        sounds,
    ),
    "mfcc_spectrogram_cnn": (
        lambda: encoders.SpectrogramCNN((4, 6), units=8),
        lambda: audio("mfcc"),
        sounds,
    ),
    "waveform_cnn": (
        lambda: encoders.WaveformCNN((4, 6), units=8),
        lambda: audio("waveform"),
        sounds,
    ),
    "video_frames": (lambda: encoders.Frames(units=8), video, clips, lambda: video(6)),
    "video_frames_lstm": (
        lambda: encoders.Frames(temporal="lstm", units=8),
        video,
        clips,
        lambda: video(6),
    ),
    "video_frames_gru": (
        lambda: encoders.Frames(encoders.CNN(3), temporal="gru", units=8),
        video,
        clips,
        lambda: video(6),
    ),
    "video_frames_transformer": (
        lambda: encoders.Frames(temporal="transformer", units=8),
        video,
        clips,
    ),
    "video_conv3d": (lambda: encoders.Conv3D((4, 6)), video, clips),
    "graph_gcn": (
        lambda: encoders.GCN(8, num_layers=2),
        lambda: keras_mm.Graph(6, 2),
        graphs,
        lambda: keras_mm.Graph(8, 2),
    ),
    "graph_gat": (
        lambda: encoders.GAT(8, num_layers=2, num_heads=2),
        lambda: keras_mm.Graph(6, 2, edge_features=2),
        lambda rows: graphs(rows, 2),
        lambda: keras_mm.Graph(8, 2, edge_features=2),
    ),
    "date_dense": (lambda: encoders.Dense(8), keras_mm.Date, dates),
    "vector_dense": (lambda: encoders.Dense(8), lambda: keras_mm.Vector(3), vectors),
    "number_feature_transformer": (
        lambda: encoders.FeatureTransformer(8, 1, 2),
        keras_mm.Number,
        numbers,
    ),
    "date_feature_transformer": (
        lambda: encoders.FeatureTransformer(8, 1, 2),
        keras_mm.Date,
        dates,
    ),
    "number_tabular": (
        lambda: encoders.Tabular(4, 8),
        lambda: keras_mm.Number(scale="quantile"),
        numbers,
    ),
    "date_tabular": (lambda: encoders.Tabular(4, 8), keras_mm.Date, dates),
    "category_tabular": (
        lambda: encoders.Tabular(4, 8),
        keras_mm.Category,
        categories,
    ),
    "category_feature_transformer": (
        lambda: encoders.FeatureTransformer(8, 1, 2),
        keras_mm.Category,
        categories,
    ),
    "image_application": (
        lambda: encoders.Application("VGG16", weights=None, trainable=True),
        lambda: keras_mm.Image((32, 32), augmentation=None),
        pictures,
    ),
    "image_hub_resnet": (lambda: hub("resnet"), image, pictures),
    "image_hub_vit": (lambda: hub("vit"), image, pictures),
    "text_hub_bert": (
        lambda: hub("bert"),
        lambda: text(7),
        plain_words,
        lambda: text(9),
    ),
    "text_hub_roberta": (
        lambda: hub("roberta"),
        lambda: text(30),
        texts,
        lambda: text(34),
    ),
    "audio_hub_whisper": (
        lambda: hub("whisper"),
        audio,
        sounds,
    ),
    "audio_hub_moonshine": (lambda: hub("moonshine"), audio, sounds),
}

# One case for each kind of layer: what jax and torch run in the gate.
ON_BACKENDS = [
    "several_images_cnn",
    "image_residual_cnn",
    "image_vit",
    "text_ngrams",
    "text_lstm",
    "category_embedding",
    "sequence_average",
    "sequence_rnn",
    "sequence_gru",
    "sequence_temporal_cnn",
    "sequence_transformer",
    "log_mel_spectrogram_cnn",
    "waveform_cnn",
    "video_frames_lstm",
    "video_conv3d",
    "graph_gcn",
    "graph_gat",
    "date_dense",
    "number_feature_transformer",
    "number_tabular",
]
