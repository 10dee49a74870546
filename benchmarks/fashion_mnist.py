"""Test accuracy of the picture encoders on Fashion-MNIST, trained from scratch.

    apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist_*.deb .
    FASHION_MNIST=usr/share/datasets/fashion-mnist python benchmarks/fashion_mnist.py

Ten classes of clothes, 28 x 28 grey pixels (Xiao et al. 2017). Without
FASHION_MNIST, Keras downloads it. Each model trains for `--minutes` at most on
the first `--rows` training rows, and is tested on all 10,000 test rows; logistic
regression on the pixels of the same rows is the rival. Pictures are not augmented
but mirrored: a shoe may look the other way.
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--encoders", nargs="*", default=list(ENCODERS))
    options = parser.parse_args()
    train, test = fashion_mnist()
    train = train.head(options.rows)
    started = time.process_time()
    pixels = [
        np.stack(part["x"]).reshape(len(part), -1) / 255 for part in (train, test)
    ]
    rival = LogisticRegression(max_iter=100).fit(pixels[0], train["label"])
    print(
        f"logistic regression {rival.score(pixels[1], test['label']):.4f}, "
        f"{time.process_time() - started:.0f} CPU s",
        flush=True,
    )
    value = keras_mm.Image((28, 28), augmentation=keras.layers.RandomFlip("horizontal"))
    schema = keras_mm.Schema({"x": value}, {"label": keras_mm.ClassLabel()})
    schema.adapt(train)
    for name in options.encoders:
        model = keras_mm.build_classifier(
            schema, encoders={"x": ENCODERS[name]}, seed=0
        )
        started, processor = time.time(), time.process_time()
        history = model.fit(
            train,
            epochs=options.epochs,
            batch_size=128,
            verbose=0,
            callbacks=[Until(60 * options.minutes)],
        )
        seconds = time.time() - started, time.process_time() - processor
        _, accuracy = model.evaluate(test, batch_size=256, verbose=0)
        print(
            f"{name} {accuracy:.4f}, {model.count_params():,} weights, "
            f"{len(history.epoch)} epochs, {seconds[0]:.0f} s, {seconds[1]:.0f} CPU s",
            flush=True,
        )
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
