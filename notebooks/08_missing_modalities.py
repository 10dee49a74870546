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
# # What if something is missing?
#
# In the table that we train on everything is there. In the one that comes next month, pictures fail to load and nobody has typed a
# title. A model that never saw a gap may answer, and answer badly. We remove cells on purpose, see what that costs, and what training
# can do about it: **modality dropout**, which hides cells while the model learns, and a **learned token** that stands in for them.

# %% tags=["remove_output"]
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import itertools
import logging
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import keras_mm

logging.getLogger("tensorflow").setLevel(logging.ERROR)
# %matplotlib inline

# %% [markdown]
# ## Three columns of clip art
#
# The four largest classes, small pictures. The bundled text is a title and keywords; here they are two columns, because one may be
# there without the other. Each row of the table has all three, so that it is we who decide what is missing.

# %%
table = keras_mm.data.clipart()
largest = table.category.value_counts().index[:4]
table = table[table.category.isin(largest)]
parts = table.text.str.split(" ; ", n=1)
table = table.assign(keywords=parts.str[1])
complete = table.image.notna() & table.title.ne("") & table.keywords.fillna("").ne("")
table = table[complete].reset_index(drop=True)
train, validation, test = keras_mm.data.split(
    table, fractions=(0.5, 0.15, 0.35), groups="group", stratify="category", seed=0
)
print(len(train), len(validation), len(test), "rows")

names = ["image", "title", "keywords"]
schema = keras_mm.Schema(
    inputs={
        "image": keras_mm.Image((32, 32), augmentation=None),
        "title": keras_mm.Text(sequence_length=16),
        "keywords": keras_mm.Text(sequence_length=16),
    },
    targets={"category": keras_mm.ClassLabel()},
).adapt(train)
test[["title", "keywords", "category"]].head(4)

# %% [markdown]
# ## One model, trained in three ways, and a second one
#
# The fusion is `gated`, one vector for all; it is the kind that may come to rely on everything being there. (The default, `hybrid`,
# also lets each modality predict by itself. We train it, too, to compare.)

# %%
ways = {
    "complete rows only": {"modality_dropout": 0.0, "fusion": "gated"},
    "modality dropout": {"modality_dropout": 0.5, "fusion": "gated"},
    "dropout and token": {
        "modality_dropout": 0.5,
        "missing_token": True,
        "fusion": "gated",
    },
    "hybrid, dropout": {"modality_dropout": 0.5},
}
models = {}
for name, settings in ways.items():
    models[name] = keras_mm.build_classifier(
        schema,
        encoders={"image": keras_mm.encoders.CNN([16, 32, 64])},
        seed=0,
        **settings,
    )
    models[name].fit(train, validation_data=validation, epochs=8, verbose=0)

# %% [markdown]
# ## Half of all cells are gone
#
# Of all cells of the test table, half are removed by chance; each row keeps one at least. Missing is what it is in pandas: None.


# %%
def remove(table, rate, seed):
    """The table without a share of its cells; each row keeps one."""
    random = np.random.default_rng(seed)
    spared = np.eye(3, dtype=bool)[random.integers(3, size=len(table))]
    free = random.permutation(np.flatnonzero(~spared))
    gone = np.zeros(spared.size, bool)
    gone[free[: round(rate * gone.size)]] = True
    holed = table.copy()
    for name, column in zip(names, gone.reshape(spared.shape).T):
        holed[name] = holed[name].astype(object).where(~column, None)
    return holed


half = remove(test, 0.5, seed=0)
print("missing:", half[names].isna().mean().round(2).to_dict())
half[["title", "keywords"]].head(4)

# %%
tables = {
    rate: [remove(test, rate, seed) for seed in range(2)]
    for rate in (0.2, 0.35, 0.5, 0.66)
}
tables = {0.0: [test], **tables}
curves = pd.DataFrame(
    {
        name: {
            rate: np.mean([keras_mm.evaluation.score(model, t)["accuracy"] for t in of])
            for rate, of in tables.items()
        }
        for name, model in models.items()
    }
)
figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, style in zip(curves, ("o:", "o-", "s-", "^-")):
    axis.plot(curves.index, curves[name], style, ms=5, label=name)
