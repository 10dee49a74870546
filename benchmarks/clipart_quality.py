"""Quality of the defaults on the bundled clip art, against boring baselines.

    python benchmarks/clipart_quality.py [--split group|author] [--folds 5] [--words title]

Five disjoint folds that keep near-duplicates (or all works of an author)
together. Models and baselines get all training rows; models are the defaults of
`build_classifier`, trained for a fixed number of epochs. With `--words title` the text is the title only, without keywords.
Accuracy and macro-F1
are the mean over the folds and the standard deviation between them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import io
import time

import numpy as np
from PIL import Image as Pillow
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

import keras_mm

EPOCHS = 14
MODELS = {
    "image": (["image"], None),
    "text": (["text"], None),
    "image + text": (["image", "text"], None),
    "image + text, gated": (["image", "text"], "gated"),
}


def colour_histogram(encoded, bins=6):
    pixels = np.asarray(Pillow.open(io.BytesIO(encoded)).convert("RGB")).reshape(-1, 3)
    counts, _ = np.histogramdd(pixels, bins=bins, range=[(0, 256)] * 3)
    return np.sqrt(counts.ravel() / len(pixels))


def baseline_text():
    return make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(
                analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2
            ),
        ),
        LogisticRegression(C=10, max_iter=500),
    )


def baselines(train, test):
    """Probabilities of text, picture, and the mean of their logarithms."""
    text = baseline_text().fit(train.text, train.category)
    picture = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    features = [
        np.stack([colour_histogram(cell) for cell in part.image])
        for part in (train, test)
    ]
    picture.fit(features[0], train.category)
    found = {
        "baseline text": text.predict_proba(test.text),
        "baseline image": picture.predict_proba(features[1]),
    }
    # The text knows more: half weight for the picture.
    found["baseline image + text"] = np.exp(
        np.log(found["baseline text"] + 1e-9)
        + 0.5 * np.log(found["baseline image"] + 1e-9)
    )
    return found, text.classes_


def fit(columns, fusion, train, seed):
    available = {
        "image": keras_mm.Image((96, 96)),
        "text": keras_mm.Text(sequence_length=32),
    }
    schema = keras_mm.Schema(
        {name: available[name] for name in columns},
        {"category": keras_mm.ClassLabel()},
    ).adapt(train)
    model = keras_mm.build_classifier(schema, fusion=fusion, seed=seed)
    model.fit(train, epochs=EPOCHS, verbose=0)
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--split", choices=["group", "author"], default="group")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--words", choices=["text", "title"], default="text")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    options = parser.parse_args()
    table = keras_mm.data.clipart()
    table["text"] = table[options.words]
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    folds = list(splitter.split(table, table.category, table[options.split]))
    scores = {}

    def note(name, truth, predicted, seconds):
        accuracy = np.mean(truth == predicted)
        f1 = f1_score(truth, predicted, average="macro")
        scores.setdefault(name, []).append((accuracy, f1, seconds))
        print(f"  {name:<22} {accuracy:.3f} {f1:.3f} {seconds:.0f} s", flush=True)

    for number, (train_rows, test_rows) in enumerate(folds[: options.folds]):
        print(f"fold {number + 1}", flush=True)
        whole = table.iloc[train_rows].reset_index(drop=True)
        test = table.iloc[test_rows].reset_index(drop=True)
        truth = test.category.to_numpy()
        started = time.time()
        probabilities, classes = baselines(whole, test)
        for name, values in probabilities.items():
            note(name, truth, classes[values.argmax(1)], time.time() - started)
        for name in options.models:
            started = time.time()
            model = fit(*MODELS[name], whole, seed=number)
            predicted = model.predict(test, verbose=0).argmax(axis=1)
            names = np.array(model.schema.target.names)
            note(name, truth, names[predicted], time.time() - started)
    print(f"\n{options.split}-disjoint folds: mean and standard deviation")
    for name, values in scores.items():
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
        print(
            f"{name:<22} accuracy {mean[0]:.3f} +- {spread[0]:.3f}  macro-F1 "
            f"{mean[1]:.3f} +- {spread[1]:.3f}  {mean[2]:.0f} s"
        )


if __name__ == "__main__":
    main()
