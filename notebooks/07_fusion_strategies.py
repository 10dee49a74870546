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
# # Which fusion? Four of them on the same rows
#
# A picture and its title: where should a model fuse them? Early, into one vector that a classifier reads? Or late, so that each
# modality predicts by itself and the predictions are combined? The catalogue (`keras_mm.fusion.FUSIONS`) has more than twenty fusions.
# We compare four of them on clip art, with each other and with each modality alone, and then look at the weights that the default
# fusion gives to the modalities, row by row.

# %% tags=["remove_output"]
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import io
import logging

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

import keras_mm

logging.getLogger("tensorflow").setLevel(logging.ERROR)
# %matplotlib inline

# %% [markdown]
# ## The rows
#
# The four largest classes of the bundled clip art, with pictures of 24 pixels and the authors' titles. The keywords are left out: they
# often name the class, and with them there would be little left to fuse. Everything is small, so that it takes a minute.

# %%
table = keras_mm.data.clipart()
largest = table.category.value_counts().index[:4]
table = table[table.category.isin(largest)].reset_index(drop=True)
schema = keras_mm.Schema(
    inputs={
        "image": keras_mm.Image((24, 24), augmentation=None),
        "title": keras_mm.Text(sequence_length=16),
    },
    targets={"category": keras_mm.ClassLabel()},
)
encoders = {"image": keras_mm.encoders.CNN([16, 32])}
print(len(table), "rows:", table.category.value_counts().to_dict())

# %% [markdown]
# ## Four fusions
#
# | fusion | how it combines the modalities |
# |---|---|
# | `concat` | their vectors are concatenated |
# | `gated` | a gate weighs their vectors in each row, unit by unit |
# | `late_mean` | each predicts by itself, and the probabilities are averaged |
# | `hybrid` | each predicts by itself, and so do both together (gated); the weights of the three are fitted on validation rows. The default |
#
# `compare` trains each of them, and each modality alone, on the same folds. Near-duplicates (`group`) stay in one fold, and are
# resampled together for the intervals.

# %% tags=["remove_output"]
results = keras_mm.evaluation.compare(
    schema,
    table,
    ["concat", "gated", "late_mean", "hybrid"],
    encoders=encoders,
    folds=2,
    groups="group",
    epochs=6,
    patience=4,
    seed=0,
)

# %%
keras_mm.evaluation.plot_comparison(results)

# %%
columns = ["mean", "low", "high", "difference", "difference_low", "difference_high"]
results[[*columns, "parameters"]].round(3)

# %% [markdown]
# The columns `difference...` compare each model with the better single modality on the same rows. This paired comparison is more
# sensitive than checking whether two intervals overlap, since rows that are hard for one model are hard for the other.

# %%
fused = results[results.kind == "fused"]
alone = results[results.kind == "alone"]
best, worst = fused.index[0], fused.index[-1]
apart = fused["mean"].max() - fused["mean"].min()
width = (fused.high - fused.low).mean()
print(f"best fusion: {best} {fused['mean'].iloc[0]:.3f}, worst: {worst}", end=" ")
print(f"{fused['mean'].iloc[-1]:.3f}, {apart:.3f} apart")
print(f"an interval is {width:.3f} wide, on average")
for name, row in fused.iterrows():
    sure = (
        "more" if row.difference_low > 0 else "less" if row.difference_high < 0 else ""
    )
    verdict = f"{sure} than" if sure else "no significant difference to"
    print(f"{name:<10} {row.difference:+.3f}: {verdict} {alone.index[0]}")

# %% [markdown]
# So the ranking of the fusions is not reliable: the best and the worst differ by a fraction of the width of one interval, and none is
# significantly better or worse than the title alone. That the picture adds so little is not the fault of the fusions: alone, it is
# only slightly better than predicting the most frequent class, and no fusion can add information that the encoders do not extract.
# (Pretrained encoders extract more: [notebook 05](05_pretrained_encoders.ipynb).)
#
# ## Which modality does the default rely on?
#
# The weights are an output of the fusion layer: a model that ends there returns them. (An export has them as the signature `explain`.)

