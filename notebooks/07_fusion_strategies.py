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
# A picture and its title: where should the two meet? Early, in one vector that a classifier reads? Or late, so that each says what
# it thinks and the answers are combined? The catalogue (`keras_mm.fusion.FUSIONS`) has more than twenty answers. We let four of them
# compete on clip art, beside what one modality reaches alone, and then ask the default whom it believed, row by row.

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
# The four largest classes of the bundled clip art, pictures of 24 pixels, and the title as somebody typed it. The keywords stay out:
# they often name the class, and with them there is little left to fuse. All of this is small so that it takes a minute.

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
# | | where they meet |
# |---|---|
# | `concat` | one vector beside the other |
# | `gated` | each row decides, unit by unit, whom to believe |
# | `late_mean` | nowhere: each predicts by itself, and the probabilities are averaged |
# | `hybrid` | each predicts by itself, and so do both together (gated); validation rows say how much each counts. The default |
#
# `compare` trains each of them, and each modality alone, on the same folds. Near-duplicates (`group`) stay in one fold, and are drawn
# together for the intervals.

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
# The columns `difference...` compare with the better single modality on the same rows, which is a sharper question than whether two
# intervals overlap: rows that are hard are hard for both.

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
    verdict = f"{sure} than" if sure else "no sure difference to"
    print(f"{name:<10} {row.difference:+.3f}: {verdict} {alone.index[0]}")

# %% [markdown]
# So the order of the fusions is not to be trusted: between the best and the worst of them lies a fraction of the width of one
# interval, and none is surely better, or worse, than the title alone. That the picture adds so little is no fault of the fusions. By
# itself it is only a little better than naming the most frequent class, and no way of mixing makes knowledge where there is none.
# (With pretrained encoders there is some: [notebook 05](05_pretrained_encoders.ipynb).)
#
# ## Whom does the default believe?
#
# The weights are an output of the fusion: a model that ends there gives them. (An export has them as the signature `explain`.)

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
# These three are the same for every row. What differs from row to row is the gate inside "both". What the picture counts in all is its
# own share, and its part in that of both:

# %%
rows = keras_mm.data.to_dataset(test, model.schema, 256, with_target=False)
weights = keras.Model(model.inputs, fusion.output).predict(rows, verbose=0)[1]
test = test.assign(picture=weights[:, 0])
low, middle, high = test.picture.quantile([0, 0.5, 1])
print(f"what the picture counts in all, of 1: {low:.2f} to {high:.2f}", end=", ")
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
# It is tempting to read this as "here the picture was needed". Look again: on top, the pictures are nearly empty. Is it that?

# %%
brightness = [np.mean(Image.open(io.BytesIO(cell)).convert("L")) for cell in test.image]
correlation = np.corrcoef(brightness, test.picture)[0, 1]
print(f"correlation of the picture's weight with its brightness: {correlation:.2f}")

# %% [markdown]
# And is the picture right more often where it counts more? Accuracy in thirds of the test rows, of the same model with both columns,
# with the title alone and with the picture alone:

# %%
truth = schema.target.encode(test.category, "category")
says = {
    "both": model.predict(test, verbose=0),
    "title": keras_mm.evaluation.predict_without(model, test, ["image"]),
    "picture": keras_mm.evaluation.predict_without(model, test, ["title"]),
}
right = pd.DataFrame({n: p.argmax(axis=1) == truth for n, p in says.items()})
third = np.argsort(np.argsort(-weights[:, 0])) * 3 // len(test)
right.groupby(third).mean().set_axis(
    ["picture counts most", "between", "picture counts least"]
).round(2)

# %% [markdown]
# Where the picture counts most, both together are right least often. (A third is some 60 rows: a tenth more or less is within chance.)
# A weight says how the model mixes, not what a modality is worth; this gate opens for white paper, among other things. For what the
# picture is worth ask the scores, as the [report](09_does_this_modality_help.ipynb) does.
#
# ## What the choice changes, and what it does not
#
# - It does **not** change much here in how often the model is right. Better encoders and more rows move that; start there.
# - It changes **what the model can tell you**: `concat` has no weights to show; late fusions say what each modality thinks by itself.
# - It changes **what can be learned at all**: `late_mean` cannot find what only the combination tells.
# - It changes **what happens when something is missing**: see [the next notebook](08_missing_modalities.ipynb).
# - `hybrid` is the default because it keeps both ways open, not because of this race. Run `compare` on your own table, and if the
#   intervals overlap as they do here, take the simplest.
