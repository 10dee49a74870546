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
# # Many rows, few labels: does an autoencoder help?
#
# Pictures are cheap, labels are not: somebody has to look and type. Say that we have 1,297 small pictures of handwritten digits,
# and a label for a few dozen of them. Can a network learn something from the others, too? An **autoencoder** tries: it squeezes
# each picture into a few numbers and draws it again from these. No label is needed for that. What it learned to see may then help
# a classifier. Whether it does, we measure.

# %% tags=["remove_output"]
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import logging

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

import keras_mm

logging.getLogger("tensorflow").setLevel(logging.ERROR)
# %matplotlib inline

# %% [markdown]
# ## The table
#
# scikit-learn brings the pictures along, 8 x 8 pixels each. We keep 500 rows aside for the test. Three pictures of the training
# rows are lost, as happens: they stay in the table as missing.

# %%
digits = load_digits()
pixels = (digits.images / 16 * 255).round().astype("uint8")
table = pd.DataFrame({"image": [*pixels], "digit": digits.target.astype(str)})
table = table.sample(frac=1, random_state=0).reset_index(drop=True)
train, test = table.iloc[:1297].copy(), table.iloc[1297:].reset_index(drop=True)
train.loc[[7, 77, 777], "image"] = None

schema = keras_mm.Schema(
    inputs={"image": keras_mm.Image((8, 8), augmentation=None)},
    targets={"digit": keras_mm.ClassLabel()},
).adapt(train)
print(len(train), "training rows,", train["image"].isna().sum(), "without a picture")

# %% [markdown]
# ## Learning without labels
#
# `build_autoencoder` puts the encoder of our choice in front, a bottleneck of 32 numbers in the middle, and a decoder behind. The
# target is the input itself, so `fit` takes the table as it is; the column `digit` is not looked at. Missing pictures count nothing
# in the loss.
#
# With `noise` the encoder sees noisy pictures, and still has to give back the clean ones. It cannot do that by copying: it has to
# know what a stroke looks like.

# %%
encoder = keras_mm.encoders.CNN(32)
autoencoder = keras_mm.build_autoencoder(
    schema, encoder=encoder, units=32, noise=0.3, seed=0
)
autoencoder.summary()

# %%
history = autoencoder.fit(
    train, validation_data=test, epochs=30, batch_size=64, verbose=0
)
error = history.history["val_loss"]
spread = np.var(digits.data / 16, axis=0).mean()
print(f"mean squared error on unseen pictures: {error[0]:.4f} -> {error[-1]:.4f}")
print(f"of a guess that always draws the mean picture: {spread:.4f}")

# %% [markdown]
# Unseen pictures, what comes back, the same pictures with noise on them, and what comes back from those.

# %%
few = np.repeat(np.stack(test["image"][:10])[..., None] / 255, 3, axis=-1)
noisy = few + np.random.default_rng(0).normal(0, 0.3, few.shape)
rows = {
    "original": few,
    "drawn again": autoencoder.predict(few, verbose=0),
    "with noise": noisy,
    "drawn again ": autoencoder.predict(np.clip(noisy, 0, 1), verbose=0),
}
figure, axes = plt.subplots(4, 10, figsize=(9, 4))
for line, (name, pictures) in zip(axes, rows.items()):
    for axis, picture in zip(line, pictures):
        axis.imshow(np.clip(picture, 0, 1).mean(axis=-1), cmap="gray", vmin=0, vmax=1)
        axis.set_xticks([])
        axis.set_yticks([])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# ## The classifier, three times
#
# `encoders={"image": autoencoder.encoder}` puts a **copy** of the trained encoder into a classifier: whatever the classifier does
# to it, the autoencoder stays as it is. We compare, for 50 and 200 labels and three draws of the labelled rows:
#
# - **scratch**: the same classifier with fresh weights;
# - **frozen**: the trained encoder as it is; only the last layer learns (`fit_cached` runs the frozen encoder once);
# - **fine-tuned**: the trained encoder, and all of it learns on.
#
# And the boring rival that one should always ask: logistic regression on the pixels.

