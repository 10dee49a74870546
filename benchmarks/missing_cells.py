"""What is lost when half of all cells are missing, with and without remedies.

    python benchmarks/missing_cells.py clipart [--folds 3]
    python benchmarks/missing_cells.py stamps --table stamps.parquet

Modalities are the frozen vectors of fusion_leaderboard.py, folds are disjoint by
group, the fusion is the default. All models learn from complete rows (as
complete as the table is) for 30 epochs. Of the held-out rows' cells half are
removed at random, but each row keeps one. The remedies are modality dropout in
training (a share of .3 of the rows), a learned token in place of what is absent,
and imputation. The last column asks the same rows of the exported model.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import tempfile

import keras
import numpy as np
import pandas as pd
from fusion_leaderboard import clipart, stamps
from pretrained_quality import unchanged
from sklearn.model_selection import StratifiedGroupKFold

import keras_mm
from keras_mm.evaluation.tensors import remove_cells

REMEDIES = {
    "none": {"modality_dropout": 0.0},
    "token": {"modality_dropout": 0.0, "missing_token": True},
    "dropout": {"modality_dropout": 0.3},
    "dropout + token": {"modality_dropout": 0.3, "missing_token": True},
    "dropout + imputation": {"modality_dropout": 0.3, "imputation": True},
}


def accuracy(predicted, table):
    return np.mean(np.asarray(predicted) == table.category.to_numpy())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", choices=["clipart", "stamps"])
    parser.add_argument("--table", help="Parquet file of the stamps")
    parser.add_argument("--fusion", help="name; the default one otherwise")
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args()
    table = clipart() if options.data == "clipart" else stamps(options.table)
    names = [name for name in table if name not in ("category", "group")]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    folds = list(folds.split(table, table.category, table.group))[: options.folds]
    found = []
    for fold, rows in enumerate(folds):
        train, test = (table.iloc[part].reset_index(drop=True) for part in rows)
        present = np.stack([test[name].notna() for name in names], axis=1)
        gone = remove_cells(present, 0.5, np.random.default_rng(fold))
        holed = test.copy()
        for index, name in enumerate(names):
            holed[name] = [
                None if hidden else cell
                for hidden, cell in zip(gone[:, index], test[name])
            ]
        for remedy, settings in REMEDIES.items():
            schema = keras_mm.Schema(
                {n: keras_mm.Vector(len(table[n].dropna().iloc[0])) for n in names},
                {"category": keras_mm.ClassLabel()},
            ).adapt(train)
            model = keras_mm.build_classifier(
                schema,
                fusion=options.fusion,
                encoders={name: unchanged for name in names},
                dropout=0.3,
                optimizer=keras.optimizers.Adam(1e-3),
                seed=fold,
                **settings,
            )
            model.fit(train, epochs=30, verbose=0)
            classes = np.array(schema.target.names)
            with tempfile.TemporaryDirectory() as folder:
                keras_mm.export(model, f"{folder}/model", rows=test, verbose=False)
                answer = keras_mm.load_exported(f"{folder}/model")(holed[names])
            row = {
                "remedy": remedy,
                "complete": accuracy(
                    classes[model.predict(test, verbose=0).argmax(1)], test
                ),
                "half missing": accuracy(
                    classes[model.predict(holed, verbose=0).argmax(1)], test
                ),
                "exported": accuracy(answer.category, test),
            }
            found.append(row)
            print(fold + 1, {k: v for k, v in row.items()}, flush=True)
            keras.backend.clear_session()
    print(f"removed: {gone.sum() / present.sum():.2f} of the cells that are there")
    means = pd.DataFrame(found).groupby("remedy", sort=False).mean()
    print(means.assign(lost=means["complete"] - means["half missing"]).round(3))


if __name__ == "__main__":
    main()
