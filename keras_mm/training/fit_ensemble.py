import tempfile
import time

import numpy as np

from ..data import Schema, to_table
from ..data.columns import column_name
from ..models import Ensemble, EnsembleReport
from ..models.ensemble import check_alike
from ..models.training_settings import training_settings
from .callbacks import callbacks
from .candidate import Candidate, FoldedRows
from .out_of_fold import OutOfFold
from .time_limit import TimeLimit


def fit_ensemble(
    schema,
    table,
    candidates=None,
    folds=5,
    groups=None,
    time_limit=None,
    epochs=None,
    patience=15,
    batch_size=None,
    class_weight=None,
    sample_weight=None,
    base_dir=None,
    on_unreadable="error",
    folder=None,
    seed=0,
    verbose=True,
):
    """Trains an ensemble by cross-validation: one model that averages several.

    The rows are divided into folds. Each candidate is trained once for each fold: on all
    other rows, until its loss on the fold no longer falls. Every row is so predicted by
    models that have not seen it. On these out-of-fold predictions a greedy selection
    finds the candidates' weights, and the experts of a late or hybrid fusion are weighed
    on all rows instead of one fold. The ensemble averages the probabilities of all
    models, or their numbers (those with `scale="log"` or `"quantile"` on that scale).
    Frozen encoders run once in training, see `fit_cached`; each member has its own copy.

    The result is a model as any other: it predicts, is scored, saved and exported as one.
    It takes as long as its members together: `folds` times as long as one model, times
    the number of candidates that have a weight.

    Examples:

    >>> ensemble = keras_mm.fit_ensemble(
    ...     schema, train, folds=2, epochs=1, candidates=[{"fusion": "gated"}])
    >>> ensemble.predict(test, verbose=0).shape
    (6, 3)
    >>> print(ensemble.report)

    Args:
        schema: `Schema`. One that is not adapted yet is adapted to these rows.
        table: the rows to learn from, in any form that `keras_mm.data.to_table` reads;
            test rows do not belong here.
        candidates: list of dicts of arguments of `build_model`, such as `[{}, {"fusion":
            "gated"}]`. Default: `[{}]`, the default model.
        folds: int, 2 or more. Classes are equally frequent in all folds, as far as
            possible.
        groups: name of a column; rows with the same value stay in one fold.
        time_limit: float, seconds, or None. What would end later is not begun: first the
            last candidates, then folds of the first one; training stops after an epoch
            where it must. One model always comes out.
        epochs: int, largest number of epochs of each training. Default: that of
            `training_settings`.
        patience: int, epochs without a smaller loss until training stops.
        batch_size: as in `model.fit`.
        class_weight: as in `model.fit`; it counts in the choice of weights, too.
        sample_weight: as in `model.fit`; it counts in the choice of weights, too.
        base_dir: as in `model.fit`.
        on_unreadable: as in `model.fit`.
        folder: folder that keeps what frozen encoders give; None: a temporary one.
        seed: int; the same seed gives the same ensemble on one machine, unless time runs
            out.
        verbose: bool, whether to show a line for each training.

    Returns:
        `keras_mm.models.Ensemble`, whose attribute `report` has the scores, weights and
        seconds of all candidates.

    Raises:
        ValueError: before any training, if an argument is invalid or if the candidates
            read different tensors.

    Reference:
        Caruana, Niculescu-Mizil, Crew and Ksikes 2004, "Ensemble Selection from
        Libraries of Models".
    """
    clock = _Clock(time_limit)
    table = to_table(table)
    schema = _adapted(schema, table, on_unreadable)
    candidates = [dict(one) for one in ([{}] if candidates is None else candidates)]
    _check(candidates, time_limit)
    groups = column_name(groups)
    rows = FoldedRows(schema, table, folds, groups, class_weight, sample_weight, seed)
    waiting = []
    for number, settings in enumerate(candidates):
        with clock.building:
            waiting.append(Candidate(settings, schema, seed + number * folds))
        check_alike(waiting[0].model, waiting[number].model)
    reading = {"base_dir": base_dir, "on_unreadable": on_unreadable}
    settings = {"epochs": epochs or training_settings(len(table)).epochs}
    if batch_size:
        settings["batch_size"] = batch_size
    with tempfile.TemporaryDirectory() as temporary:
        for one in waiting:
            one.folder = folder or temporary
        tried, left_out = _train(
            waiting, rows, folds, clock, patience, verbose, reading, settings
        )
    return _ensemble(tried, rows, clock, left_out)


