import numpy as np

from ..data import to_table
from ..data.columns import column_name, require_columns
from ..data.folds import texts
from ..data.raw import encode_targets
from ..deprecated import renamed
from ..inputs.cells import is_missing
from ..training.progress import counted
from .bootstrap import Bootstrap
from .interactions import all_subsets
from .labels import constant_predictions, rows_with_label
from .measures import Pooled, predict_perturbed, presence, without_cells
from .metrics import metrics_of
from .parts import Parts
from .report import ModalityReport
from .tensors import remove_cells, table_tensors
from .trials import Trials, check_fusion, predict

_MOST = 10


@renamed(bad="on_unreadable")
def modality_report(
    schema,
    table,
    fusion=None,
    encoders=None,
    folds=5,
    groups=None,
    model=None,
    metric=None,
    epochs=40,
    patience=10,
    matched=(),
    emap_rows=100,
    seed=0,
    base_dir=None,
    on_unreadable="error",
    **options,
):
    """Measures the contribution of each modality, with 95% intervals.

    Each fold trains a model of all modalities, one of each alone, and one without each,
    and evaluates them on the held-out rows. The gain of a modality is the score with it
    minus the score of the model trained without it. All subsets, Shapley values,
    permutation, interaction, missing cells and noise are evaluated with the model of
    all modalities.

    With `model` nothing is trained: the model predicts every subset, with the other
    inputs withheld. The rows must then be held out from its training.

    Intervals are bootstrap intervals over held-out rows (whole groups with `groups`);
    they do not include the variance between training runs.

    For several targets there is a report of each, from the same models: on the rows
    that have its label.

    Examples:

    >>> report = keras_mm.evaluation.modality_report(schema, test, model=model)
    >>> print(report)
    >>> report.plot().savefig("report.png")

    Args:
        schema: `Schema`, adapted or not: each fold adapts a copy to its training
            rows. With `model`, the model's schema is used and this may be None.
        table: rows with the targets, in any form that `keras_mm.data.to_table`
            reads. The tensors of one fold must fit in memory.
        fusion: as in `build_classifier`.
        encoders: as in `build_classifier`.
        folds: int, 2 or more.
        groups: name of a column; rows with the same value stay in one fold and
            are drawn together.
        model: a trained model made by a builder, or None.
        metric: name of a score of `evaluation.score`; default `accuracy`,
            `macro_f1` for several labels, `r2` for numbers. For several targets a
            dict from target to name.
        epochs: int, largest number of epochs per fit.
        patience: int, epochs without improvement on a seventh of the training
            rows until a fit stops, or None: all rows train, for all epochs.
        matched: rates of missing cells, such as `(0.3, 0.6)`, to also train models
            with; each costs one more fit per fold.
        emap_rows: int, largest number of rows for the interaction, whose cost is
            quadratic in the rows per fold; 0 leaves it out.
        seed: int; the same seed gives the same report on one machine.
        base_dir: as in `model.fit`.
        on_unreadable: as in `model.fit`.
        **options: other arguments of the builder: `hidden_units`,
            `modality_dropout`...

    Returns:
        `ModalityReport`; for several targets a dict of them by target.

    Raises:
        ValueError: before any training, if an argument is invalid.

    Reference:
        Hessel and Lee 2020, "Does my multimodal model learn cross-modal
        interactions? It's harder to tell than you might think!"; Shapley 1953,
        "A value for n-person games".
    """
    if any(not 0 < rate < 1 for rate in matched):
        raise ValueError(
            f"`matched` holds rates between 0 and 1. Received: matched={matched}"
        )
    if model is not None:
        trained = {"fusion": fusion, "encoders": encoders, "matched": tuple(matched)}
        given = [name for name, value in trained.items() if value] + list(options)
        if given:
            raise ValueError(
                "With `model` nothing is trained: leave out arguments for training. "
                f"Received: model={model.name!r} and {given}"
            )
        return _of_model(
            model,
            to_table(table),
            groups,
            metric,
            emap_rows,
            seed,
            base_dir,
            on_unreadable,
        )
    check_fusion(fusion, patience)
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
    names = list(trials.modalities)
    _check_count(names)
    whole = tuple(names)
    subsets = {whole, *((name,) for name in names)}
    subsets |= {_without(names, name) for name in names} - {()}
    total = len(trials.folds) * (len(subsets) + len(matched))
    pooled = Pooled(len(trials.table))
    with counted("modality report", total, "fits") as advance:
        for fold in trials.folds:
            random = np.random.default_rng((seed, fold))
            rows, train = trials.rows(fold), trials.part(trials.train_rows(fold))
            adapted = trials.adapted(fold)
            models = {}
            for subset in sorted(subsets, key=len):
                models[subset], _ = trials.fit(adapted, train, subset, fusion)
                advance(" + ".join(subset))
            full = models[whole]
            tensors = trials.tensors(trials.part(rows), full.schema)
            share = -(-emap_rows // len(trials.folds))
            predict_perturbed(
                pooled, rows, models, whole, tensors, trials.modalities, random, share
            )
            for subset, one in models.items():
                pooled.put("trained", subset, rows=rows, values=predict(one, tensors))
            labels = trials.labels_of(trials.train_rows(fold))
            answer = constant_predictions(labels, trials.schema, len(rows))
            pooled.put("constant", rows=rows, values=answer)
            for rate in matched:
                removed = remove_cells(_present(train, trials.modalities), rate, random)
                holed = _with_holes(train, trials.modalities, removed)
                one, _ = trials.fit(adapted, holed, whole, fusion)
                parts = Parts(one, trials.modalities)
                present = presence(tensors, trials.modalities)
                removed = remove_cells(present, rate, random)
                answer = without_cells(parts, parts.encode(tensors), removed)
                pooled.put("matched", rate, rows=rows, values=answer)
                pooled.count(("matched", rate), removed.sum(), present.sum())
                advance(f"{rate:.0%} missing")
    draws = Bootstrap(len(trials.table), trials.group_values(), seed=seed)
    return _reports(
        trials.schema, metrics, names, trials.labels, pooled, draws, len(trials.folds)
    )


def _of_model(model, table, groups, metric, emap_rows, seed, base_dir, on_unreadable):
    """The report of a trained model."""
    schema = getattr(model, "schema", None)
    if schema is None or not (schema.targets and model.modalities):
        raise ValueError(
            "The model must be made by a builder and predict a target. "
            f"Received: model={model!r}"
        )
    groups = column_name(groups)
    require_columns(table.columns, [*schema.targets, *([groups] if groups else [])])
    metrics = metrics_of(schema, metric)
    modalities = model.wiring.by_column
    names = list(modalities)
    _check_count(names)
    labels = encode_targets(table, schema)
    constant = constant_predictions(labels, schema, len(table))
    tensors = table_tensors(table, schema, base_dir, on_unreadable)
    rows = np.arange(len(table))
    random = np.random.default_rng((seed, 0))
    pooled = Pooled(len(table))
    whole = tuple(names)
    predict_perturbed(
        pooled, rows, {whole: model}, whole, tensors, modalities, random, emap_rows
    )
    pooled.put("constant", rows=rows, values=constant)
    for subset in all_subsets(names)[1:]:
        pooled["trained", subset] = pooled["subset", subset]
    draws = Bootstrap(len(table), texts(table[groups]) if groups else None, seed=seed)
    return _reports(schema, metrics, names, labels, pooled, draws, 0)


def _reports(schema, metrics, names, labels, pooled, draws, folds):
    """A report of each target, of the rows that have its label."""
    reports = {}
    for target, rows in rows_with_label(labels, schema).items():
        reports[target] = ModalityReport(
            schema.targets[target],
            metrics[target],
            names,
            labels[target][rows],
            pooled.of(target, rows),
            draws.part(rows),
            folds,
        )
    return schema.without_dict(reports)


def _present(table, modalities):
    return np.stack(
        [
            np.any([[not is_missing(cell) for cell in table[c]] for c in columns], 0)
            for columns in modalities.values()
        ],
        axis=1,
    )


def _with_holes(table, modalities, removed):
    """The table without the removed cells."""
    table = table.copy()
    for index, columns in enumerate(modalities.values()):
        for column in columns:
            cells = table[column].astype(object)
            table[column] = cells.where(~removed[:, index], None)
    return table


def _without(names, name):
    return tuple(other for other in names if other != name)


def _check_count(names):
    if len(names) > _MOST:
        raise ValueError(
            f"The report evaluates all subsets of the modalities, at most {_MOST} "
            f"modalities. Leave some out of the schema. Received: modalities={names}"
        )
