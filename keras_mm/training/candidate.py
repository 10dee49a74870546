"""The rows of `fit_ensemble`, and the trainings of one of its candidates."""

import contextlib
import copy
import functools
import io
import time

import numpy as np
from keras import ops

from ..data import to_dataset
from ..data.columns import column_name, require_columns
from ..data.folds import folds as fold_numbers
from ..data.folds import texts
from ..data.raw import encode_targets
from ..data.weights import combined_weights
from ..errors import RowsError
from ..models import build_model
from ..models.ensemble import copy_of
from ..models.late import answers_of_experts, weigh_together
from ..models.rows import take_rows
from .fit_cached import fit_cached


class FoldedRows:
    """The rows, their labels, weights and folds."""

    def __init__(self, schema, table, folds, groups, class_weight, sample_weight, seed):
        self.schema, self.table = schema, table
        require_columns(table.columns, [groups] if groups else [])
        self.labels = encode_targets(table, schema)
        self.class_weight = class_weight
        self.sample_weight = column_name(sample_weight)
        weights = combined_weights(
            table, self.labels, schema, class_weight, self.sample_weight
        )
        weights = np.ones(len(table)) if weights is None else weights
        if not isinstance(weights, dict):
            weights = dict.fromkeys(schema.targets, weights)
        self.weights = weights
        units = texts(table[groups]).nunique() if groups else len(table)
        if int(folds) != folds or not 2 <= folds <= units:
            raise ValueError(
                "`folds` must lie between 2 and the number of "
                f"{'groups' if groups else 'rows'}, {units}. Received: folds={folds}"
            )
        even = [n for n, t in schema.targets.items() if t.is_divided_evenly]
        # A class must be able to reach every fold.
        even = [n for n in even if texts(table[n]).value_counts().max() >= folds]
        stratify = even[0] if even else None
        self.fold = fold_numbers(table, folds, groups, stratify, seed)

    def part(self, chosen):
        """Some rows of the table, and their sample weights."""
        weights = self.sample_weight
        if weights is not None and not isinstance(weights, str):
            weights = take_rows(weights, chosen)
        return take_rows(self.table, chosen), weights


class Candidate:
    """The trainings of one candidate, one for each fold, and what they predict.

    All are trainings of one model object, as another one would have to be traced again.
    """

    def __init__(self, settings, schema, seed):
        self.settings, self.seed = settings, seed
        self.model = _build(settings, schema, seed)
        # In the order of the model's variables, whichever part of it is trained.
        self.model.optimizer.build(self.model.trainable_variables)
        self.name = _name_of(settings)
        # The weights of each fold's model, and its experts' answers.
        self.states, self.experts = [], []
        self.seconds = self.stopped_after = 0
        # Where the outputs of frozen encoders are kept.
        self.folder = None

    @property
    def folds(self):
        return len(self.states)

    def fit(self, rows, fold, reading, **settings):
        """Trains the model for a fold."""
        started, model = time.monotonic(), self.model
        if fold:
            # What the builder says was said for the first fold.
            with contextlib.redirect_stdout(io.StringIO()):
                fresh = _build(self.settings, rows.schema, self.seed + fold)
            self._start_again(fresh)
        table, weights = rows.part(np.flatnonzero(rows.fold != fold))
        held, held_weights = rows.part(np.flatnonzero(rows.fold == fold))
        try:
            history = trainer_of(model, self.folder)(
                table,
                validation_data=(held, None, held_weights),
                class_weight=rows.class_weight,
                sample_weight=weights,
                verbose=0,
                **reading,
                **settings,
            )
        except RowsError:
            # The same error, with the numbers of the rows in the whole table.
            to_dataset(rows.table, model.schema, **reading)
            raise
        limit = settings["callbacks"][-1]
        self.stopped_after = len(history.epoch) if limit.has_stopped else 0
        pairs = to_dataset(
            held,
            model.schema,
            settings.get("batch_size", 32),
            class_weight=rows.class_weight,
            sample_weight=held_weights,
            **reading,
        )
        self.experts.append(answers_of_experts(model, pairs))
        # Copies: on torch, arrays share their memory with the variables.
        self.states.append([np.array(ops.convert_to_numpy(v)) for v in model.weights])
        self.seconds += time.monotonic() - started

    def predict(self, rows, reading):
        """Weighs the experts on all rows, and predicts each row by its fold's model."""
        started = time.monotonic()
        fitted = {id(v) for v in weigh_together(self.model, self.experts)}
        self.experts.clear()
        self.predictions = {}
        for fold, state in enumerate(self.states):
            for place, variable in enumerate(self.model.weights):
                if id(variable) in fitted:
                    state[place] = np.array(ops.convert_to_numpy(variable))
            held = np.flatnonzero(rows.fold == fold)
            answers = self._of(state).predict(rows.part(held)[0], verbose=0, **reading)
            for name, values in rows.schema.by_target(answers).items():
                of = self.predictions.setdefault(
                    name, np.zeros((len(rows.table), *values.shape[1:]), "float32")
                )
                of[held] = values
        self.seconds += time.monotonic() - started

    def members(self):
        """A model for each fold."""
        return [copy_of(self._of(state)) for state in self.states]

    def _of(self, state):
        for variable, value in zip(self.model.weights, state, strict=True):
            variable.assign(value)
        return self.model

    def _start_again(self, fresh):
        """The weights, seeds and state of the optimizer of a model just built."""
        self.model.seed = fresh.seed
        fresh.optimizer.build(fresh.trainable_variables)
        for mine, other in (
            (self.model.variables, fresh.variables),
            (self.model.optimizer.variables, fresh.optimizer.variables),
        ):
            for variable, value in zip(mine, other, strict=True):
                variable.assign(ops.convert_to_numpy(value))


def _build(settings, schema, seed):
    # Copies: layers and optimizers belong to one model.
    return build_model(schema, seed=seed, **copy.deepcopy(settings))


def trainer_of(model, folder):
    """The function that trains a model; the outputs of frozen encoders are cached.

    Args:
        model: a compiled model made by a builder.
        folder: folder to cache them in.
    """
    frozen = [
        e for e in model.encoders.values() if e.weights and not e.trainable_weights
    ]
    stacks = any(layer.out_of_fold for layer in model.late_fusions().values())
    if not frozen or stacks:
        return model.fit
    return functools.partial(fit_cached, model, folder=folder)


def _name_of(settings):
    named = (f"{name}={_text(value)}" for name, value in settings.items())
    return ", ".join(named) or "default"


def _text(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in value.items()) + "}"
    if value is None or isinstance(value, (str, int, float, list, tuple)):
        return str(value)
    return type(value).__name__