# %%
train, validation, test = keras_mm.data.split(table, by="split")
schema.adapt(train)
model = keras_mm.build_classifier(schema, encoders=encoders, seed=0)
model.fit(train, validation_data=validation, epochs=10, verbose=0)

fusion = model.get_layer("modality-fusion")
shares = keras.ops.convert_to_numpy(keras.ops.softmax(fusion.weight_logits))
for name, share in zip(["the picture alone", "the title alone", "both"], shares):
    print(f"{name:<18}{share:.2f}")

# %% [markdown]
# These three weights are the same for every row. What differs between rows is the gate within "both". The total weight of the picture
# is its own weight plus its part of the weight of "both":

# %%
rows = keras_mm.data.to_dataset(test, model.schema, 256, with_target=False)
weights = keras.Model(model.inputs, fusion.output).predict(rows, verbose=0)[1]
test = test.assign(picture=weights[:, 0])
low, middle, high = test.picture.quantile([0, 0.5, 1])
print(f"total weight of the picture, of 1: {low:.2f} to {high:.2f}", end=", ")
print(f"in the median row {middle:.2f}")

# %%
ordered = test.sort_values("picture", ascending=False)
figure, axes = plt.subplots(2, 7, figsize=(11, 4.4), layout="constrained")
for line, shown in zip(axes, (ordered.head(7), ordered.tail(7))):
    for axis, (_, row) in zip(line, shown.iterrows()):
        axis.imshow(Image.open(io.BytesIO(row.image)).convert("RGB"))
        axis.set_title(f"{row.picture:.2f}", fontsize=9)
        title = row.title if len(row.title) < 21 else row.title[:18] + "..."
        axis.set_xlabel(title, fontsize=7)
        axis.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("picture counts most", fontsize=9)
axes[1, 0].set_ylabel("picture counts least", fontsize=9)
plt.show()

# %% [markdown]
# It is tempting to read a high weight as "this row needs the picture". But the pictures in the first row are nearly empty. Does the
# weight depend on that?

# %%
brightness = [np.mean(Image.open(io.BytesIO(cell)).convert("L")) for cell in test.image]
correlation = np.corrcoef(brightness, test.picture)[0, 1]
print(f"correlation of the picture's weight with its brightness: {correlation:.2f}")

# %% [markdown]
# And is the picture more accurate where it has more weight? The accuracy in thirds of the test rows, of the same model with both
# columns, with the title alone and with the picture alone:

# %%
truth = schema.target.encode(test.category, "category")
predictions = {
    "both": model.predict(test, verbose=0),
    "title": keras_mm.evaluation.predict_without(model, test, ["image"]),
    "picture": keras_mm.evaluation.predict_without(model, test, ["title"]),
}
right = pd.DataFrame({n: p.argmax(axis=1) == truth for n, p in predictions.items()})
third = np.argsort(np.argsort(-weights[:, 0])) * 3 // len(test)
right.groupby(third).mean().set_axis(
    ["picture counts most", "between", "picture counts least"]
).round(2)

# %% [markdown]
# Where the picture has the most weight, both together are least accurate. (A third has some 60 rows, so that differences of a tenth
# are within chance.) A weight shows how the model mixes the modalities, not how much a modality contributes; this gate opens for white
# backgrounds, among other things. To measure the contribution of the picture, compare scores, as the
# [report](09_does_this_modality_help.ipynb) does.
#
# ## What the choice changes, and what it does not
#
# - It does **not** change the accuracy much here. Better encoders and more rows do; start there.
# - It changes **what the model can explain**: `concat` has no weights; late fusions have a prediction of each modality.
# - It changes **what can be learned at all**: `late_mean` cannot learn interactions between the modalities.
# - It changes **what happens when a modality is missing**: see [the next notebook](08_missing_modalities.ipynb).
# - `hybrid` is the default because it combines early and late fusion, not because of this comparison. Run `compare` on your own table,
#   and if the intervals overlap as they do here, take the simplest fusion.
