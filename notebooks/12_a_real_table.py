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
# # A real table: what did this film take?
#
# A catalogue of films knows the box office of one film in six. What of the others? There are titles, names of people and studios,
# numbers, dates and categories, with holes in most columns, some cells that are plainly wrong, and a target that goes from a few
# dollars to three billion. We fill the column in with the defaults, compare with what one would use otherwise, ask which column helps,
# and end with a served model that takes raw rows.
#
# The films are of [Wikidata](https://www.wikidata.org/wiki/Wikidata:Copyright) (CC0), 17,472 of them, of 1940 to 2014. They come in a
# package:
#
# ```
# pip install "bokeh_sampledata>=2026.1"
# ```

# %% tags=["remove_output"]
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import logging
import sqlite3
import tempfile
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder

import keras_mm
from keras_mm.evaluation.bootstrap import Bootstrap

logging.getLogger("tensorflow").setLevel(logging.ERROR)
# %matplotlib inline

# %%
try:
    from bokeh_sampledata.movies_data import movie_path
except ImportError as error:
    raise ImportError(
        "This notebook reads the films that the package bokeh_sampledata carries. "
        'Install it by: pip install "bokeh_sampledata>=2026.1"'
    ) from error

# %% [markdown]
# ## The table
#
# The columns of people are joined to one text. Of several countries and languages we take the first. The target is in millions of
# dollars. Films of one title (remakes, mostly) are a group: they never stand on both sides of a split.

# %%
query = """
SELECT Title, Director || ', ' || coalesce(Writer, '') || ', ' || "Cast" AS People,
       Production AS Studios, Genre, Country, Language, omdb.Rating AS Certificate,
       Released, Runtime, Oscars, Metacritic, Meter, tomatoes.Rating AS Critics,
       Reviews, BoxOffice / 1e6 AS Millions
FROM omdb JOIN tomatoes USING (ID)
"""
with sqlite3.connect(movie_path) as database:
    films = pd.read_sql(query, database).replace("", None)
for name in ("Country", "Language"):
    films[name] = films[name].str.split(", ").str[0]
films["group"] = films.Title.str.lower()
is_known = films.Millions.notna()
table = films[is_known].reset_index(drop=True)
print(f"{len(films):,} films; the box office of {len(table):,} of them is known")
table.sample(5, random_state=3).drop(columns="group").T

# %% [markdown]
# ## Why it is hard
#
# In dollars, nearly all films stand at the left end and a few count for everything (left). On a logarithmic axis one sees the films,
# and some cells below a thousandth of a million, which must be errors, such as 7.386 dollars, by somebody who meant
# millions (middle). We leave them in; a real table has such cells, and a method has to live with them. And columns have holes (right).

# %%
figure, (plain, log, holes) = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
plain.hist(table.Millions, bins=50, color="#2a6fb0")
plain.set_xlabel("box office, millions of dollars")
plain.set_ylabel("films")
log.hist(table.Millions, bins=np.logspace(-6, 4, 50), color="#2a6fb0")
log.set_xscale("log")
log.set_yscale("log")
log.set_xlabel("the same, both axes logarithmic")
missing = table.drop(columns=["group", "Millions"]).isna().mean().sort_values()
missing = missing[missing > 0.01]
bars = holes.barh(missing.index, missing, color="#b0b0b0")
holes.bar_label(bars, fmt=lambda share: f" {share:.0%}", fontsize=9)
holes.set_xlim(0, 0.55)
holes.set_xticks([])
holes.set_title("missing cells", fontsize=10)
for axes in (plain, log, holes):
    axes.spines[["top", "right"]].set_visible(False)
holes.spines["bottom"].set_visible(False)

# %% [markdown]
# ## From table to model
#
# `infer_schema` finds out what the columns are, and learns from the training rows alone. Two things we say ourselves: the target is
# learned on a logarithmic scale (it stays in millions in every answer), and texts keep 4,000 n-grams each, because names seldom recur
# in 2,000 films and training is quicker.

# %%
train, validation, test = keras_mm.data.split(
    table, fractions=(0.7, 0.1, 0.2), groups="group", seed=0
)
types = {
    name: keras_mm.Text(vocabulary_size=4000) for name in ("Title", "People", "Studios")
}
types["Millions"] = keras_mm.Number(scale="log")
schema = keras_mm.infer_schema(train, target="Millions", exclude=["group"], types=types)

# %% [markdown]
# All else is the default: an encoder of n-grams for each text, one tabular encoder for numbers, dates and categories, a hybrid fusion with
# ensembles, averaged weights, early stopping, and settings that suit the number of rows.

# %% tags=["remove_output"]
started = time.process_time()
model = keras_mm.build_regressor(schema, seed=0)
settings = keras_mm.training.training_settings(len(train))
history = model.fit(
    train,
    validation_data=validation,
    epochs=settings.epochs,
    callbacks=keras_mm.training.callbacks(),
    verbose=0,
)
seconds = {"keras_mm": time.process_time() - started}

# %%
print(settings)
print(f"stopped after {len(history.history['loss'])} epochs")

