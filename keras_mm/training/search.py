import contextlib
import copy
import io
import sys
import tempfile
import time

import numpy as np

from ..data import to_table
from ..data.raw import encode_targets
from ..errors import missing_extra
from ..models import build_model
from ..models.training_settings import training_settings
from .callbacks import callbacks
from .candidate import trainer_of
from .progress import counted
from .pruning import Pruning
from .search_result import SearchResult
from .study import open_study
from .time_limit import TimeLimit

# What is searched by default: from-to pairs and lists of choices.
SPACE = {
    "learning_rate": (3e-4, 1e-2),
    "weight_decay": (1e-6, 1e-1),
    "dropout": (0.0, 0.5),
    "hidden_units": ["usual", 64, 128, 256],
    "modality_dropout": [0.0, 0.3],
}
_LOGARITHMIC = _OF_OPTIMIZER = ("learning_rate", "weight_decay")
# They change the loss that trials are compared by.
_REFUSED = ("heads", "label_smoothing", "loss_weights", "seed", "optimizer")


def search(
    schema,
    train,
    validation,
    trials=20,
    time_limit=None,
    storage=None,
    space=None,
    epochs=None,
    patience=15,
    batch_size=None,
    class_weight=None,
    sample_weight=None,
    base_dir=None,
    on_unreadable="error",
    seed=0,
    verbose=True,
    **settings,
):
    """Searches for settings of `build_model` with a small loss on validation rows.

    The first trial is the builder's defaults, so that the result is never worse than
    these on the validation rows. Then Optuna proposes settings by those that were good so
    far, and ends a training early that falls behind (`MedianPruner`). The smallest of
    many validation losses is too good to be true: score the final model on test rows,
    which this function never sees.

    Needs the extra `tune`.

    Examples:

    >>> found = keras_mm.training.search(
    ...     schema, train, validation, trials=2, epochs=1, fusion="gated")
    >>> model = keras_mm.build_model(schema, **found.settings)
    >>> print(found)

    Args:
        schema: adapted `Schema`.
        train: rows to learn from, in any form that `keras_mm.data.to_table` reads.
        validation: rows to compare settings on.
        trials: int, number of trainings, those in `storage` included.
        time_limit: float, seconds, or None. A trial that would probably end later is not
            begun.
        storage: path of a file that keeps the trials: another call with the same
            arguments goes on with them. An address of Optuna's (`sqlite:///...`) is taken
            as it is.
        space: dict from an argument of `build_model`, `"learning_rate"` or
            `"weight_decay"` (of AdamW) to a pair `(from, to)` of numbers or a list of
            choices. Default: both of these, `dropout`, `hidden_units` and
            `modality_dropout`.
        epochs: int, largest number of epochs of each training. Default: that of
            `training_settings`.
        patience: int, epochs without a smaller loss until training stops.
        batch_size: as in `model.fit`.
        class_weight: as in `model.fit`.
        sample_weight: name of a column of both tables, or None.
        base_dir: as in `model.fit`.
        on_unreadable: as in `model.fit`.
        seed: int, of every model and of the proposals.
        verbose: bool, whether to show a progress bar.
        **settings: arguments of `build_model` that all trials share.

    Returns:
        `SearchResult`: `settings` for the builder, and the trials.

    Raises:
        ImportError: if Optuna is not installed.
        ValueError: if `space` is invalid, or if `storage` holds trials of other rows or
            arguments.

    Reference:
        Akiba et al. 2019, "Optuna: A Next-generation Hyperparameter Optimization
        Framework".
    """
    try:
        import optuna
    except ImportError as error:
        raise missing_extra("optuna", "tune") from error
    train, validation = to_table(train), to_table(validation)
    space = _checked(space, settings, schema)
    epochs = epochs or training_settings(len(train)).epochs
    labels = [encode_targets(table, schema) for table in (train, validation)]
    plain = {"epochs": epochs, "patience": patience, "batch_size": batch_size}
    plain |= {"class_weight": class_weight, "sample_weight": sample_weight}
    study = open_study(storage, schema, labels, space, settings, plain, seed)
    started = time.monotonic()
    until = np.inf if time_limit is None else started + time_limit
    longest, reading = 0.0, {"base_dir": base_dir, "on_unreadable": on_unreadable}
    weighed = (validation, None, sample_weight) if sample_weight else validation

    def run(trial):
        """The loss of a trial."""
        found = {} if _is_first(study) else _propose(trial, space)
        trial.set_user_attr("settings", found)
        # What the builder says, it says once.
        shown = sys.stdout if trial.number == 0 else io.StringIO()
        with contextlib.redirect_stdout(shown):
            model = build_model(schema, seed=seed, **copy.deepcopy(settings | found))
        pruning = Pruning(trial)
        history = trainer_of(model, temporary)(
            train,
            validation_data=weighed,
            epochs=epochs,
            class_weight=class_weight,
            sample_weight=sample_weight,
            verbose=0,
            callbacks=[*callbacks(None, patience), pruning, TimeLimit(until)],
            **reading,
            **({"batch_size": batch_size} if batch_size else {}),
        )
        trial.set_user_attr("epochs", len(history.epoch))
        if pruning.is_pruned:
            raise optuna.TrialPruned
        # Late fusions were weighed after the last epoch.
        scores = model.evaluate(
            validation,
            sample_weight=sample_weight,
            verbose=0,
            return_dict=True,
            **reading,
        )
        return scores["loss"]

    done = len(_finished(study))
    with (
        tempfile.TemporaryDirectory() as temporary,
        counted("search", max(trials - done, 0), "trials", verbose) as advance,
    ):
        while len(_finished(study)) < trials:
            begun = time.monotonic()
            if not _is_first(study) and begun + longest > until:
                break
            trial = study.ask()
            value, state = None, optuna.trial.TrialState.FAIL
            try:
                value = run(trial)
                # A training that diverged has failed.
                if np.isfinite(value):
                    state = optuna.trial.TrialState.COMPLETE
            except optuna.TrialPruned:
                state = optuna.trial.TrialState.PRUNED
            finally:
                longest = max(longest, time.monotonic() - begun)
                trial.set_user_attr("seconds", round(time.monotonic() - begun, 1))
                is_complete = state == optuna.trial.TrialState.COMPLETE
                study.tell(trial, value if is_complete else None, state)
            advance(SearchResult.of(study, settings).summary())
    return SearchResult.of(study, settings)


