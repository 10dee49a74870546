"""Methods that this library is compared with, each as its documentation shows it.

Each is `fit(task, train, validation) -> (predict, paths)`: a function from rows to
predictions, and what a user would have to keep, an object to pickle or a folder.
Predictions are numbers `(rows,)`, or probabilities `(rows, classes)` in the order of
`task["classes"]`. None needs the library; each imports its own.
"""

import io
import os

import numpy as np
import pandas as pd

CORES = 2


def columns_of(task, *roles):
    """The task's columns of these roles, in order."""
    return [name for name, role in task["roles"].items() if role.split()[0] in roles]


def is_number(task):
    """Whether the target is a number."""
    return task["kind"] == "number"


def both(train, validation):
    """All rows that are not tested."""
    return pd.concat([train, validation], ignore_index=True)


def words(table, task):
    """All words of a row as one text: lists and texts, one after the other."""
    found = pd.Series("", index=table.index)
    for name in columns_of(task, "list", "text"):
        cells = table[name].map(
            lambda x: x if isinstance(x, str) else " ".join(x) if x is not None else ""
        )
        found = found + cells + " ; "
    return found


def frame(table, task):
    """Numbers, categories and texts for libraries that read data frames."""
    found = table[columns_of(task, "number", "category", "text")].copy()
    for name in columns_of(task, "category", "text"):
        found[name] = found[name].fillna("").astype(object)
    for name in columns_of(task, "list"):
        found[name] = table[name].map(" ".join).astype(object)
    return found


def in_order(probabilities, found, classes):
    """Columns of the classes that a model knows, put in the order of all."""
    answer = np.zeros((len(probabilities), len(classes)))
    answer[:, [list(classes).index(name) for name in found]] = probabilities
    return answer


def tfidf():
    """Word and character n-grams."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2
        ),
    )


def constant(task, train, validation):
    """The mean, or the classes' frequencies."""
    label = both(train, validation)[task["target"]]
    if is_number(task):
        return lambda table: np.full(len(table), label.mean()), label.mean()
    shares = label.value_counts(normalize=True).reindex(task["classes"]).fillna(0)
    return lambda table: np.tile(shares, (len(table), 1)), shares


def linear_tfidf(task, train, validation):
    """Ridge or logistic regression on TF-IDF; its strength chosen on validation."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline

    target = task["target"]
    models = (
        [Ridge(alpha=alpha) for alpha in (0.3, 1, 3)]
        if is_number(task)
        else [LogisticRegression(C=c, max_iter=500) for c in (3, 10, 30)]
    )
    reader = tfidf()
    x = reader.fit_transform(words(train, task))
    held = reader.transform(words(validation, task))
    scores = [m.fit(x, train[target]).score(held, validation[target]) for m in models]
    best = models[int(np.argmax(scores))]
    whole = both(train, validation)
    best = make_pipeline(tfidf(), best).fit(words(whole, task), whole[target])
    return _predictor(task, best, lambda table: words(table, task))


def _predictor(task, model, features):
    def predict(table):
        x = features(table)
        if is_number(task):
            return np.asarray(model.predict(x), float).reshape(-1)
        return in_order(model.predict_proba(x), model.classes_, task["classes"])

    return predict, (model, features if hasattr(features, "reader") else None)


class Features:
    """Numbers, one-hot categories and lists, 100 SVD components of TF-IDF."""

    reader = True

    def __init__(self, task):
        from sklearn.compose import make_column_transformer
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder

        self.task = task
        one_hot = OneHotEncoder(
            min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False
        )
        steps = [
            ("passthrough", columns_of(task, "number")),
            (one_hot, columns_of(task, "category")),
        ]
        steps += [
            (CountVectorizer(binary=True, min_df=5, token_pattern=r"\S+"), name)
            for name in columns_of(task, "list")
        ]
        if columns_of(task, "text"):
            svd = make_pipeline(
                TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
                TruncatedSVD(100, random_state=0),
            )
            steps.append((svd, "all words"))
        self.transformer = make_column_transformer(*steps, sparse_threshold=0)

    def _frame(self, table):
        return frame(table, self.task).assign(**{"all words": words(table, self.task)})

    def fit(self, table):
        self.transformer.fit(self._frame(table))
        return self

    def __call__(self, table):
        return np.asarray(self.transformer.transform(self._frame(table)), float)


def boosted(task, train, validation):
    """scikit-learn's HistGradientBoosting, its defaults."""
    from sklearn import ensemble

    whole = both(train, validation)
    features = Features(task).fit(whole)
    name = "Regressor" if is_number(task) else "Classifier"
    model = getattr(ensemble, f"HistGradientBoosting{name}")(random_state=0)
    model.fit(features(whole), whole[task["target"]])
    return _predictor(task, model, features)


def lightgbm(task, train, validation):
    """LightGBM on the same features; the number of trees from validation rows."""
    import lightgbm

    features = Features(task).fit(train)
    options = {"n_estimators": 2000, "learning_rate": 0.05, "n_jobs": CORES}
    name = "LGBMRegressor" if is_number(task) else "LGBMClassifier"
    model = getattr(lightgbm, name)(verbosity=-1, random_state=0, **options)
    model.fit(
        features(train),
        train[task["target"]],
        eval_set=[(features(validation), validation[task["target"]])],
        callbacks=[lightgbm.early_stopping(100, verbose=False)],
    )
    return _predictor(task, model, features)