# %%
from sklearn.linear_model import LogisticRegression


def flat(table):
    return np.stack(table["image"]).reshape(len(table), -1) / 255


def accuracy(way, labelled, seed):
    if way == "logistic regression":
        rival = LogisticRegression(max_iter=1000)
        return rival.fit(flat(labelled), labelled["digit"]).score(
            flat(test), test["digit"]
        )
    start = encoder if way == "scratch" else autoencoder.encoder
    model = keras_mm.build_classifier(schema, encoders={"image": start}, seed=seed)
    epochs = 150 * 25 // len(labelled)
    if way == "frozen":
        model.get_layer("image-encoder").trainable = False
        keras_mm.training.fit_cached(
            model, labelled, epochs=epochs, batch_size=25, verbose=0
        )
    else:
        model.fit(labelled, epochs=epochs, batch_size=25, verbose=0)
    predicted = model.predict(test, batch_size=500, verbose=0).argmax(axis=1)
    return np.mean(predicted == test["digit"].astype(int))


# %%
WAYS = ["logistic regression", "scratch", "frozen", "fine-tuned"]
found = []
for seed in range(3):
    shuffled = train.dropna().sample(frac=1, random_state=seed)
    for count in (50, 200):
        for way in WAYS:
            score = accuracy(way, shuffled.head(count).reset_index(drop=True), seed)
            found.append({"labels": count, "way": way, "accuracy": score})
scores = pd.DataFrame(found).groupby(["way", "labels"])["accuracy"]
mean, deviation = scores.mean().unstack().loc[WAYS], scores.std().unstack().loc[WAYS]
mean.round(3).astype(str) + " ± " + deviation.round(3).astype(str)

# %%
axis = mean.T.plot.bar(
    yerr=deviation.T, rot=0, capsize=3, figsize=(7, 3.6), width=0.8,
    color=["#b0b0b0", "#d9822b", "#2a6fb0", "#7fb3e0"],
)  # fmt: skip
axis.set(ylabel="accuracy on 500 unseen digits", ylim=(0.6, 1))
axis.spines[["top", "right"]].set_visible(False)
axis.legend(ncols=4, fontsize=8, loc="upper left")
plt.show()

# %% [markdown]
# **Here it does not help**: with fresh weights the same classifier is as good or better. One layer of 32 filters has little to learn that
# 50 labels do not teach it as well, and these digits are as clean as pictures get. On 5,000 pictures of Fashion-MNIST
# `benchmarks/few_labels.py` finds the same. It finds another thing on the noisy, shifted sequences of MNIST-1D, where three layers of
# filters have more to learn: there the fine-tuned encoder gains 9 to 25 points over the same training from scratch, and
# the frozen one loses. So: try it, fine-tune rather than freeze, and keep the plain rival in the table.

# %% [markdown]
# ## To production
#
# We fine-tune once more on 400 labels and export. The server takes picture files, and says which of them it could not read. Its
# signature `embed_image` gives the encoder's features, for a search of similar pictures, say.

# %%
import tempfile

model = keras_mm.build_classifier(
    schema, encoders={"image": autoencoder.encoder}, seed=0
)
model.fit(train.head(400), epochs=9, batch_size=25, verbose=0)
folder = os.path.join(tempfile.mkdtemp(), "digits")
path = keras_mm.export(model, folder, verbose=False)
exported = keras_mm.load_exported(folder)
rows = test.head(4)[["image"]].copy()
rows.loc[3, "image"] = None
answers = exported(rows)
answers["probability"] = answers.digit_probabilities.map(max).round(3)
answers[["image_ok", "digit", "probability"]].assign(truth=test["digit"])

# %% [markdown]
# A missing picture gets the classes' base rates for an answer, and `image_ok` says why.
