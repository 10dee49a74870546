"""Encoders of numbers on nine small tables that installable packages carry.

    python -m pip install --no-deps statsmodels vega_datasets
    python benchmarks/number_encoders.py [--tables wine cars] [--results FILE]

scikit-learn: diabetes, breast cancer, wine, digits (64 pixels as 64 numbers).
statsmodels: fair (2,000 rows), anes96, star98. vega_datasets: cars, Seattle's
weather. Nothing is downloaded; the two packages need not be imported.

Every row is predicted once, in five folds (stratified by class, or by the number's
decile). A sixth of the training rows decides when a network stops; its settings are
the same on all tables and were not chosen on them. The rivals, which have no such
need, get all training rows and are scikit-learn's defaults (of logistic regression
more iterations). Networks are the builders' defaults, which for `tabular` are experts
of 16 members. The score is R2 or accuracy of all rows; what counts as a win or a loss of
`tabular` is a 95% interval of the difference that leaves out 0 (rows drawn again,
the same rows for both).
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import importlib.util
import json
import re
import time

import numpy as np
import pandas as pd
from sklearn import datasets, ensemble, linear_model
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FOLDS = 5
EPOCHS = 100
RESAMPLES = 1000


def packaged(package, path):
    """The path of a file in a package that is not imported."""
    found = importlib.util.find_spec(package)
    if found is None:
        return None
    return os.path.join(next(iter(found.submodule_search_locations)), path)


def of_sklearn(name):
    """A table of scikit-learn, its target's name, and its categories."""
    found = getattr(datasets, f"load_{name}")(as_frame=True).frame
    if name != "diabetes":
        found["target"] = found["target"].astype(str)
    found.columns = [re.sub("[ /]", "_", str(name)) for name in found]
    return found, "target", []


def of_statsmodels(name):
    """A table of statsmodels."""
    path = packaged("statsmodels", f"datasets/{name}/{name}.csv")
    if path is None:
        return None
    if name == "anes96":
        table = pd.read_csv(path, sep="\t")
        table.columns = [column.strip("'") for column in table]
        return table.assign(vote=table.vote.astype(str)), "vote", []
    table = pd.read_csv(path)
    if name == "fair":
        table = table.sample(2000, random_state=0).reset_index(drop=True)
        table["affair"] = np.where(table.pop("affairs") > 0, "yes", "no")
        table["occupation"] = table.occupation.astype(int).astype(str)
        return table, "affair", ["occupation"]
    # The share of a school district's pupils above the median in mathematics.
    table["above"] = table.pop("PR50M") / table["MATHTOT"]
    # The rest are products of these.
    return table[[name for name in table if "_" not in name]], "above", []


def of_vega(name):
    """A table of vega_datasets."""
    path = packaged("vega_datasets", f"_data/{name}")
    if path is None:
        return None
    if name == "seattle-weather.csv":
        return pd.read_csv(path).drop(columns="date"), "weather", []
    table = pd.read_json(path).dropna(subset="Miles_per_Gallon")
    table["Year"] = pd.to_datetime(table.Year).dt.year
    table = table.drop(columns="Name").reset_index(drop=True)
    return table, "Miles_per_Gallon", ["Origin"]


TABLES = {
    "diabetes": lambda: of_sklearn("diabetes"),
    "breast_cancer": lambda: of_sklearn("breast_cancer"),
    "wine": lambda: of_sklearn("wine"),
    "digits": lambda: of_sklearn("digits"),
    "cars": lambda: of_vega("cars.json"),
    "weather": lambda: of_vega("seattle-weather.csv"),
    "anes96": lambda: of_statsmodels("anes96"),
    "star98": lambda: of_statsmodels("star98"),
    "fair": lambda: of_statsmodels("fair"),
}


def network(encoder):
    """A method that trains a network whose numbers have this encoder."""

    def fit(table, target, categories, seed):
        import keras

        import keras_mm

        keras.backend.clear_session()
        is_number = table[target].dtype.kind == "f"
        inputs = {
            name: keras_mm.Category() if name in categories else keras_mm.Number()
            for name in table
            if name != target
        }
        targets = {target: keras_mm.Number() if is_number else keras_mm.ClassLabel()}
        train, held = train_test_split(
            table,
            test_size=1 / 6,
            random_state=0,
            stratify=None if is_number else table[target],
        )
        train, held = (part.reset_index(drop=True) for part in (train, held))
        schema = keras_mm.Schema(inputs, targets).adapt(train)
        build = keras_mm.build_regressor if is_number else keras_mm.build_classifier
        model = build(schema, seed=seed, **options(encoder, schema))
        model.fit(
            train,
            validation_data=held,
            epochs=EPOCHS,
            callbacks=keras_mm.training.callbacks(),
            verbose=0,
        )

        def predict(rows):
            found = np.asarray(model.predict(rows, verbose=0))
            if is_number:
                return found.reshape(-1)
            names = np.array(model.schema.target.names)
            return names[found.argmax(axis=1)]

        return predict

    return fit


def options(encoder, schema):
    """Arguments of the builder that give numbers an encoder; `tabular`: the defaults."""
    if encoder == "tabular":
        return {}
    if encoder == "feature_transformer":
        return {"encoders": {"tabular": encoder}}
    names = [name for name, value in schema.inputs.items() if value.kind == "category"]
    return {"encoders": {"numbers": encoder} | dict.fromkeys(names, "embedding")}


