"""Predictions on held-out rows with modalities withheld, permuted or noisy."""

import numpy as np

from .additive import Additive
from .interactions import additive_projection, all_subsets
from .parts import Parts
from .tensors import add_noise, is_present, remove_cells, take
from .trials import predict

# Levels of noise: standard deviations of a column, or the share of its ids.
NOISE = (0.0, 0.25, 0.5, 0.75, 1.0)
_PERMUTATIONS = 5


class Pooled(dict):
    """Predictions of all held-out rows, by perturbation of the inputs.

    Each entry is a dict from target to array; in the result of `of`, the array of one
    target.
    """

    def __init__(self, rows):
        super().__init__()
        self.rows = rows
        self.counts = {}

    def put(self, *key, rows, values):
        """Adds the predictions of some rows, by target."""
        key = key if len(key) > 1 else key[0]
        if key not in self:
            self[key] = {
                name: np.full((self.rows, *array.shape[1:]), np.nan)
                for name, array in values.items()
            }
        for name, array in values.items():
            self[key][name][rows] = array

    def of(self, target, rows):
        """The predictions of one target for some rows, as a `Pooled` of arrays."""
        part = Pooled(len(rows))
        part.update({key: values[target][rows] for key, values in self.items()})
        part.counts = self.counts
        return part

    def count(self, key, part, whole):
        """Adds the numbers of removed and of present cells."""
        before = self.counts.get(key, (0, 0))
        self.counts[key] = (before[0] + part, before[1] + whole)

    def share(self, key):
        """The share of the cells that were removed."""
        part, whole = self.counts[key]
        return part / max(whole, 1)


def predict_perturbed(
    pooled, rows, models, whole, tensors, modalities, random, emap_rows
):
    """Adds the predictions of some rows with all perturbations of the inputs.

    Args:
        pooled: `Pooled`, for the predictions.
        rows: int array, indices of the rows.
        models: dict from a tuple of modality names to the model trained on them.
        whole: tuple of all names.
        tensors: the rows' tensors.
        modalities: dict from modality name to its columns.
        random: `numpy.random.Generator`.
        emap_rows: int, largest number of rows for the interaction.
    """
    model, names = Parts(models[whole], modalities), list(modalities)
    additive = Additive(models[whole].schema.targets)
    arrays = model.encode(tensors)
    present = presence(tensors, modalities)
    logits = counts = 0.0
    for subset in all_subsets(names)[1:]:
        answer = model.predict(model.withhold(arrays, _others(names, subset)))
        pooled.put("subset", subset, rows=rows, values=answer)
        # Subsets without a present modality are left out, except for empty rows.
        counted = present[:, [name in subset for name in names]].any(axis=1)
        counted = (counted | ~present.any(axis=1))[:, None]
        logits = logits + np.where(counted, additive.join(answer), 0.0)
        counts = counts + counted
    answer = additive.split(logits / counts)
    pooled.put("ensemble", rows=rows, values=answer)
    for name in names:
        for turn in range(_PERMUTATIONS):
            order = random.permutation(len(rows))
            swapped = {**arrays, **take(arrays, order, model.keys[name])}
            answer = model.predict(swapped)
            pooled.put("permuted", (name, turn), rows=rows, values=answer)
    for rate in missing_rates(len(names)):
        removed = remove_cells(present, rate, random)
        answer = without_cells(model, arrays, removed)
        pooled.put("missing", rate, rows=rows, values=answer)
        pooled.count(("missing", rate), removed.sum(), present.sum())
    _predict_with_noise(pooled, rows, models, model, tensors, arrays, random)
    if emap_rows and len(names) > 1:
        some = np.sort(random.permutation(len(rows))[:emap_rows])

        def logits_of(arrays):
            return additive.join(model.predict(arrays))

        nearest = additive_projection(logits_of, arrays, model.keys, some)
        plain = logits_of(take(arrays, some))
        for key, logits in (("plain", plain), ("additive", nearest)):
            answer = additive.split(logits)
            pooled.put(key, rows=rows[some], values=answer)


def _predict_with_noise(pooled, rows, models, model, tensors, arrays, random):
    """Adds predictions of the model and of late fusion under noise in the inputs."""
    modalities, names = model.modalities, list(model.modalities)
    schema = model.model.schema
    additive = Additive(schema.targets)

    def alone(name, tensors, arrays):
        if (name,) in models:
            answer = predict(models[name,], tensors)
        else:
            answer = model.predict(model.withhold(arrays, _others(names, [name])))
        return additive.join(answer)

    present = presence(tensors, modalities)
    # In an empty row, all modalities have equal weight.
    present = np.where(present.any(axis=1, keepdims=True), present, True)
    weights = (present / present.sum(axis=1, keepdims=True)).T[..., None]
    clean = {name: alone(name, tensors, arrays) for name in names}
    # Of a single modality, one and all are the same.
    choices = [*names, None] if len(names) > 1 else [None]
    for level in NOISE:
        unimodal, noisy = clean, arrays
        if level:
            columns = [c for columns in modalities.values() for c in columns]
            changed = add_noise(tensors, schema, columns, level, random)
            noisy = model.encode(changed)
            unimodal = {name: alone(name, changed, noisy) for name in names}
        for noised in choices:
            keys = list(noisy) if noised is None else model.keys[noised]
            answer = model.predict({**arrays, **{key: noisy[key] for key in keys}})
            pooled.put("noise", (noised, level), rows=rows, values=answer)
            late = sum(
                weight * (unimodal if noised in (name, None) else clean)[name]
                for name, weight in zip(names, weights)
            )
            answer = additive.split(late)
            pooled.put("late", (noised, level), rows=rows, values=answer)


def _others(names, subset):
    return [name for name in names if name not in subset]


def missing_rates(count):
    """0, .1, ... up to the share at which one of `count` modalities remains."""
    most = (count - 1) / count
    rates = [round(0.1 * step, 1) for step in range(10) if 0.1 * step < most - 1e-9]
    return [*rates, round(most, 3)]


def presence(tensors, modalities):
    """The modalities that each row has: bool array `(rows, modalities)`."""
    columns = modalities.values()
    return np.stack([is_present(tensors, one) for one in columns], axis=1)


def without_cells(model, arrays, removed):
    """Predictions of `Parts` without some cells, by target."""
    for index, name in enumerate(model.modalities):
        arrays = model.withhold(arrays, [name], removed[:, index])
    return model.predict(arrays)
