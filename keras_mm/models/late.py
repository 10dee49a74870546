"""Fitting the weights of late fusions, besides training."""

import itertools
import weakref
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from .. import heads as head_room
from ..data.raw import encode_targets
from ..data.weights import combined_weights, row_weights
from ..errors import warn
from .rows import plain, take_rows

# Submodels of the experts, by model.
_EXPERTS = weakref.WeakKeyDictionary()
# The logit of an expert that has no weight beside others.
UNUSED = -40.0


def head_of(model, name):
    """The `Head` of a model's target."""
    # Older files do not hold the heads.
    return head_room.get(model.heads.get(name), model.schema.targets[name], name)


def check_late(layer, x, validation):
    """Raises a `ValueError` if the fusion's weights cannot be fitted on these rows."""
    if layer.needs_validation and validation is None:
        raise ValueError(
            f"The fusion {type(layer).__name__} fits the modalities' weights on rows "
            "that they were not trained on: pass validation_data, or use "
            "fusion='late_mean'. Received: validation_data=None"
        )
    if layer.weighs and validation is not None and not _can_be_read_again(validation):
        text = (
            f"The fusion {type(layer).__name__} fits the modalities' weights on the "
            "validation rows, but a generator can be read only once: pass a table, a "
            "dataset or arrays. "
        )
        if layer.needs_validation:
            raise ValueError(
                f"{text}Received: validation_data of type {type(validation).__name__}"
            )
        warn(f"{text}The weights stay equal.")
    if layer.out_of_fold and not (hasattr(x, "iloc") or _are_arrays(x)):
        raise ValueError(
            "Stacking trains on folds of the rows: pass a table or arrays. "
            f"Received: x of type {type(x).__name__}"
        )


def weigh_experts(model, validation, steps=None):
    """Fits the experts' weights and their scale by the loss on these rows.

    Args:
        model: `MultimodalModel` whose late fusions weigh.
        validation: dataset of `(inputs, target)` or `(inputs, target, weight)`, or
            a tuple of arrays. A generator, which can be read only once, is ignored.
        steps: int, how many batches of the dataset to read; None: all.
    """
    if not _can_be_read_again(validation):
        return
    for name, answers in _answers(model, validation, steps).items():
        if answers.counts.any():
            _weigh(model.late_fusions()[name], _row_losses(model, name), answers)


def weighs(model):
    """Whether a model has experts whose weights `fit` finds on validation rows."""
    return any(layer.weighs for layer in model.late_fusions().values())


def answers_of_experts(model, rows):
    """What a model's experts predict for rows that it was not trained on.

    Args:
        model: `MultimodalModel`.
        rows: dataset of `(inputs, target)` or `(inputs, target, weight)`.

    Returns:
        dict from target to scores, presence, labels and row weights.
    """
    return _answers(model, rows) if weighs(model) else {}


def weigh_together(model, answers):
    """Fits the experts' weights and scales to the answers of several trainings.

    So many more rows count than one training holds out.

    Args:
        model: `MultimodalModel`.
        answers: list of `answers_of_experts`, one for each training.

    Returns:
        list of the variables that were set.
    """
    fitted = []
    for name, layer in model.late_fusions().items() if weighs(model) else ():
        pooled = _Answers(*map(np.concatenate, zip(*(one[name] for one in answers))))
        if pooled.counts.any():
            _weigh(layer, _row_losses(model, name), pooled)
            fitted += [layer.weight_logits, layer.scale]
    return fitted


def _weigh(layer, row_losses, answers):
    """Fits weights; experts that do not earn their place get a weight of 0.

    An expert is left out if the loss without it is lower by more than its standard error;
    or if the loss of all is higher than that of the best one alone.
    """
    count = answers.scores.shape[1]
    best = _Weights.fit(np.arange(count), row_losses, answers)
    alone = [_Weights.fit([place], row_losses, answers) for place in range(count)]
    single = min(alone, key=lambda weights: weights.loss)
    while len(best.used) > 1:
        fewer = [
            _Weights.fit(np.delete(best.used, place), row_losses, answers)
            for place in range(len(best.used))
        ]
        least = min(fewer, key=lambda weights: weights.loss)
        gain = best.loss - least.loss
        if gain <= best.error(least, answers) and best.loss <= single.loss:
            break
        if gain <= 0:
            best = single
            break
        best = least
    layer.weight_logits.assign(best.logits)
    layer.scale.assign(best.scale)