def _train(waiting, rows, folds, clock, patience, verbose, reading, settings):
    """Trains candidates while there is time: those with predictions, and what is left."""
    tried, left_out = [], []
    for number, one in enumerate(waiting):
        so_far = sum(other.folds for other in tried)
        is_whole = not tried or tried[0].folds == folds
        if tried and not (is_whole and clock.has_time(folds, so_far)):
            left_out.append(f"{one.name} (no time)")
            continue
        for fold in range(folds):
            if fold and not clock.has_time(1, so_far + fold):
                left_out.append(
                    f"{one.name}: {folds - fold} of {folds} folds (no time)"
                )
                break
            note = f"fold {fold + 1} of {folds}"
            if len(waiting) > 1:
                note = f"candidate {number + 1} of {len(waiting)}, {note}"
            listed = callbacks(note if verbose else None, patience)
            listed.append(TimeLimit(clock.end(so_far + fold + 1)))
            with clock.training:
                one.fit(rows, fold, reading, callbacks=listed, **settings)
            if one.stopped_after:
                left_out.append(f"{note}: epochs after {one.stopped_after} (no time)")
        if one.folds == folds or not tried:
            one.predict(rows, reading)
            tried.append(one)
    return tried, left_out


class _Clock:
    """The time that is left, and what a training and the building of a model take."""

    def __init__(self, seconds):
        self.started = time.monotonic()
        self.until = np.inf if seconds is None else self.started + seconds
        self.training, self.building = _Longest(), _Longest()

    def end(self, members):
        """When trainings must end, so that an ensemble can be built of some members."""
        return self.until - members * self.building.seconds

    def has_time(self, trainings, members):
        """Whether some more trainings would end in time, beside members that exist."""
        end = self.end(members + trainings)
        return time.monotonic() + trainings * self.training.seconds <= end


class _Longest:
    """Context: the seconds of the longest block that ran in it."""

    seconds = 0.0

    def __enter__(self):
        self.started = time.monotonic()

    def __exit__(self, *error):
        self.seconds = max(self.seconds, time.monotonic() - self.started)


def _ensemble(tried, rows, clock, left_out):
    """Weighs the candidates, and joins their models."""
    schema, seen = rows.schema, rows.fold < tried[0].folds
    lines = [
        {"candidate": one.name, "folds": one.folds, "seconds": round(one.seconds, 1)}
        for one in tried
    ]
    lines.append({"candidate": "ensemble", "folds": tried[0].folds, "seconds": None})
    shares = {}
    for name, target in schema.targets.items():
        known = np.flatnonzero(seen & target.is_known(rows.labels[name]))
        answers = OutOfFold(
            tried[0].model.heads[name],
            target,
            rows.labels[name][known],
            rows.weights[name][known],
            [one.predictions[name][known] for one in tried],
        )
        shares[name] = answers.greedy_weights()
        before = f"{name} " if len(schema.targets) > 1 else ""
        for line, each in zip(lines, [*np.eye(len(tried)), shares[name]]):
            line |= {before + key: v for key, v in answers.scores(each).items()}
        for line, weight in zip(lines, shares[name]):
            line[f"{before}weight"] = float(weight)
    members, weights = [], {name: [] for name in shares}
    for place, one in enumerate(tried):
        if any(given[place] for given in shares.values()):
            members += one.members()
            for name, given in shares.items():
                weights[name] += [given[place]] * one.folds
    ensemble = Ensemble.join(members, weights)
    seconds = time.monotonic() - clock.started
    lines[-1]["seconds"] = round(seconds, 1)
    ensemble.report = EnsembleReport(lines, int(seen.sum()), seconds, left_out)
    return ensemble


def _adapted(schema, table, on_unreadable):
    if not isinstance(schema, Schema) or not schema.targets:
        raise ValueError(
            "The first argument must be a keras_mm.Schema with a target. "
            f"Received: schema={schema!r}"
        )
    parts = [*schema.inputs.values(), *schema.targets.values()]
    if all(part.is_adapted for part in parts):
        return schema
    copied = Schema.from_config(schema.get_config())
    return copied.adapt(table, on_unreadable=on_unreadable)


def _check(candidates, time_limit):
    if not candidates or any("seed" in one for one in candidates):
        raise ValueError(
            "`candidates` holds one dict or more of arguments of build_model, without "
            "`seed`, which is an argument of fit_ensemble. "
            f"Received: candidates={candidates}"
        )
    if time_limit is not None and not time_limit > 0:
        raise ValueError(
            f"`time_limit` must be positive seconds. Received: time_limit={time_limit}"
        )
