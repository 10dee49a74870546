import json
import os

import numpy as np

from ..files import replacing
from ..training.progress import counted
from .bootstrap import Bootstrap
from .fingerprint import fingerprint, rows_fingerprint
from .metrics import metric_of
from .trials import Trials, check_fusion, predict

_KEYS = ("name", "fold", "parameters", "seconds", "fusion", "settings")


def compare(
    schema,
    table,
    fusions=("concat", "gated"),
    encoders=None,
    folds=5,
    groups=None,
    metric=None,
    epochs=40,
    patience=10,
    path=None,
    seed=0,
    base_dir=None,
    bad="error",
    **options,
):
    """A leaderboard of fusions, with each modality alone always in it.

    Every model is trained and judged on the same folds. With `path` each fit is
    kept as soon as it is done, and the same call goes on where it was
    interrupted; more fusions may be added later.

    Examples:

    >>> schema = keras_mm.Schema(
    ...     {"price": keras_mm.Number(), "city": keras_mm.Category()},
    ...     {"category": keras_mm.ClassLabel()})
    >>> results = keras_mm.evaluation.compare(
    ...     schema, table, ["gated"], folds=2, epochs=1, patience=None,
    ...     path="results.csv")
    >>> sorted(results.index)
    ['city alone', 'gated', 'price alone']
    >>> keras_mm.evaluation.plot_comparison(results).savefig("results.png")

    Args:
        schema: `Schema` of two modalities or more, adapted or not: each fold
            adapts a copy to its training rows.
        table: rows with the target, in any form that `keras_mm.data.to_table`
            reads.
        fusions: list of names (`keras_mm.fusion.FUSIONS`) and `Fusion` objects,
            or a dict from a name of yours to either.
        encoders: as in `build_classifier`, the same for all.
        folds: int, 2 or more.
        groups: name of a column; rows with the same value stay in one fold and
            are drawn together.
        metric: name of a score that `score` gives; default `accuracy`,
            `macro_f1` for several labels, `r2` for numbers.
        epochs: int, most epochs of a fit.
        patience: int, epochs without improvement on a seventh of the training
            rows until a fit stops, or None: all rows train, for all epochs.
        path: CSV file for the fits, one row each; predictions of held-out rows
            go into an `.npz` file beside it. Or None.
        seed: int; the same seed gives the same results on one machine.
        base_dir: as in `model.fit`.
        bad: as in `model.fit`.
        **options: what the builder takes besides: `hidden_units`,
            `modality_dropout`...

    Returns:
        DataFrame, the best first, by name: `kind` (`"alone"` or `"fused"`);
        `mean` of the metric over the folds with its 95% interval `low`, `high`;
        `std` between folds; `difference` to the best single modality with
        `difference_low`, `difference_high`, from the same draws of rows;
        `parameters`; mean `seconds` of a fit. The metric is `attrs["metric"]`.

    Raises:
        ValueError: if an argument does not fit, or the file at `path` is of
            other settings, before anything is trained.
    """
    trials = Trials(
        schema,
        table,
        folds,
        groups,
        encoders,
        epochs,
        patience,
        seed,
        base_dir,
        bad,
        options,
    )
    metric = metric_of(trials.target, metric)
    names = tuple(trials.modalities)
    if len(names) < 2:
        raise ValueError(
            "There is nothing to fuse: the schema has one modality. "
            f"Received: modalities={list(names)}"
        )
    entries = {f"{name} alone": ((name,), None) for name in names}
    for name, fusion in _named(fusions).items():
        if name in entries:
            raise ValueError(
                f"The name {name!r} is that of a single modality. Rename the "
                f"fusion. Received: fusions={list(_named(fusions))}"
            )
        check_fusion(fusion, patience)
        entries[name] = (names, fusion)
    kept = _Kept(path, _settings(trials))
    kept.check(entries)
    missing = [
        (fold, name)
        for fold in trials.folds
        for name in entries
        if (name, fold) not in kept.rows
    ]
    adapted = held = None
    last = None
    with counted("compare", len(missing), "fits") as advance:
        for fold, name in missing:
            if fold != last:
                last = fold
                adapted, held = trials.adapted(fold), trials.rows(fold)
                train = trials.part(trials.train_rows(fold))
            columns, fusion = entries[name]
            model, seconds = trials.fit(adapted, train, columns, fusion)
            tensors = trials.tensors(trials.part(held), model.schema)
            predicted = predict(model, tensors)
            scores = trials.target.score(trials.truth[held], predicted)
            row = {
                "name": name,
                "fold": fold,
                **scores,
                "parameters": model.count_params(),
                "seconds": round(seconds, 2),
            }
            kept.add(row, fusion, predicted)
            advance(f"{name} {metric} {scores[metric]:.3f}")
    return _leaderboard(trials, entries, kept, metric)


