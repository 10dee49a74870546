"""What a model of several modalities is asked about held-out rows."""

import numpy as np

from .interactions import additive_projection, all_subsets, from_logits, to_logits
from .tensors import add_noise, is_present, remove_cells, take, withhold
from .trials import predict

# Levels of noise: standard deviations of a column, or the share of its ids.
NOISE = (0.0, 0.25, 0.5, 0.75, 1.0)
_PERMUTATIONS = 5


class Pooled(dict):
    """Predictions of all held-out rows, by what was done to the inputs."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows
        self.counts = {}

    def put(self, *key, rows, values):
        """Some rows' predictions."""
        key = key if len(key) > 1 else key[0]
        if key not in self:
            self[key] = np.full((self.rows, *values.shape[1:]), np.nan)
        self[key][rows] = values

    def count(self, key, part, whole):
        """How many cells were there and how many of them went."""
        before = self.counts.get(key, (0, 0))
        self.counts[key] = (before[0] + part, before[1] + whole)

    def share(self, key):
        """Which share of the cells went."""
        part, whole = self.counts[key]
        return part / max(whole, 1)


def ask(found, rows, models, whole, tensors, modalities, random, emap_rows):
    """Everything that the model of all modalities is asked about some rows."""
    model, names = models[whole], list(modalities)
    target = model.schema.target
    for subset in all_subsets(names):
        others = [c for n in names if n not in subset for c in modalities[n]]
        answer = predict(model, withhold(tensors, others))
        found.put("subset", subset, rows=rows, values=answer)
    for name in names:
        for turn in range(_PERMUTATIONS):
            order = random.permutation(len(rows))
            swapped = {**tensors, **take(tensors, order, modalities[name])}
            answer = predict(model, swapped)
            found.put("permuted", (name, turn), rows=rows, values=answer)
    for rate in missing_rates(len(names)):
        answer, part, cells = without_cells(model, tensors, modalities, rate, random)
        found.put("missing", rate, rows=rows, values=answer)
        found.count(("missing", rate), part, cells)
    _ask_with_noise(found, rows, models, whole, tensors, modalities, random)
    if emap_rows and len(names) > 1:
        some = np.sort(random.permutation(len(rows))[:emap_rows])
        additive = additive_projection(
            lambda mixed: to_logits(target, predict(model, mixed)),
            tensors,
            modalities,
            some,
        )
        plain = to_logits(target, predict(model, take(tensors, some)))
        for key, logits in (("plain", plain), ("additive", additive)):
            answer = from_logits(target, logits)
            found.put(key, rows=rows[some], values=answer)


def _ask_with_noise(found, rows, models, whole, tensors, modalities, random):
    """The model and late fusion, with noise in one modality or in all."""
    model, names = models[whole], list(modalities)
    schema = model.schema

    def alone(name, tensors):
        if (name,) in models:
            answer = predict(models[name,], tensors)
        else:
            others = [c for n in names if n != name for c in modalities[n]]
            answer = predict(model, withhold(tensors, others))
        return to_logits(schema.target, answer)

    present = np.stack([is_present(tensors, c) for c in modalities.values()], axis=1)
    # Of a row without anything, all answers are as good.
    present = np.where(present.any(axis=1, keepdims=True), present, True)
    weights = (present / present.sum(axis=1, keepdims=True)).T[..., None]
    clean = {name: alone(name, tensors) for name in names}
    for level in NOISE:
        noisy = dict(tensors)
        for columns in modalities.values():
            noisy = add_noise(noisy, schema, columns, level, random) if level else noisy
        heard = {name: alone(name, noisy) for name in names} if level else clean
        for hit in (*names, None):
            if hit is not None and len(names) == 1:
                continue
            columns = list(tensors) if hit is None else modalities[hit]
            answer = predict(model, {**tensors, **take(noisy, slice(None), columns)})
            found.put("noise", (hit, level), rows=rows, values=answer)
            late = sum(
                weight * (heard if hit in (name, None) else clean)[name]
                for name, weight in zip(names, weights)
            )
            answer = from_logits(schema.target, late)
            found.put("late", (hit, level), rows=rows, values=answer)


def missing_rates(count):
    """0, .1, ... up to the share at which one of `count` modalities is left."""
    most = (count - 1) / count
    rates = [round(0.1 * step, 1) for step in range(10) if 0.1 * step < most - 1e-9]
    return [*rates, round(most, 3)]


def without_cells(model, tensors, modalities, rate, random):
    """Predictions without a share of the cells, and how many of how many went."""
    columns = list(modalities.values())
    present = np.stack([is_present(tensors, one) for one in columns], axis=1)
    gone = remove_cells(present, rate, random)
    for index, one in enumerate(columns):
        tensors = withhold(tensors, one, gone[:, index])
    return predict(model, tensors), int(gone.sum()), int(present.sum())