class _Weights(NamedTuple):
    """Fitted weights of the experts, and the losses of the rows they are fitted on."""

    used: np.ndarray
    logits: np.ndarray
    scale: float
    losses: np.ndarray
    loss: float

    @classmethod
    def fit(cls, used, row_losses, answers):
        """Fits them for some experts; the others stand in where all of these are absent."""
        from scipy.optimize import minimize

        start = np.full(answers.scores.shape[1], UNUSED)
        start[used] = 0.0

        def losses(logits, scale):
            weights = np.where(answers.present, np.exp(logits - logits.max()), 0.0)
            weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
            fused = scale * np.einsum("bk,bku->bu", weights, answers.scores)
            return row_losses(fused, answers.labels)

        def objective(parameters):
            logits = start.copy()
            logits[used] = parameters[:-1]
            # A Gaussian prior at equal weights and a scale of 1, as a few easy rows
            # would overfit them. One standard deviation is a factor of 1.4 for both.
            prior = np.sum(parameters**2) * 4 / np.count_nonzero(answers.counts)
            return _mean(losses(logits, np.exp(parameters[-1])), answers.counts) + prior

        fitted = minimize(objective, np.zeros(len(used) + 1), method="L-BFGS-B").x
        start[used], scale = fitted[:-1], np.exp(fitted[-1])
        found = losses(start, scale)
        return cls(np.asarray(used), start, scale, found, _mean(found, answers.counts))

    def error(self, other, answers):
        """The standard error of the difference of the mean losses, of paired rows."""
        weights = answers.counts / max(answers.counts.sum(), 1e-12)
        difference = self.losses - other.losses
        spread = difference - weights @ difference
        return np.sqrt(np.sum((weights * spread) ** 2))


def experts_losses(model, rows):
    """Each expert's mean loss on the rows where it is present.

    Args:
        model: `MultimodalModel` with late fusions.
        rows: dataset of `(inputs, target)`, or a tuple of arrays.

    Returns:
        dict from target to array `(experts,)`.
    """
    losses = {}
    for name, answers in _answers(model, rows).items():
        row_losses = _row_losses(model, name)
        losses[name] = np.array(
            [
                _mean(
                    row_losses(answers.scores[present, k], answers.labels[present]),
                    answers.counts[present],
                )
                if present.any()
                else 0.0
                for k, present in enumerate(answers.present.T)
            ]
        )
    return losses


def _row_losses(model, name):
    head, target = head_of(model, name), model.schema.targets[name]

    def predict(logits):
        return model.predict_from_logits(logits, name)

    return lambda logits, labels: head.row_losses(logits, labels, target, predict)


def fit_linear_model(model, x, y, validation_data, **settings):
    """Fits the weights of `Stacking` on out-of-fold predictions."""
    schema = model.schema
    labels = encode_targets(x, schema) if y is None else schema.by_target(y)
    labels = {n: t.to_labels(labels[n]) for n, t in schema.targets.items()}
    rows = len(next(iter(labels.values())))
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    state = [*model.weights, *model.optimizer.variables]
    start = [ops.convert_to_numpy(variable) for variable in state]
    layers = model.late_fusions()
    features = {
        name: np.zeros((rows, layer.kernel.shape[0], layer.units))
        for name, layer in layers.items()
    }
    table = x if hasattr(x, "columns") else np.zeros(rows)
    weights = settings["sample_weight"]
    if weights is not None:
        weights = row_weights(table, weights)
    counts = combined_weights(table, labels, schema, settings["class_weight"], weights)
    for train, held in _folds(model, labels):
        part = None if weights is None else take_rows(weights, train)
        model._train(
            take_rows(x, train),
            None if y is None else take_rows(y, train),
            validation_data,
            **{**settings, "sample_weight": part},
        )
        part = take_rows(x, held), None if y is None else take_rows(y, held)
        held_out = model._pairs(*part, **_reading(settings))
        for name, answers in _answers(model, held_out, keep_unlabelled=True).items():
            features[name][held] = ops.convert_to_numpy(
                layers[name].features(
                    ops.convert_to_tensor(answers.scores.astype("float32")),
                    ops.convert_to_tensor(answers.present),
                )
            )
        # Reset, so that the next fold does not leak. Compiling again would retrace
        # the steps.
        for variable, value in zip(state, start):
            variable.assign(value)
    for name, layer in layers.items():
        target, read = schema.targets[name], features[name].reshape(rows, -1)
        each = counts[name] if isinstance(counts, dict) else counts
        each = np.ones(rows) if each is None else each.astype("float64")
        used = target.is_known(labels[name]) & (each > 0)
        if not used.any():
            # Nothing to learn from: the experts count as they did.
            continue
        kernel, bias = head_of(model, name).linear_model(
            read[used], labels[name][used], each[used], target
        )
        layer.kernel.assign(kernel.reshape(layer.kernel.shape))
        layer.bias.assign(bias)