def rival(linear):
    """Boosted trees, or a linear model, on numbers and one-hot categories."""

    def fit(table, target, categories, seed):
        is_number = table[target].dtype.kind == "f"
        numbers = [n for n in table if n != target and n not in categories]
        read = [SimpleImputer(add_indicator=True), StandardScaler()]
        features = make_column_transformer(
            (make_pipeline(*read) if linear else "passthrough", numbers),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
        )
        if linear:
            model = linear_model.LogisticRegression(max_iter=2000)
            model = linear_model.Ridge() if is_number else model
        else:
            name = "Regressor" if is_number else "Classifier"
            model = getattr(ensemble, f"HistGradientBoosting{name}")(random_state=seed)
        model = make_pipeline(features, model)
        return model.fit(table.drop(columns=target), table[target]).predict

    return fit


METHODS = {
    "tabular": network("tabular"),
    "dense": network("dense"),
    "feature_transformer": network("feature_transformer"),
    "boosted": rival(linear=False),
    "linear": rival(linear=True),
}


def fold_of(label):
    """The fold of each row."""
    if label.dtype.kind == "f":
        label = pd.qcut(label.rank(method="first"), 10, labels=False)
    fold = np.empty(len(label), int)
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for number, (_, rows) in enumerate(splitter.split(label, label)):
        fold[rows] = number
    return fold


def score(truth, predicted, weights):
    """R2 or accuracy under each row of weights."""
    if truth.dtype.kind != "f":
        return weights @ (truth == predicted) / weights.sum(axis=1)
    count = weights.sum(axis=1)
    mean = weights @ truth / count
    spread = weights @ truth**2 - count * mean**2
    return 1 - weights @ (truth - predicted) ** 2 / spread


def run(table, target, categories, method):
    """Predictions of all rows, scores of the folds, and seconds a fold."""
    fold = fold_of(table[target])
    is_number = table[target].dtype.kind == "f"
    found = np.empty(len(table), float if is_number else object)
    seconds, processor = [], []
    for number in range(FOLDS):
        train = table[fold != number].reset_index(drop=True)
        test = table[fold == number].reset_index(drop=True)
        started, cpu = time.time(), time.process_time()
        predict = METHODS[method](train, target, categories, number)
        seconds.append(time.time() - started)
        processor.append(time.process_time() - cpu)
        found[fold == number] = predict(test.drop(columns=target))
    folds = []
    for number in range(FOLDS):
        rows = fold == number
        truth = table[target].to_numpy()[rows]
        folds.append(float(score(truth, found[rows], np.ones((1, rows.sum())))[0]))
    return {
        "predictions": found.tolist(),
        "folds": folds,
        "seconds": float(np.median(seconds)),
        "processor_seconds": float(np.median(processor)),
    }


def report(results, tables):
    """Markdown tables: scores, and wins, ties and losses."""
    methods = [m for m in METHODS if any(m in found for found in results.values())]
    first, *others = methods
    print("\n| table | rows x columns |", " | ".join(f"`{m}`" for m in methods), "|")
    print("|---" * (len(methods) + 2) + "|")
    counts = {name: [0, 0, 0] for name in others}
    for name, (table, target, _) in tables.items():
        truth = table[target].to_numpy()
        random = np.random.default_rng(0)
        rows = len(truth)
        weights = random.multinomial(rows, np.full(rows, 1 / rows), RESAMPLES)
        cells = [f"{name} ({'R2' if truth.dtype.kind == 'f' else 'accuracy'})"]
        cells.append(f"{rows:,} x {table.shape[1] - 1}")
        drawn = {}
        for method in methods:
            found = results[name].get(method)
            if found is None:
                cells.append("")
                continue
            predicted = np.array(found["predictions"], dtype=truth.dtype)
            drawn[method] = score(truth, predicted, weights)
            whole = score(truth, predicted, np.ones((1, rows)))[0]
            text = f"{whole:.3f} ± {np.std(found['folds']):.3f}"
            if method != first and first in drawn:
                low, high = np.percentile(drawn[first] - drawn[method], [2.5, 97.5])
                outcome = 0 if low > 0 else 2 if high < 0 else 1
                counts[method][outcome] += 1
                text += f" [{low:+.3f}, {high:+.3f}]"
            cells.append(text)
        print("|", " | ".join(cells), "|")
    for what in ("seconds", "processor_seconds"):
        cells = []
        for method in methods:
            values = [f[method][what] for f in results.values() if method in f]
            cells.append(f"{np.median(values):.1f}")
        what = what.replace("_", " ")
        print(f"| {what} a fold, median |  |", " | ".join(cells), "|")
    for method, (wins, ties, losses) in counts.items():
        print(f"{first} against {method}: {wins} wins, {ties} ties, {losses} losses")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--results", default="number_encoders.jsonl")
    options = parser.parse_args()
    results = {name: {} for name in TABLES}
    if os.path.exists(options.results):
        with open(options.results, encoding="utf-8") as file:
            for line in map(json.loads, file):
                results[line["table"]][line["method"]] = line
    tables = {}
    for name in options.tables:
        found = TABLES[name]()
        if found is None:
            print(f"{name}: skipped, its package is not installed")
            continue
        tables[name] = found
        for method in options.methods:
            if method in results[name]:
                continue
            line = {"table": name, "method": method, **run(*found, method)}
            results[name][method] = line
            with open(options.results, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            short = f"{np.mean(line['folds']):.3f} +- {np.std(line['folds']):.3f}"
            print(
                f"{name:<14} {method:<20} {short} {line['seconds']:.0f} s", flush=True
            )
    report({name: results[name] for name in tables}, tables)


if __name__ == "__main__":
    main()
