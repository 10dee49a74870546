"""Test accuracy of the picture encoders on Fashion-MNIST, trained from scratch.

    apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist_*.deb .
    FASHION_MNIST=usr/share/datasets/fashion-mnist python benchmarks/fashion_mnist.py [--folds 5]

Ten classes of clothes, 28 x 28 grey pixels (Xiao et al. 2017). Without
FASHION_MNIST, Keras downloads it. Each model trains for `--minutes` at most on
60,000 rows, and is tested on the other 10,000: the published split, or with
`--folds` disjoint folds of all 70,000. Logistic regression on the pixels of the
same rows is the rival. Pictures are not augmented but mirrored: a shoe may look
the other way.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import gzip
import time

import keras
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import keras_mm
from keras_mm.data.folds import folds

NAMES = (
    "t-shirt trouser pullover dress coat sandal shirt sneaker bag ankle_boot"
).split()
ENCODERS = {
    "residual_cnn": "residual_cnn",
    "cnn": "cnn",
    "vit": keras_mm.encoders.ViT(patch_size=4),
}


def fashion_mnist():
    """Train and test tables of the columns `x` and `label`."""
    folder = os.environ.get("FASHION_MNIST")
    if folder:
        parts = [_read(folder, part) for part in ("train", "t10k")]
    else:
        parts = keras.datasets.fashion_mnist.load_data()
    return [
        pd.DataFrame({"x": [*pixels], "label": np.array(NAMES)[labels]})
        for pixels, labels in parts
    ]


def _read(folder, part):
    with gzip.open(f"{folder}/{part}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), "uint8", offset=16).reshape(-1, 28, 28)
    with gzip.open(f"{folder}/{part}-labels-idx1-ubyte.gz") as file:
        return pixels, np.frombuffer(file.read(), "uint8", offset=8)


class Until(keras.callbacks.Callback):
    """Stops after the epoch in which the time is over."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def on_train_begin(self, logs=None):
        self.started = time.time()

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = time.time() - self.started > self.seconds


def rival(train, test):
    """Accuracy of logistic regression on the pixels."""
    pixels = [
        np.stack(part["x"]).reshape(len(part), -1) / 255 for part in (train, test)
    ]
    model = LogisticRegression(max_iter=100).fit(pixels[0], train["label"])
    return model.score(pixels[1], test["label"])


def score(train, test, encoder, options, seed):
    """Accuracy, number of weights, and epochs that the time was enough for."""
    # As it was measured: the other two had none.
    flip = keras.layers.RandomFlip("horizontal") if encoder == "residual_cnn" else None
    value = keras_mm.Image((28, 28), augmentation=flip)
    schema = keras_mm.Schema({"x": value}, {"label": keras_mm.ClassLabel()})
    model = keras_mm.build_classifier(
        schema.adapt(train), encoders={"x": encoder}, seed=seed
    )
    history = model.fit(
        train,
        epochs=options.epochs,
        batch_size=128,
        verbose=0,
        callbacks=[Until(60 * options.minutes)],
    )
    _, accuracy = model.evaluate(test, batch_size=256, verbose=0)
    keras.backend.clear_session()
    return accuracy, model.count_params(), len(history.epoch)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folds", type=int, help="instead of the published split")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--encoders", nargs="*", default=list(ENCODERS))
    options = parser.parse_args()
    splits = [fashion_mnist()]
    if options.folds:
        table = pd.concat(splits[0], ignore_index=True)
        fold = folds(table, options.folds, stratify="label")
        splits = [
            [table[rows].reset_index(drop=True) for rows in (fold != k, fold == k)]
            for k in range(options.folds)
        ]
    found = [rival(*split) for split in splits]
    print(
        f"logistic regression {np.mean(found):.4f} +- {np.std(found):.4f}", flush=True
    )
    for name in options.encoders:
        found = [
            score(*split, ENCODERS[name], options, seed)
            for seed, split in enumerate(splits)
        ]
        accuracy, weights, epochs = zip(*found)
        print(
            f"{name} {np.mean(accuracy):.4f} +- {np.std(accuracy):.4f}, "
            f"{weights[0]:,} weights, {min(epochs)} to {max(epochs)} epochs",
            flush=True,
        )


if __name__ == "__main__":
    main()