def catboost(task, train, validation):
    """CatBoost, which reads categories and texts itself."""
    import catboost

    name = "CatBoostRegressor" if is_number(task) else "CatBoostClassifier"
    texts = columns_of(task, "text", "list")
    model = getattr(catboost, name)(
        thread_count=CORES,
        random_seed=0,
        verbose=False,
        allow_writing_files=False,
        cat_features=columns_of(task, "category"),
        text_features=texts,
        # Reviews and film sentences have no other column.
        early_stopping_rounds=100,
    )
    target = task["target"]
    model.fit(
        frame(train, task),
        train[target],
        eval_set=(frame(validation, task), validation[target]),
    )
    return _predictor(task, model, lambda table: frame(table, task))


def thumbnail(cell, side=12, bins=6):
    """A small picture and its colour histogram; zeros where there is none."""
    from PIL import Image

    width = side * side * 3 + bins**3
    if not isinstance(cell, bytes):
        return np.zeros(width, "float32")
    picture = Image.open(io.BytesIO(cell)).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    picture = Image.alpha_composite(white, picture).convert("RGB")
    pixels = np.asarray(picture).reshape(-1, 3)
    counts, _ = np.histogramdd(pixels, bins=bins, range=[(0, 256)] * 3)
    small = np.asarray(picture.resize((side, side)), "float32").ravel() / 255
    return np.concatenate([small, np.sqrt(counts.ravel() / len(pixels))])


def moments(cell, width):
    """Mean, spread and last frame of a sequence; NaN where there is none."""
    if cell is None:
        return np.full(3 * width, np.nan)
    frames = np.asarray(cell, float).reshape(-1, width)
    return np.concatenate([frames.mean(0), frames.std(0), frames[-1]])


def picture_linear(task, train, validation):
    """Ridge or logistic regression on thumbnails and colour histograms."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def features(table):
        return np.concatenate(
            [
                np.stack([thumbnail(cell) for cell in table[name]])
                for name in columns_of(task, "picture")
            ],
            axis=1,
        )

    whole = both(train, validation)
    model = (
        Ridge(3000) if is_number(task) else LogisticRegression(C=0.003, max_iter=300)
    )
    model = make_pipeline(StandardScaler(), model)
    model.fit(features(whole), whole[task["target"]])
    return _predictor(task, model, features)


def sequence_boosted(task, train, validation):
    """HistGradientBoosting on each channel's mean, spread and last value."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    def features(table):
        return np.concatenate(
            [
                np.stack([moments(c, int(role.split()[1])) for c in table[name]])
                for name, role in task["roles"].items()
                if role.startswith("sequence")
            ],
            axis=1,
        )

    whole = both(train, validation)
    model = HistGradientBoostingClassifier(random_state=0)
    model.fit(features(whole), whole[task["target"]])
    return _predictor(task, model, features)


def summed(task, train, validation):
    """Summed log-probabilities of models of one modality (numbers: their mean)."""
    kinds = {
        ("number", "category", "list"): boosted,
        ("text",): linear_tfidf,
        ("picture",): picture_linear,
        ("sequence",): sequence_boosted,
    }
    fitted = []
    for roles, method in kinds.items():
        names = columns_of(task, *roles)
        # Each sequence by itself.
        for part in [[n] for n in names] if roles == ("sequence",) else [names]:
            if part:
                chosen = {name: task["roles"][name] for name in part}
                fitted.append(method({**task, "roles": chosen}, train, validation))

    def predict(table):
        answers = np.stack([predict(table) for predict, _ in fitted])
        if is_number(task):
            return answers.mean(axis=0)
        logits = np.log(answers + 1e-6).sum(axis=0)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    return predict, [kept for _, kept in fitted]


def autogluon(task, train, validation):
    """AutoGluon Tabular, its defaults; it holds out validation rows itself."""
    from autogluon.tabular import TabularPredictor

    target = task["target"]

    def rows(table, label=True):
        found = frame(table, task)
        return found.assign(**{target: table[target].to_numpy()}) if label else found

    path = os.path.join(task["folder"], "autogluon")
    predictor = TabularPredictor(
        target,
        path=path,
        problem_type="regression" if is_number(task) else None,
        verbosity=1,
    ).fit(rows(both(train, validation)), num_cpus=CORES, num_gpus=0)
    return _autogluon_answers(task, predictor, rows), path


def _autogluon_answers(task, predictor, rows):
    def predict(table):
        if is_number(task):
            return np.asarray(predictor.predict(rows(table, label=False)), float)
        found = predictor.predict_proba(rows(table, label=False))
        return in_order(found.to_numpy(), found.columns, task["classes"])

    return predict


RIVALS = {
    "constant": constant,
    "linear_tfidf": linear_tfidf,
    "picture_linear": picture_linear,
    "boosted": boosted,
    "lightgbm": lightgbm,
    "catboost": catboost,
    "summed": summed,
    "autogluon": autogluon,
}