def _named(fusions):
    """Fusions by name; objects go by their class's."""
    if isinstance(fusions, dict):
        return dict(fusions)
    if isinstance(fusions, str) or not hasattr(fusions, "__iter__"):
        raise ValueError(
            f"`fusions` is a list or a dict. Received: fusions={fusions!r}"
        )
    listed = [
        (one if isinstance(one, str) else type(one).__name__, one) for one in fusions
    ]
    if len(dict(listed)) < len(listed):
        raise ValueError(
            "Two fusions have the same name. Name them: fusions={'small': ..., "
            f"'large': ...}}. Received: fusions={[name for name, _ in listed]}"
        )
    return dict(listed)


def _settings(trials):
    """What results depend on besides the fusion, each as a few letters."""
    return {
        "schema": fingerprint(trials.adapted(trials.folds[0]).get_config()),
        "rows": rows_fingerprint(trials.table, [*trials.schema.inputs, trials.name]),
        "folds": fingerprint(trials.fold.tolist()),
        "encoders": fingerprint(trials.encoders),
        "epochs": trials.epochs,
        "patience": trials.patience,
        "seed": trials.seed,
        "options": fingerprint(trials.options),
    }


class _Kept:
    """Fits that are done: rows by name and fold, in memory and on disk."""

    def __init__(self, path, settings):
        self.path, self.settings = path, settings
        self.rows, self.predictions = {}, {}
        if path is None or not os.path.exists(path):
            return
        import pandas as pd

        table = pd.read_csv(path)
        absent = [name for name in _KEYS if name not in table.columns]
        if absent:
            raise ValueError(
                "The file holds no results of `compare`. Choose another path. "
                f"Received: path={os.fspath(path)!r} without the columns {absent}"
            )
        arrays = {}
        if os.path.exists(self._arrays):
            with np.load(self._arrays) as file:
                arrays = dict(file)
        for row in table.to_dict("records"):
            key = f"{row['fold']} {row['name']}"
            # Predictions are written first; a row without them is not done.
            if key in arrays:
                self.rows[row["name"], row["fold"]] = row
                self.predictions[row["name"], row["fold"]] = arrays[key]

    @property
    def _arrays(self):
        return os.path.splitext(os.fspath(self.path))[0] + ".npz"

    def check(self, entries):
        """Refuses to mix results of different settings."""
        for row in self.rows.values():
            then = json.loads(row["settings"])
            other = [key for key, now in self.settings.items() if then.get(key) != now]
            if not other and row["name"] in entries:
                fusion = fingerprint(entries[row["name"]][1])
                other = ["fusion"] * (row["fusion"] != fusion)
            if other:
                raise ValueError(
                    f"The file holds results of {row['name']!r} with other settings: "
                    f"{', '.join(other)} differ. Choose another path, or delete the "
                    f"file. Received: path={os.fspath(self.path)!r}"
                )

    def add(self, row, fusion, predicted):
        """Keeps one more fit."""
        key = row["name"], row["fold"]
        settings = json.dumps(self.settings)
        row = {**row, "fusion": fingerprint(fusion), "settings": settings}
        self.rows[key], self.predictions[key] = row, predicted
        if self.path is None:
            return
        import pandas as pd

        folder = os.path.dirname(os.fspath(self.path))
        if folder:
            os.makedirs(folder, exist_ok=True)
        arrays = {f"{fold} {name}": v for (name, fold), v in self.predictions.items()}
        with replacing(self._arrays) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)
        with replacing(self.path) as temporary:
            pd.DataFrame(list(self.rows.values())).to_csv(temporary, index=False)


def _leaderboard(trials, entries, kept, metric):
    import pandas as pd

    target, groups = trials.target, trials.group_values()
    parts = {
        fold: Bootstrap(
            len(trials.rows(fold)),
            None if groups is None else groups[trials.rows(fold)],
            seed=trials.seed,
        )
        for fold in trials.folds
    }

    def scores(name):
        """Mean over the folds, then its draws; scores of the folds."""
        folds, drawn = [], []
        for fold, draws in parts.items():
            truth = trials.truth[trials.rows(fold)]
            predicted = kept.predictions[name, fold]
            folds.append(target.score(truth, predicted)[metric])
            drawn.append(draws.scores(target, metric, truth, predicted))
        return np.append(np.mean(folds), np.mean(drawn, axis=0)), folds

    found = {name: scores(name) for name in entries}
    sign = -1 if metric in target.lower_is_better else 1
    single = [name for name, (columns, _) in entries.items() if len(columns) == 1]
    best = max(single, key=lambda name: sign * found[name][0][0])
    rows = []
    for name, (values, folds) in found.items():
        low, high = Bootstrap.interval(values[1:])
        beside = values - found[best][0]
        beside_low, beside_high = Bootstrap.interval(beside[1:])
        fits = [kept.rows[name, fold] for fold in trials.folds]
        rows.append(
            {
                "name": name,
                "kind": "alone" if name in single else "fused",
                "mean": values[0],
                "low": low,
                "high": high,
                "std": np.std(folds, ddof=1),
                "difference": beside[0],
                "difference_low": beside_low,
                "difference_high": beside_high,
                "parameters": fits[-1]["parameters"],
                "seconds": np.mean([fit["seconds"] for fit in fits]),
            }
        )
    table = pd.DataFrame(rows).set_index("name")
    table = table.sort_values("mean", ascending=sign < 0, kind="stable")
    table.attrs["metric"] = metric
    return table