def _folds(model, labels):
    """Indices of the training rows and of the held-out rows, fold by fold."""
    from sklearn.model_selection import KFold, StratifiedKFold

    count = next(iter(model.late_fusions().values())).folds
    by = None
    for name, target in model.schema.targets.items():
        # Stratified by the first such target; missing labels count as a class.
        if target.is_divided_evenly and by is None:
            by = labels[name] - labels[name].min()
    stratified = by is not None and np.bincount(by).max() > 1
    kind = StratifiedKFold if stratified else KFold
    folds = kind(count, shuffle=True, random_state=model.seed or 0)
    rows = len(next(iter(labels.values())))
    return folds.split(np.zeros(rows), by)


def _can_be_read_again(rows):
    # Tables may be paths.
    return any(
        hasattr(rows, name) for name in ("as_numpy_iterator", "__len__", "__fspath__")
    )


def _are_arrays(x):
    return isinstance(x, (dict, list, tuple)) or hasattr(x, "shape")


def _batches(rows, steps):
    batches = rows
    if hasattr(rows, "as_numpy_iterator"):
        batches = rows.as_numpy_iterator()
    elif isinstance(rows, keras.utils.PyDataset):
        batches = (rows[index] for index in range(len(rows)))
    for batch in itertools.islice(batches, steps):
        yield keras.tree.map_structure(ops.convert_to_numpy, batch)


class _Answers(NamedTuple):
    """Experts' predictions: scores and presence, with the labels and row weights."""

    scores: np.ndarray
    present: np.ndarray
    labels: np.ndarray
    counts: np.ndarray


def _experts_of(model):
    """The submodel of the experts' outputs, made once: its steps are then traced once."""
    if model not in _EXPERTS:
        _EXPERTS[model] = keras.Model(model.inputs, model.experts(model.every_output()))
    return _EXPERTS[model]


def _answers(model, rows, steps=None, keep_unlabelled=False):
    """dict from target to `_Answers` of its labelled rows, or of all."""
    schema, layers = model.schema, model.late_fusions()
    part = _experts_of(model)
    if isinstance(rows, (tuple, list)):
        x, labels, weights = (*rows, None)[:3]
        experts = part.predict(plain(x), verbose=0)
        entries = [(experts, schema.by_target(labels), weights)]
    else:
        entries = [
            (part.predict_on_batch(inputs), schema.by_target(labels), *weights)
            for inputs, labels, *weights in _batches(rows, steps)
        ]
    answers_by_target = {}
    for name, target in schema.targets.items():
        labels = np.concatenate([entry[1][name] for entry in entries])
        logits, present = (
            np.concatenate(
                [ops.convert_to_numpy(entry[0][name][k]) for entry in entries]
            )
            for k in range(2)
        )
        counts = np.concatenate([_counts(entry, name) for entry in entries])
        scores = layers[name].scores(ops.convert_to_tensor(logits))
        scores = ops.convert_to_numpy(scores).astype("float64")
        labels = target.to_labels(labels)
        present = layers[name].present_experts(present).astype(bool)
        answers = _Answers(scores, present, labels, counts)
        is_labelled = target.is_known(labels)
        if not (keep_unlabelled or is_labelled.all()):
            answers = _Answers(*(values[is_labelled] for values in answers))
        answers_by_target[name] = answers
    return answers_by_target


def _counts(entry, name):
    """The row weights of an entry for a target: `(rows,)`."""
    _, labels, *weights = entry
    weights = weights[0] if weights else None
    weights = weights[name] if isinstance(weights, dict) else weights
    rows = len(labels[name])
    return np.ones(rows) if weights is None else np.reshape(weights, rows)


def _mean(losses, weights):
    return losses @ weights / max(weights.sum(), 1e-12)


def _reading(settings):
    return {
        name: settings[name] for name in ("batch_size", "base_dir", "on_unreadable")
    }
