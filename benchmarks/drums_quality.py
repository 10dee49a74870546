"""Quality of the defaults on recorded drum sounds, against a linear probe.

    python benchmarks/drums_quality.py drums.parquet [--features waveform]

The table has one-shot sounds (`wav`), what was struck (`label`) and the drum
kit (`kit`). Five folds are disjoint by kit: the model is tested on drums that
it has never heard. It is the default of `build_classifier`, trained for a fixed
number of epochs; the probe is logistic regression on the mean, spread and
largest value of each mel band. Accuracy and macro-F1 are the mean over the
folds and the standard deviation between them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import sys
import time

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_mm


def statistics(table):
    audio = keras_mm.Audio(duration=1)
    bands = audio.preprocess(audio.to_raw(table.wav).tolist()).numpy()
    known = ~np.isnan(bands[:, :, :1])
    parts = [np.nanmean(bands, 1), np.nanstd(bands, 1), np.nanmax(bands, 1)]
    return np.concatenate([*parts, known.mean(1)], axis=1)


def probe(train, test, *unused):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    return model.fit(statistics(train), train.label).predict(statistics(test))


def default(train, test, options, seed):
    schema = keras_mm.Schema(
        {"wav": keras_mm.Audio(duration=1, features=options.features)},
        {"label": keras_mm.ClassLabel()},
    ).adapt(train)
    model = keras_mm.build_classifier(schema, seed=seed)
    model.fit(train, epochs=options.epochs, verbose=0)
    names = np.array(model.schema.target.names)
    return names[model.predict(test, verbose=0).argmax(axis=1)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("table", help="Parquet file with wav, label and kit")
    parser.add_argument("--features", default="log_mel")
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    if not os.path.exists(options.table):
        sys.exit(f"There is no {options.table}: the drum sounds are not at hand.")
    table = pd.read_parquet(options.table)
    table = table[table.label != ""].reset_index(drop=True)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    scores = {}
    for number, rows in enumerate(folds.split(table, table.label, table.kit)):
        train, test = (table.iloc[part].reset_index(drop=True) for part in rows)
        for name, predict in (("linear probe", probe), (options.features, default)):
            started = time.time(), time.process_time()
            predicted = predict(train, test, options, number)
            values = [
                np.mean(predicted == test.label),
                f1_score(test.label, predicted, average="macro"),
                time.time() - started[0],
                time.process_time() - started[1],
            ]
            scores.setdefault(name, []).append(values)
            print(f"  fold {number + 1}  {name:<13}", np.round(values, 3), flush=True)
    print(f"\n{len(table)} sounds, {table.kit.nunique()} kits, kit-disjoint folds")
    for name, values in scores.items():
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
        print(
            f"{name:<13} accuracy {mean[0]:.3f} +- {spread[0]:.3f}  macro-F1 "
            f"{mean[1]:.3f} +- {spread[1]:.3f}  {mean[2]:.0f} s a fold, of which "
            f"{mean[3]:.0f} s of processor time"
        )


if __name__ == "__main__":
    main()