# %% [markdown]
# ## Is that any good?
#
# The rivals learn from training **and** validation rows, as they need none to stop by, and predict the logarithm, too: boosted trees on
# numbers and one-hot categories; the same with 100 components of TF-IDF; ridge regression on TF-IDF of word and character n-grams; and the
# mean. All are scored on the same test rows, by R2 of the logarithm: 0 is not looking, 1 is perfect. The bars' intervals are bootstrap
# intervals of 95%, over test rows.


# %%
texts = ["Title", "People", "Studios", "Genre"]
categories = ["Country", "Language", "Certificate"]
numbers = ["Released", "Runtime", "Oscars", "Metacritic", "Meter", "Critics", "Reviews"]


def for_rivals(rows):
    words = rows[texts].fillna("").agg(" ; ".join, axis=1)
    days = (pd.to_datetime(rows.Released) - pd.Timestamp(0)).dt.days
    return rows.fillna(dict.fromkeys(categories, "")).assign(Released=days, words=words)


one_hot = OneHotEncoder(
    min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False
)
plain_columns = [("passthrough", numbers), (one_hot, categories)]
components = make_pipeline(
    TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
    TruncatedSVD(100, random_state=0),
)
tfidf = make_union(
    TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
    TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2
    ),
)
rivals = {
    "boosted trees": (make_column_transformer(*plain_columns), "trees"),
    "boosted trees + TF-IDF": (
        make_column_transformer(
            *plain_columns, (components, "words"), sparse_threshold=0
        ),
        "trees",
    ),
    "ridge on TF-IDF": (make_column_transformer((tfidf, "words")), "ridge"),
    "mean": (make_column_transformer(("passthrough", ["Runtime"])), "mean"),
}
kinds = {
    "trees": HistGradientBoostingRegressor(random_state=0),
    "ridge": Ridge(),
    "mean": DummyRegressor(),
}
rows = for_rivals(pd.concat([train, validation]))
predicted = {"keras_mm": np.log10(model.predict(test, verbose=0).ravel())}
for name, (features, kind) in rivals.items():
    started = time.process_time()
    rival = make_pipeline(features, kinds[kind])
    rival.fit(rows, np.log10(rows.Millions))
    seconds[name] = time.process_time() - started
    predicted[name] = rival.predict(for_rivals(test))

# %%
truth = np.log10(test.Millions.to_numpy())
draws = Bootstrap(len(test), groups=test.group)
resampled = {
    name: draws.scores(schema.target, "r2", truth, values)
    for name, values in predicted.items()
}
scores = pd.DataFrame(
    {
        "R2": [schema.target.score(truth, p)["r2"] for p in predicted.values()],
        "low": [draws.interval(values)[0] for values in resampled.values()],
        "high": [draws.interval(values)[1] for values in resampled.values()],
        "typical factor": [
            10 ** np.median(np.abs(truth - p)) for p in predicted.values()
        ],
        "CPU seconds": [seconds[name] for name in predicted],
    },
    index=list(predicted),
)
scores.round(2)

# %% [markdown]
# A *typical factor* of 2 means: half of the answers are between a half and twice the truth.

# %%
shown = scores.sort_values("R2")
colours = ["#2a6fb0" if name == "keras_mm" else "#b0b0b0" for name in shown.index]
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
ends = [shown.R2 - shown.low, shown.high - shown.R2]
axes.barh(shown.index, shown.R2, xerr=ends, color=colours, capsize=3)
for line, (value, high) in enumerate(zip(shown.R2, shown.high)):
    axes.text(max(high, 0) + 0.01, line, f"{abs(value):.2f}", va="center", fontsize=9)
axes.set_xlabel(f"R2 of the logarithm, {len(test)} test rows")
axes.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# The intervals overlap, but these are the same rows, and a row that is hard for one is hard for all. So ask for the differences:

# %%
for name in shown.index.drop(["keras_mm", "mean"])[::-1]:
    low, high = draws.interval(resampled["keras_mm"] - resampled[name])
    gain = scores.R2["keras_mm"] - scores.R2[name]
    print(f"keras_mm less {name}: {gain:+.3f} [{low:+.3f}, {high:+.3f}]")

# %% [markdown]
# Where the interval holds 0, these rows cannot tell the two apart. So it is with the boosted trees that read TF-IDF, too: features that
# somebody put together for this table are about as good as the defaults, in fewer seconds. What follows is what one has for the
# other seconds: a model that can be asked about its columns, and a file that a server takes as it is.

# %% [markdown]
# ## Which column helps?
#
# First, what the fusion found on the validation rows: how much each modality's own prediction counts, and the joint one.

# %%
weights = keras_mm.evaluation.expert_weights(model)
pd.DataFrame(weights).T.round(2)

# %% [markdown]
# A weight is not yet a use. `modality_report` withholds columns from the trained model, in every combination, on test rows. Its errors
# are in millions of dollars, and so the large films count most;
# less error is better, so a column with a negative number helps.

