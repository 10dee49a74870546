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
# # Does this modality help?
#
# Every column costs something: somebody has to photograph, type or buy it. So before a column goes into the model for good, we want
# to know what it adds. Looking at the whole score is not enough, and neither is how good the column is alone: it may say only what
# another one says already. `modality_report` asks in several ways at once and puts an interval on each answer.
#
# To know whether the report can be trusted, we give it one column that **cannot** help: a random number, drawn below.

# %% tags=["remove_output"]
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import logging

import numpy as np

import keras_mm

logging.getLogger("tensorflow").setLevel(logging.ERROR)
# %matplotlib inline

# %% [markdown]
# ## The rows
#
# The four largest classes of the bundled clip art, pictures of 32 pixels, and the title as somebody typed it, without the keywords,
# which often name the class.

# %%
table = keras_mm.data.clipart()
largest = table.category.value_counts().index[:4]
table = table[table.category.isin(largest)].reset_index(drop=True)
table["dice"] = np.random.default_rng(0).normal(size=len(table))
schema = keras_mm.Schema(
    inputs={
        "image": keras_mm.Image((32, 32), augmentation=None),
        "title": keras_mm.Text(sequence_length=16),
        "dice": keras_mm.Number(),
    },
    targets={"category": keras_mm.ClassLabel()},
)
table[["title", "dice", "category"]].head(4)

# %% [markdown]
# ## The report
#
# In each fold a model of all three is trained, one of each alone, and one without each; all are judged on rows that they did not see.
# Near-duplicates (`group`) stay together.

# %% tags=["remove_output"]
report = keras_mm.evaluation.modality_report(
    schema,
    table,
    fusion="gated",
    encoders={"image": keras_mm.encoders.CNN([16, 32, 64])},
    folds=2,
    groups="group",
    epochs=6,
    patience=4,
    emap_rows=100,
    seed=0,
)

# %%
print(f"all three: {report.full.score:.2f} [{report.full.low:.2f}, ", end="")
print(f"{report.full.high:.2f}], without looking {report.baseline:.2f}\n")
print("\n".join(report.sentences))

# %% [markdown]
# A sentence says "helps" or "hurts" only if the whole interval lies on one side of 0. The title helps, beyond doubt. The dice do not,
# as it must be. And the picture? Alone it is better than not looking, but beside the title what it adds cannot be told from what the
# dice add.

# %%
report.plot()

# %% [markdown]
# Above: what having a column adds, how good each is alone, and its Shapley value (see below). Below: the score as cells go missing, as
# noise comes in, and with only some of the columns there.

# %% [markdown]
# ## Alone, and beside the others
#
# `score` is that of the column alone; `gain` is the score of all three less that of a model that was trained without the column.

# %%
report.alone.join(report.left_out[["gain", "gain_low", "gain_high"]]).round(3)

# %% [markdown]
# ## Shapley values
#
# Withhold columns from the model of all three, in every combination, and share its score out fairly: what a column adds, averaged
# over all orders in which columns could come in. The values sum to the score less that of not looking.

# %%
print(f"sum {report.shapley.value.sum():.3f},", end=" ")
print(f"score less baseline {report.full.score - report.baseline:.3f}")
report.shapley.round(3)

# %% [markdown]
# This asks one trained model, where the gain above compares two. A model that has a title hardly listens to the picture, and so the
# picture is worth little to it, also in the rows whose title it withholds.

# %% [markdown]
# ## Do they interact?
#
# EMAP replaces the model by its nearest additive one, in which each column has its say and none changes what another means. `gap` is
# what the model has over that one, on a sample of the rows. Where it is 0, a late fusion would have done as well.

# %%
report.interactions.round(3).to_frame("").T

# %% [markdown]
# The interval holds 0: on these rows, a late fusion would have done as well.
#
# ## What to conclude
#
# - **Keep the title.** It carries the model: alone it is about as good as everything together.
# - **Drop the dice.** That was clear before; that the report says so, too, is why the other lines can be believed.
# - **The picture: not in this form.** The report is about these encoders and these rows, not about pictures as such. This small
#   network learned to see from a few hundred of them, 32 pixels wide. A pretrained encoder sees more, and then the picture does help (see the
#   README and [notebook 05](05_pretrained_encoders.ipynb)). It is also all there is where nobody typed a title.
# - **Not seen is not the same as not there.** "Does not help" means that these rows cannot tell the gain from 0. The interval says how
#   large a gain they could have missed; for a smaller one it takes more rows.
# - **The intervals are of rows, not of seeds.** They say what other rows of the same kind might have given. Train again with another
#   `seed`, and each model comes out a little different; a gain of a hundredth or two can turn its sign by that alone. For a decision
#   that costs money, run the report with several seeds and more folds.
