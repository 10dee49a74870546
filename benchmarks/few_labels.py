"""Few labels: does an autoencoder that saw many rows without labels help?

    python -m pip install mnist1d
    python benchmarks/few_labels.py [--sets digits mnist1d fashion] [--seeds 5]

The same classifier is trained on 50, 100 and 200 rows with labels: from scratch;
with the encoder of an autoencoder that saw all training rows without labels,
frozen; and with that encoder, fine-tuned. In every seed other rows have labels,
and the autoencoder is trained anew. All three have the same number of steps and
no validation rows: who has 50 labels has none to spare. Logistic regression on
the raw numbers is the plain rival.

- digits: scikit-learn's 1,797 pictures of 8 x 8 pixels; 1,297 to train on.
- mnist1d: 4,000 sequences of 40 steps (Greydanus 2020).
- fashion: 5,000 pictures of Fashion-MNIST, 28 x 28; see fashion_mnist.py.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time

import keras
import numpy as np
import pandas as pd
from fashion_mnist import fashion_mnist
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_mm

LABELLED = (50, 100, 200)
WAYS = ("scratch", "frozen", "fine-tuned")


def digits():
    """Train and test tables, their input, and an encoder."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = (data.images / 16 * 255).round().astype("uint8")
    order = np.random.default_rng(0).permutation(len(pixels))
    rows = pd.DataFrame({"x": [*pixels], "label": data.target.astype(str)})
    rows = rows.iloc[order].reset_index(drop=True)
    value = keras_mm.Image((8, 8), augmentation=None)
    encoder = keras_mm.encoders.CNN(32)
    return rows.head(1297), rows.tail(500).reset_index(drop=True), value, encoder


def mnist1d():
    """Likewise."""
    from mnist1d.data import make_dataset

    data = make_dataset()
    tables = [
        pd.DataFrame({"x": [*data[f"x{part}"]], "label": data[f"y{part}"].astype(str)})
        for part in ("", "_test")
    ]
    return *tables, keras_mm.Sequence(40), keras_mm.encoders.TemporalCNN((32, 32, 32))


def fashion():
    """Likewise."""
    train, test = fashion_mnist()
    value = keras_mm.Image((28, 28), augmentation=None)
    return train.head(5000), test.head(2000), value, keras_mm.encoders.CNN((32, 64))


def raw(table):
    return np.stack([np.ravel(cell) for cell in table["x"]]).astype("float32")


def accuracy(model, test):
    names = np.array(model.schema.target.names)
    predicted = names[model.predict(test, batch_size=256, verbose=0).argmax(axis=1)]
    return float(np.mean(predicted == test["label"]))


def classify(schema, rows, encoder, way, steps, seed):
    """A classifier of the labelled rows."""
    model = keras_mm.build_classifier(schema, encoders={"x": encoder}, seed=seed)
    part = model.get_layer("x-encoder")
    part.trainable = way != "frozen"
    rate = {"scratch": 1e-3, "fine-tuned": 1e-3, "frozen": 5e-3}[way]
    model.compile(keras.optimizers.Adam(rate), model.loss, metrics=["accuracy"])
    fit = {"epochs": max(1, steps * 25 // len(rows)), "batch_size": 25, "verbose": 0}
    if way == "frozen":
        keras_mm.training.fit_cached(model, rows, **fit)
    else:
        model.fit(rows, **fit)
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="*", default=["digits", "mnist1d", "fashion"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="without labels")
    parser.add_argument("--steps", type=int, default=200, help="with labels")
    parser.add_argument("--noise", type=float, default=0.3)
    options = parser.parse_args()
    sets = {"digits": digits, "mnist1d": mnist1d, "fashion": fashion}
    for name in options.sets:
        train, test, value, encoder = sets[name]()
        schema = keras_mm.Schema({"x": value}, {"label": keras_mm.ClassLabel()})
        schema.adapt(train)
        found = {}
        for seed in range(options.seeds):
            started = time.time()
            autoencoder = keras_mm.build_autoencoder(
                schema, encoder=encoder, noise=options.noise, seed=seed
            )
            autoencoder.fit(
                train.drop(columns="label"),
                epochs=options.epochs,
                batch_size=64,
                verbose=0,
            )
            error = autoencoder.evaluate(test, batch_size=256, verbose=0)
            print(f"# {name} seed {seed}: error {error:.4f}", end=", ", flush=True)
            order = np.random.default_rng(seed).permutation(len(train))
            for count in LABELLED:
                rows = train.iloc[order[:count]].reset_index(drop=True)
                rival = make_pipeline(
                    StandardScaler(), LogisticRegression(max_iter=2000)
                ).fit(raw(rows), rows["label"])
                score = rival.score(raw(test), test["label"])
                found.setdefault(("logistic regression", count), []).append(score)
                for way in WAYS:
                    part = encoder if way == "scratch" else autoencoder.encoder
                    model = classify(schema, rows, part, way, options.steps, seed)
                    found.setdefault((way, count), []).append(accuracy(model, test))
                    del model
            print(f"{time.time() - started:.0f} s", flush=True)
            keras.backend.clear_session()
        print(f"{name:<20}" + "".join(f"{count:>16}" for count in LABELLED))
        for way in ("logistic regression", *WAYS):
            cells = [found[way, count] for count in LABELLED]
            texts = [f"{np.mean(c):.3f} +- {np.std(c):.3f}" for c in cells]
            print(f"{way:<20}" + "".join(f"{text:>16}" for text in texts))
        for way in WAYS[1:]:
            won = [
                np.subtract(found[way, count], found["scratch", count])
                for count in LABELLED
            ]
            texts = [f"{np.mean(w):+.3f} +- {np.std(w):.3f}" for w in won]
            print(f"{way + ' - scratch':<20}" + "".join(f"{t:>16}" for t in texts))


if __name__ == "__main__":
    main()