guess = (test.category == train.category.mode()[0]).mean()
axis.axhline(guess, color="black", lw=1, ls=":")
axis.text(0, guess + 0.01, "always the most frequent class", fontsize=8)
axis.set(xlabel="share of cells missing", ylabel="accuracy on the test rows")
axis.grid(alpha=0.3)
axis.spines[["top", "right"]].set_visible(False)
axis.legend(fontsize=8)
plt.show()

# %%
curves.rename_axis("missing").round(3)

# %% [markdown]
# At .66 nearly every row has one cell left. Two draws of what is missing are averaged; the test rows are the same throughout. While
# everything is there, modality dropout costs next to nothing; as soon as cells go, the model that never saw a gap falls behind. With
# one cell left the curves draw together again: nothing is left to mix.
#
# Is that chance? Take the first draw at one half, and count the rows on which two models disagree about the truth.

# %%
truth = test.category.to_numpy()
right = {
    name: np.array(schema.target.names)[model.predict(half, verbose=0).argmax(1)]
    == truth
    for name, model in models.items()
}
first = "modality dropout"
for other in (name for name in models if name != first):
    wins = int((right[first] & ~right[other]).sum())
    losses = int((right[other] & ~right[first]).sum())
    print(f"{first} alone right {wins:>2}, {other} alone right {losses:>2}")

# %% [markdown]
# ## Every subset
#
# What the models know when these columns are there and all others are not, in any row.

# %%
subsets = [s for size in (3, 2, 1) for s in itertools.combinations(names, size)]
pd.DataFrame(
    {
        way: {
            " + ".join(there): keras_mm.evaluation.score(
                model, test, withhold=[name for name in names if name not in there]
            )["accuracy"]
            for there in subsets
        }
        for way, model in models.items()
    }
).round(3)

# %% [markdown]
# Keywords alone are nearly as good as everything, so all is well as long as they are there. Where they are not, the model that was
# trained on complete rows is lost: with title and picture it is far worse than with the title alone. It learned to lean on the
# keywords and never what to make of the other two by themselves, and then a picture that knows little drowns a title that knows
# something.
# Modality dropout mends most of that. It cannot make knowledge: of the picture alone none of the four makes much.
#
# The learned token adds nothing here. `hybrid` is best in most lines, but against `gated` with the same dropout that is a matter of
# few rows, as the counts above show; another seed may turn it.
#
# ## The same rows, asked of the server's model
#
# The export has the rules for what is missing inside. Half of the cells gone, raw bytes and strings in, class names out: the answers
# must be those of the model that we trained.

# %%
model = models["modality dropout"]
path = keras_mm.export(model, f"{tempfile.mkdtemp()}/clipart", verbose=False)
exported = keras_mm.load_exported(path)
answers = exported(half[names])
served = np.stack(answers.category_probabilities)
here = model.predict(half, verbose=0)
print(f"largest difference of a probability: {np.abs(served - here).max():.6f}")
accuracy = (answers.category == half.category).mean()
trained = keras_mm.evaluation.score(model, half)["accuracy"]
print(f"accuracy as served {accuracy:.3f}, as trained {trained:.3f}")

# %% [markdown]
# What the gates make of rows with gaps: a column that is not there weighs nothing.

# %%
shown = half.head(6).reset_index(drop=True)
weights = exported(shown[names], signature="explain")[names].add_prefix("weight_")
weights.round(2).assign(
    image=shown.image.notna(),
    title=shown.title,
    keywords=shown.keywords.str.slice(0, 24),
    answer=exported(shown[names]).category,
)

# %% [markdown]
# ## What to do
#
# - Keep `modality_dropout` on (the builders' default is 0.3), unless you are sure that cells never go missing. Here it cost half a
#   hundredth on complete rows.
# - Look at the table of all subsets before you deploy; the curve hides which column it is that must not be missing.
# - One training of each, 241 test rows: differences of one or two hundredths in these tables mean nothing.
