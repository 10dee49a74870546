"""Every input with every encoder that reads it: one row each.

A row is `(encoder, input, cells)`, or `(encoder, input, cells, longer)`:
functions that make a small encoder, an input that has seen nothing, a list of
that many raw cells of a table, all different, and, where rows are padded, the
same input with more room.
"""

import numpy as np

import keras_mm
from keras_mm import encoders

from ..helpers import encode_picture, random_pixels

WORDS = ["red", "green", "blue", "tall", "small", "bird", "tree", "house"]


def image():
    return keras_mm.Image((16, 16), augmentation=None)


def pictures(rows):
    return [encode_picture(random_pixels(row)) for row in range(rows)]


def text(sequence_length=5, tokens=None):
    return keras_mm.Text(
        sequence_length, tokens=tokens, standardize="lower_and_strip_accents"
    )


def texts(rows):
    random = np.random.default_rng(0)
    return [" ".join(random.permutation(WORDS)[: 2 + row % 3]) for row in range(rows)]


def numbers(rows):
    return np.random.default_rng(0).normal(3.0, 2.0, rows).tolist()


def categories(rows):
    return [WORDS[row % len(WORDS)] for row in range(rows)]


CASES = {
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
}
