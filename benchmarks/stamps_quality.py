"""Quality of the defaults on stamps: picture, sentence, speech and sound effect.

    python benchmarks/stamps_quality.py stamps.parquet [--encoder text=hub:folder]

The table has pictures (`image`), English sentences (`text_en`), the sentences
spoken in French (`speech_fr`), sound effects (`effect`, in 15% of the rows),
`category` and `group`. The categories of at least 20 rows are kept, which are
ten. Five folds are disjoint by group. Models are the defaults of
`build_classifier` but for the fusion (gated), trained for a fixed number of epochs on each modality alone,
each pair, and all four. Accuracy and macro-F1 are the mean over the folds and the
standard deviation between them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import itertools
import sys
import time

import keras
import numpy as np
import pandas as pd
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold

import keras_mm

LEAST_ROWS = 20
COLUMNS = {
    "image": "picture",
    "text_en": "text",
    "speech_fr": "speech",
    "effect": "effect",
}


def fit(columns, train, options, seed):
    available = {
        "image": keras_mm.Image((96, 96)),
        "text_en": keras_mm.Text(sequence_length=24),
        "speech_fr": keras_mm.Audio(3, 8000, num_mels=32, frame_step=0.02),
        "effect": keras_mm.Audio(3, 8000, num_mels=32, frame_step=0.02),
    }
    schema = keras_mm.Schema(
        {name: available[name] for name in columns},
        {"category": keras_mm.ClassLabel()},
    ).adapt(train)
    names = {short: name for name, short in COLUMNS.items()}
    chosen = dict(choice.split("=", 1) for choice in options.encoder)
    encoders = {names[n]: e for n, e in chosen.items() if names[n] in columns}
    model = keras_mm.build_classifier(
        schema,
        encoders=encoders,
        fusion=options.fusion if len(columns) > 1 else None,
        seed=seed,
    )
    if encoders:
        # Pretrained backbones are frozen: they read each row once.
        keras_mm.training.fit_cached(
            model, train, folder=options.cache, epochs=options.epochs, verbose=0
        )
    else:
        model.fit(train, epochs=options.epochs, verbose=0)
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("table", help="Parquet file of the stamps")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--fusion", default="gated")
    parser.add_argument("--encoder", action="append", default=[], help="text=hub:...")
    parser.add_argument("--cache", help="folder for what frozen encoders give")
    parser.add_argument("--only", nargs="*", help='such as "picture + text"')
    options = parser.parse_args()
    if not os.path.exists(options.table):
        sys.exit(f"There is no {options.table}: the stamps are not at hand.")
    table = pd.read_parquet(options.table)
    counts = table.category.value_counts()
    table = table[table.category.isin(counts.index[counts >= LEAST_ROWS])]
    table = table.reset_index(drop=True)
    sets = [
        chosen
        for size in (1, 2, 4)
        for chosen in itertools.combinations(COLUMNS, size)
        if not options.only
        or " + ".join(COLUMNS[name] for name in chosen) in options.only
    ]
    print(f"{len(table)} stamps, {table.category.nunique()} categories")
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    folds = list(folds.split(table, table.category, table.group))
    scores = {}
    for number, rows in enumerate(folds[: options.folds]):
        train, test = (table.iloc[part].reset_index(drop=True) for part in rows)
        for columns in sets:
            started = time.process_time()
            model = fit(columns, train, options, seed=number)
            classes = np.array(model.schema.target.names)
            predicted = classes[model.predict(test, verbose=0).argmax(axis=1)]
            values = [
                np.mean(predicted == test.category),
                f1_score(test.category, predicted, average="macro"),
                time.process_time() - started,
            ]
            name = " + ".join(COLUMNS[column] for column in columns)
            if len(columns) == len(COLUMNS):
                name = "all four"
            scores.setdefault(name, []).append(values)
            print(f"  fold {number + 1}  {name:<18}", np.round(values, 3), flush=True)
            keras.backend.clear_session()
    print("\ngroup-disjoint folds: mean and standard deviation")
    for name, values in scores.items():
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
        print(
            f"{name:<18} accuracy {mean[0]:.3f} +- {spread[0]:.3f}  macro-F1 "
            f"{mean[1]:.3f} +- {spread[1]:.3f}  {mean[2]:.0f} s of processor time"
        )


if __name__ == "__main__":
    main()