# %% tags=["remove_output"]
report = keras_mm.evaluation.modality_report(
    None,
    test,
    model=model,
    groups="group",
    metric="mean_absolute_error",
    emap_rows=0,
)

# %%
full = report.full
print(f"all: {full.score:.1f} [{full.low:.1f}, {full.high:.1f}], ", end="")
print(f"always the same answer: {report.baseline:.1f}\n")
print("\n".join(report.sentences))

# %%
gain, alone = report.left_out[::-1], report.alone[::-1]
figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 2.6), sharey=True, layout="constrained"
)
ends = [gain.gain_high - gain.gain, gain.gain - gain.gain_low]
left.barh(gain.index, -gain.gain, xerr=ends, color="#2a6fb0", capsize=3)
left.axvline(0, color="k", lw=0.8)
left.set_title("withheld: the error grows by", fontsize=10)
ends = [alone.score - alone.low, alone.high - alone.score]
right.barh(alone.index, alone.score, xerr=ends, color="#b0b0b0", capsize=3)
right.axvline(full.score, color="#2a6fb0")
right.axvline(report.baseline, color="k", ls=":")
right.set_title("alone: error (blue: all, dotted: no column)", fontsize=10)
for axes in (left, right):
    axes.set_xlabel("mean absolute error, millions of dollars")
    axes.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# Each text by itself says something, and much of it the others say, too: beside them, only the genre and the numbers (`tabular`) are
# missed beyond doubt. The numbers alone may be no better than not looking: this model was never trained to answer without any text.
# `report.plot()` shows more: subsets, Shapley values, missing cells, noise.
#
# This asks one model that was trained with all columns. Whether a model that never had a column would be worse is another question:
# `modality_report(schema, table)` trains them, see [notebook 9](09_does_this_modality_help.ipynb).
#
# ## Rows with holes
#
# Whatever is there is used. One film of the test rows, with fewer and fewer of its cells:

# %%
film = test.sort_values("Reviews").iloc[[-1]].drop(columns=["group"])
kept = {
    "all cells": list(schema.inputs),
    "without numbers": texts + categories,
    "title and studios": ["Title", "Studios"],
    "title": ["Title"],
    "nothing": [],
}
holey = pd.concat([film] * len(kept), ignore_index=True)
for line, names in enumerate(kept.values()):
    holey.loc[line, [name for name in schema.inputs if name not in names]] = None
answers = model.predict(holey, verbose=0).ravel()
print(f"{film.Title.iloc[0]}: {film.Millions.iloc[0]:.0f} millions")
pd.DataFrame({"predicted, millions": answers.round().astype(int)}, index=list(kept))

# %% [markdown]
# Never an error, but another answer: that this was a large film is mostly in its numbers and its date. With nothing, the model says
# what films take, more or less.
#
# And this is what it is for: films whose box office the catalogue does not know. Those with the most reviews:

# %%
unknown = films[~is_known].nlargest(8, "Reviews").reset_index(drop=True)
unknown["Predicted"] = model.predict(unknown, verbose=0).ravel().round().astype(int)
unknown[["Title", "Released", "Studios", "Certificate", "Reviews", "Predicted"]]

# %% [markdown]
# Take these with a grain of salt. Nobody threw dice over which films have a known box office: half of the known ones have more than
# 78 reviews, and half of the others fewer than the number below. Test rows measure films as they are known, not those.

# %%
print(f"{films[is_known].Reviews.median():.0f} reviews where the box office is known,")
print(f"{films[~is_known].Reviews.median():.0f} where it is not")

# %% [markdown]
# ## When there is more time
#
# `keras_mm.fit_ensemble(schema, pd.concat([train, validation]), folds=5, groups="group")` trains five such models, weighs them on rows that
# they have not seen, and makes one model of them, of five times the size. Run once on these films (the schema, too, learned from both
# parts), it took 199 CPU seconds and gained nothing to speak of: R2 .59, typical factor 2.01.
#
# ## Served
#
# `export` writes a SavedModel that takes the cells as they are, and compares every output with the model, on rows with missing cells,
# too, before it gets its version number.

# %% tags=["remove_output"]
folder = tempfile.mkdtemp()
path = keras_mm.export(model, os.path.join(folder, "films"), verbose=False)

# %%
exported = keras_mm.load_exported(path)
served = np.array(exported(test)["Millions"])
difference = np.abs(served / model.predict(test, verbose=0).ravel() - 1).max()
print(
    "largest relative difference from predict, on all test rows:",
    "below 1e-4" if difference < 1e-4 else difference,
)

# %% [markdown]
# A film that does not exist, and most of whose cells are missing:

# %%
request = dict.fromkeys(schema.inputs, [None]) | {
    "Title": ["Return of the Robot Pirates"],
    "Studios": ["Walt Disney Pictures"],
    "Genre": ["Sci-Fi, Adventure, Family"],
    "Released": ["2014-06-20"],
    "Runtime": [118.0],
}
print(f"{exported(request)['Millions'].iloc[0]:.0f} millions")
print(f"{np.median(table.Millions):.0f} is the median of all films")
