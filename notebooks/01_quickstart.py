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
# # Quickstart: is it an animal or a tool?
#
# 1,409 pieces of clip art, each with a picture and the title that somebody typed. Some titles say everything ("Gull"), some nothing
# ("Untitled 02"), and then the picture has to. We train one model on both, look at where it errs, see what it still
# knows when one of the two is missing, and export it so that a server answers raw JPEG bytes and text.

# %% tags=["remove_output"]
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import logging

import keras_mm

logging.getLogger("tensorflow").setLevel(logging.ERROR)
# %matplotlib inline

# %% [markdown]
# ## The table
#
# Anything that pandas reads is a table: one row an example, one column an input or the target. Pictures are file paths, bytes or
# arrays. The bundled table comes with a split that keeps near-duplicates together; a random split would flatter us.

# %%
table = keras_mm.data.clipart()
train, validation, test = keras_mm.data.split(table, by="split")
print(len(train), len(validation), len(test), "rows")
table[["title", "category"]].sample(5, random_state=1)

# %% [markdown]
# ## The schema
#
# The schema says which columns go in, which one comes out, and what each of them is. `adapt` learns vocabularies and class names
# from the training rows. (`keras_mm.infer_schema` would guess all this, and print its guesses.)

# %%
schema = keras_mm.Schema(
    inputs={
        "image": keras_mm.Image((96, 96)),
        "title": keras_mm.Text(),
    },
    targets={"category": keras_mm.ClassLabel()},
).adapt(train)
schema

# %% [markdown]
# ## The model
#
# A compiled, functional Keras model: one encoder for each modality, and a fusion that predicts. The default fusion, `hybrid`, lets
# the picture predict by itself, the title by itself, and both together; at the end of `fit`, the validation rows say how much each of
# the three counts. `modality_dropout` hides the picture or the title of some training rows, so that the model learns to do with what
# is there.

# %%
model = keras_mm.build_classifier(schema, modality_dropout=0.3, seed=0)
model.summary()

# %%
history = model.fit(
    train,
    validation_data=validation,
    epochs=30,
    verbose=0,
    callbacks=keras_mm.training.callbacks(patience=10),
)
keras_mm.evaluation.plot_history(history)

# %% [markdown]
# ## How good is it, and what does each modality contribute?
#
# `withhold` treats an input as missing in every row. What is lost is what the model gets from it.

# %%
import pandas as pd

rows = {
    "picture and title": keras_mm.evaluation.score(model, test),
    "title only": keras_mm.evaluation.score(model, test, withhold=["image"]),
    "picture only": keras_mm.evaluation.score(model, test, withhold=["title"]),
}
pd.DataFrame(rows).T.round(3)

# %%
keras_mm.evaluation.plot_confusion(model, test)

# %% [markdown]
# Green titles are right, red ones wrong. Many errors are arguable: is a pencil a tool, or an office thing?

# %%
keras_mm.evaluation.plot_predictions(model, test, count=12, seed=3)

# %% [markdown]
# ## Save, and export
#
# One `.keras` file holds everything: weights, vocabularies, class names. The export is a SavedModel whose preprocessing is inside:
# it is compared with the model on rows with every combination of missing and unreadable inputs before it gets its version number.

# %%
import tempfile

folder = tempfile.mkdtemp()
model.save(os.path.join(folder, "clipart.keras"))
path = keras_mm.export(model, os.path.join(folder, "clipart"), rows=test, verbose=False)
print(sorted(os.listdir(path)))
with open(os.path.join(path, "verification.json")) as file:
    print(file.read())

# %% [markdown]
# What TF Serving would answer to three raw rows; the last one has no picture.

# %%
exported = keras_mm.load_exported(os.path.join(folder, "clipart"))
rows = test.head(3)[["image", "title"]].copy()
rows.loc[2, "image"] = None
answers = exported(rows)
answers["probability"] = answers.category_probabilities.map(max).round(3)
answers[["image_ok", "category", "probability"]].assign(title=rows.title)

# %% [markdown]
# It is far from sure of the gull: no title of a training row has that word (one has "seagull").
#
# The fusion's weights say what the model listened to, row by row; a modality that is absent weighs nothing.

# %%
exported(rows, signature="explain").round(3)