def _checked(space, settings, schema):
    """The space without what `settings` determine."""
    if space is None:
        space = {name: values for name, values in SPACE.items() if name not in settings}
        if len(schema.modalities()) == 1:
            space.pop("modality_dropout", None)
    for name, values in space.items():
        is_pair = (
            isinstance(values, tuple) and len(values) == 2 and values[0] < values[1]
        )
        if (
            name in _REFUSED
            or name in settings
            or not (is_pair or (isinstance(values, list) and values))
        ):
            raise ValueError(
                "`space` is a dict from an argument of build_model to a pair (from, to) "
                "or a list of choices, without what all trials share and without "
                f"{', '.join(_REFUSED)}. Received: space[{name!r}]={values!r}"
            )
    if "optimizer" in settings and set(space) & set(_OF_OPTIMIZER):
        raise ValueError(
            "The search chooses the optimizer's learning rate and weight decay itself. "
            "Leave out `optimizer`, or name a `space` without these. "
            f"Received: optimizer={settings['optimizer']!r}"
        )
    return space


def _propose(trial, space):
    """Settings for the builder."""
    found = {}
    for name, values in space.items():
        if isinstance(values, list):
            found[name] = values[trial.suggest_categorical(name, range(len(values)))]
        elif all(isinstance(value, int) for value in values):
            found[name] = trial.suggest_int(name, *values)
        else:
            is_log = name in _LOGARITHMIC
            found[name] = trial.suggest_float(name, *values, log=is_log)
    optimizer = {name: found.pop(name) for name in _OF_OPTIMIZER if name in found}
    if optimizer:
        # Plain data, as an optimizer object belongs to one model.
        found["optimizer"] = {"class_name": "AdamW", "config": optimizer}
    return found


def _finished(study):
    return [trial for trial in study.trials if trial.state.is_finished()]


def _is_first(study):
    return not _finished(study)
