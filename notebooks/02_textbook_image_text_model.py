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
# # The textbook's image + text model, layer by layer
#
# Every tutorial on multimodal learning draws the same picture: a convolutional branch for the image, an embedding and an LSTM for
# the text, a concatenation, a classifier. `keras_mm.build_classifier()` without any argument is that model, made of stock Keras
# layers. We read it, train it on arrays as the tutorials do, see how far it gets, and export it.

# %% tags=["remove_output"]
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import logging

import keras
import numpy as np

import keras_mm

logging.getLogger("tensorflow").setLevel(logging.ERROR)
# %matplotlib inline

# %%
keras.utils.set_random_seed(0)
model = keras_mm.build_classifier()
model.summary()

# %% [markdown]
# From the top:
#
# - **image**: 224 x 224 pixels, three colours, values from 0 to 1. `NanToNum` is a plain Keras operation: a missing picture is NaN
#   in keras_mm, and 0 from here on.
# - **Conv2D** slides 64 filters of 3 x 3 over the picture: (3 x 3 x 3 + 1) x 64 = 1,792 weights. **MaxPooling2D** keeps the
#   strongest answer of every 2 x 2 places; **Flatten** makes one long vector of 111 x 111 x 64 = 788,544 numbers.
# - **text**: the ids of 100 words out of 10,000; 0 is padding. **Embedding** turns each id into 64 numbers (640,000 weights), and
#   the **LSTM** reads them in order, skipping the padding: 4 x (64 + 64 + 1) x 64 = 33,024 weights.
# - **Concatenate** puts both vectors side by side, and **Dense** makes ten probabilities of them: nearly all of the model's weights
#   sit here, in (788,608 + 1) x 10.
#
# That last line is the textbook model's weakness: a dense layer over raw convolution outputs can learn a small table by heart.

# %% [markdown]
# ## Arrays, as in the tutorials
#
# The model's own schema makes the arrays: pixels from JPEG bytes, ids from texts. It only needs to see the training rows once.

# %%
table = keras_mm.data.clipart()
train, validation, test = keras_mm.data.split(table, by="split")
model.schema.adapt(train)


def arrays(rows):
    dataset = keras_mm.data.to_dataset(rows, model.schema, batch_size=len(rows))
    inputs, labels = next(iter(dataset))
    return [np.asarray(inputs["image"]), np.asarray(inputs["text"])], np.asarray(labels)


few = train.groupby("category").head(45)
(images, tokens), labels = arrays(few)
validation_arrays = arrays(validation)
print(images.shape, images.dtype, "|", tokens.shape, tokens.dtype, "|", labels.shape)
print(few.text.iloc[0], "->", tokens[0][:8])

# %% [markdown]
# `fit([images, tokens], labels)`: class indices or one-hot labels, both work.

# %%
history = model.fit(
    [images, tokens],
    labels,
    validation_data=validation_arrays,
    epochs=4,
    batch_size=32,
    verbose=0,
)
keras_mm.evaluation.plot_history(history)

# %% [markdown]
# The training curve runs away from the validation curve: the model learns the rows by heart, as foreseen. On rows that it has not
# seen:

# %%
scores = keras_mm.evaluation.score(model, test)
majority = test.category.value_counts(normalize=True).iloc[0]
print({name: round(value, 3) for name, value in scores.items()})
print("always the most frequent class:", round(majority, 3))

# %% [markdown]
# What suits a small table better is one word away: from a schema, `build_classifier` takes a residual network and a bag of
# n-grams instead (see the quickstart), and `encoders={"image": "cnn", "text": "lstm"}` brings the textbook's branches back.

# %%
keras_mm.evaluation.plot_predictions(model, test, count=6, seed=3)

# %% [markdown]
# ## Export
#
# The textbook model goes the same way as any other: raw bytes and strings in, names and probabilities out. Its schema has seen
# the training rows, so the vocabulary and the class names travel inside.

# %%
import tempfile

folder = tempfile.mkdtemp()
path = keras_mm.export(model, os.path.join(folder, "textbook"), verbose=False)
exported = keras_mm.load_exported(path)
print("signatures:", sorted(exported.signatures))
answers = exported(test.head(3))
answers["probability"] = answers.category_probabilities.map(max).round(3)
answers[["category", "probability"]].assign(text=test.text.head(3))
