"""Quality of the encoders of sequences on two small real and made-up sets.

    python -m pip install mnist1d && python -m pip install --no-deps aeon
    python benchmarks/sequence_quality.py [--encoders temporal_cnn gru] [--folds 5]

- MNIST-1D: ten classes of one channel, 40 steps; 5,000 rows. Published accuracy
  with 4,000 rows to train on and 1,000 to test: CNN 94, GRU 91, MLP 68, linear 32
  (Greydanus 2020, "Scaling down Deep Learning").
- BasicMotions (aeon's package holds it): accelerometer and gyroscope of a smart
  watch, three channels and 100 steps each, four classes; 80 rows. Two columns,
  fused.

Disjoint folds, equally many of each class in all; one seed a fold. (Of MNIST-1D
five folds have the published numbers of rows.) Models are the defaults of
`build_classifier`, trained for a fixed number of epochs (three times as many on
the small set, whose epochs are two batches); the accuracy on the fold's rows after
the last one counts: mean over the folds, and standard deviation between them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import importlib.util
import time

import keras
import numpy as np
import pandas as pd

import keras_mm
from keras_mm.data.folds import folds

ENCODERS = ["temporal_cnn", "gru", "transformer", "average"]


def mnist1d():
    """All rows, and their inputs."""
    from mnist1d.data import make_dataset

    data = make_dataset()
    tables = [
        pd.DataFrame({"signal": list(data[f"x{part}"]), "label": data[f"y{part}"]})
        for part in ("", "_test")
    ]
    return pd.concat(tables, ignore_index=True), {"signal": keras_mm.Sequence(40)}


def basic_motions():
    """All rows, and their inputs."""
    (folder,) = importlib.util.find_spec("aeon").submodule_search_locations
    rows = []
    for part in ("TRAIN", "TEST"):
        path = f"{folder}/datasets/data/BasicMotions/BasicMotions_{part}.ts"
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file if line[0] not in "#@\n"]
        for line in lines:
            *channels, label = line.split(":")
            steps = np.array([c.split(",") for c in channels], "float32").T
            rows.append((steps[:, :3], steps[:, 3:], label))
    table = pd.DataFrame(rows, columns=["accelerometer", "gyroscope", "label"])
    inputs = {
        name: keras_mm.Sequence(100, channels=3, sampling_rate=10.0)
        for name in ("accelerometer", "gyroscope")
    }
    return table, inputs


def score(train, test, inputs, encoder, epochs, seed):
    """Accuracy on the test rows, weights, and seconds that training took."""
    schema = keras_mm.Schema(inputs, {"label": keras_mm.ClassLabel()}).adapt(train)
    model = keras_mm.build_classifier(
        schema, encoders=dict.fromkeys(inputs, encoder), seed=seed
    )
    started = time.time()
    model.fit(train, epochs=epochs, verbose=0)
    seconds = time.time() - started
    predicted = model.predict(test, verbose=0).argmax(axis=1)
    names = np.array(schema.target.names)
    accuracy = np.mean(names[predicted] == test.label.astype(str))
    keras.backend.clear_session()
    return accuracy, model.count_params(), seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--encoders", nargs="*", default=ENCODERS)
    parser.add_argument("--sets", nargs="*", default=["mnist1d", "basic_motions"])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args()
    sets = {"mnist1d": mnist1d, "basic_motions": basic_motions}
    print(f"{'set':<14} {'encoder':<14} {'accuracy':>16} {'weights':>9} {'seconds':>8}")
    for name in options.sets:
        table, inputs = sets[name]()
        epochs = options.epochs * (3 if len(table) < 1000 else 1)
        fold = folds(table, options.folds, stratify="label")
        for encoder in options.encoders:
            found = []
            for number in range(options.folds):
                held_out = fold == number
                train, test = (
                    table[rows].reset_index(drop=True) for rows in (~held_out, held_out)
                )
                found.append(score(train, test, inputs, encoder, epochs, number))
            accuracy, weights, seconds = zip(*found)
            print(
                f"{name:<14} {encoder:<14} {np.mean(accuracy):>8.3f} +- "
                f"{np.std(accuracy):.3f} {weights[0]:>9,} {np.mean(seconds):>8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
