import numpy as np

from ..deprecated import renamed
from ..training.progress import counted
from .bootstrap import Bootstrap
from .fingerprint import fingerprint, rows_fingerprint
from .kept_fits import KeptFits
from .metrics import metrics_of
from .trials import Trials, check_fusion, predict


@renamed(bad="on_unreadable")
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
    on_unreadable="error",
    **options,
):
    """Compares fusions with each other and with each modality alone: a leaderboard.

    All models are trained and evaluated on the same folds. With `path` each fit is
    saved when it is done, and the same call resumes after an interruption; more
    fusions may be added later.

    For several targets there is one leaderboard each, from the same models, over the
    rows that have its label.

    Examples:

    >>> schema = keras_mm.Schema(
    ...     {"price": keras_mm.Number(), "text": keras_mm.Text(sequence_length=8)},
    ...     {"category": keras_mm.ClassLabel()})
    >>> results = keras_mm.evaluation.compare(
    ...     schema, table, ["gated"], folds=2, epochs=1, patience=None,
    ...     path="results.csv")
    >>> sorted(results.index)
    ['gated', 'price alone', 'text alone']
    >>> keras_mm.evaluation.plot_comparison(results).savefig("results.png")

    Args:
        schema: `Schema` of two modalities or more, adapted or not: each fold
            adapts a copy to its training rows.
        table: rows with the targets, in any form that `keras_mm.data.to_table`
            reads.
        fusions: list of names (`keras_mm.fusion.FUSIONS`) and `Fusion` objects,
            or a dict of them by names of your choice.
        encoders: as in `build_classifier`, the same for all.
        folds: int, 2 or more.
        groups: name of a column; rows with the same value stay in one fold and
            are drawn together.
        metric: name of a score of `evaluation.score`; default `accuracy`,
            `macro_f1` for several labels, `r2` for numbers. For several targets a
            dict from target to name.
        epochs: int, largest number of epochs per fit.
        patience: int, epochs without improvement on a seventh of the training
            rows until a fit stops, or None: all rows train, for all epochs.
        path: CSV file for the fits, one row each; predictions of held-out rows
            go into an `.npz` file beside it. Or None.
        seed: int; the same seed gives the same results on one machine.
        base_dir: as in `model.fit`.
        on_unreadable: as in `model.fit`.
        **options: other arguments of the builder: `hidden_units`,
            `modality_dropout`...

    Returns:
        DataFrame, the best first, by name: `kind` (`"alone"` or `"fused"`);
        `mean` of the metric over the folds with its 95% interval `low`, `high`;
        `std` between folds; `difference` to the best single modality with
        `difference_low`, `difference_high`, from the same resamples of rows;
        `parameters`; mean `seconds` of a fit. The metric is `attrs["metric"]`.
        For several targets a dict from target to such a DataFrame.

    Raises:
        ValueError: before any training, if an argument is invalid, or the file at
            `path` has other settings.
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
        on_unreadable,
        options,
    )
    metrics = metrics_of(trials.schema, metric)
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
    kept = KeptFits(path, metrics, _settings(trials))
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
            predictions = predict(model, tensors)
            scores = {}
            for target, value in trials.schema.targets.items():
                answers = trials.answers(target, fold, predictions[target])
                scores[target] = value.score(*answers)
            row = {
                "name": name,
                "fold": fold,
                **_columns(scores),
                "parameters": model.count_params(),
                "seconds": round(seconds, 2),
            }
            kept.add(row, fusion, predictions)
            chosen = _columns({t: {m: scores[t][m]} for t, m in metrics.items()})
            text = ", ".join(f"{key} {value:.3f}" for key, value in chosen.items())
            advance(f"{name} {text}")
    tables = {
        target: _leaderboard(trials, target, entries, kept, metric)
        for target, metric in metrics.items()
    }
    return trials.schema.without_dict(tables)


def _columns(scores):
    """Scores by target as columns; of several targets with the target's name."""
    if len(scores) == 1:
        return next(iter(scores.values()))
    return {f"{t} {name}": v for t, each in scores.items() for name, v in each.items()}


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
    columns = [*trials.schema.inputs, *trials.schema.targets]
    return {
        "schema": fingerprint(trials.adapted(trials.folds[0]).get_config()),
        "rows": rows_fingerprint(trials.table, columns),
        "folds": fingerprint(trials.fold.tolist()),
        "encoders": fingerprint(trials.encoders),
        "epochs": trials.epochs,
        "patience": trials.patience,
        "seed": trials.seed,
        "options": fingerprint(trials.options),
    }


def _leaderboard(trials, target_name, entries, kept, metric):
    """The table of one target, of the rows that have its label."""
    import pandas as pd

    target, groups = trials.schema.targets[target_name], trials.group_values()
    parts = {}
    for fold in trials.folds:
        rows = np.intersect1d(trials.rows(fold), trials.label_rows[target_name])
        group = None if groups is None else groups[rows]
        parts[fold] = Bootstrap(len(rows), group, seed=trials.seed)

    def scores(name):
        """The mean over the folds, its bootstrap scores; the scores of the folds."""
        folds, drawn = [], []
        for fold, draws in parts.items():
            predictions = kept.predictions[name, fold][target_name]
            answers = trials.answers(target_name, fold, predictions)
            folds.append(target.score(*answers)[metric])
            drawn.append(draws.scores(target, metric, *answers))
        return np.append(np.mean(folds), np.mean(drawn, axis=0)), folds

    scored = {name: scores(name) for name in entries}
    sign = -1 if metric in target.lower_is_better else 1
    single = [name for name, (columns, _) in entries.items() if len(columns) == 1]
    best = max(single, key=lambda name: sign * scored[name][0][0])
    rows = []
    for name, (values, folds) in scored.items():
        low, high = Bootstrap.interval(values[1:])
        beside = values - scored[best][0]
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
