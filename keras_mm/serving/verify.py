import itertools
import json
import os

import numpy as np

from ..models.unit import unit
from .exported import ExportedModel

TOLERANCE = 1e-5
_MOST_SUBSETS = 16


def verify(path, model, rows=None, index=None):
    """Compares an exported model with the model that it was made of.

    Every signature is run. `serving_default` must give the model's own
    predictions on generated rows (each subset of the inputs missing, and
    unreadable values) and on rows of a table. The result is written to
    `verification.json` in the version's folder.

    Examples:

    >>> report = keras_mm.serving.verify("saved_models/clipart/1", model)
    >>> report["largest_difference"] < 1e-5
    True

    Args:
        path: folder of the version.
        model: the model.
        rows: a table to compare on, besides; or None.
        index: the `SearchIndex` that was exported with the model, or None.

    Returns:
        dict with `rows`, `largest_difference` and `signatures`.

    Raises:
        RuntimeError: if an answer differs by 1e-5 or more, is not finite, or a
            signature cannot be run.
    """
    import pandas as pd

    from ..data import to_table
    from ..data.raw import read_files, to_raw

    exported = ExportedModel(path)
    schema = model.schema
    if not schema.is_adapted:
        raw = _random_tensors(model)
        expected = _by_name(model.predict(raw, verbose=0), schema)
    else:
        raw = verification_rows(schema)
        table = pd.DataFrame({n: pd.Series(list(v)) for n, v in raw.items()})
        expected = model.predict(table, bad="missing", verbose=0)
        expected = _by_name(expected, schema)
        if rows is not None:
            table = to_table(rows).head(256)
            real = to_raw(table, schema, bad="missing")
            # What was read, not the table again: of a clip other frames could
            # be drawn.
            table = pd.DataFrame({n: pd.Series(list(v)) for n, v in real.items()})
            raw = {
                name: schema.inputs[name].raw_array([*value, *read_files(real[name])])
                for name, value in raw.items()
            }
            more = _by_name(model.predict(table, bad="missing", verbose=0), schema)
            expected = {n: np.concatenate([expected[n], more[n]]) for n in expected}
    answer = exported.run("serving_default", raw)
    got, differences = {}, {}
    for name, values in expected.items():
        keys = f"{name}_probabilities", name, f"{name}_embedding"
        got[name] = next(answer[key] for key in keys if key in answer)
        difference = np.abs(got[name].reshape(values.shape) - values)
        # Probabilities are at most 1; numbers have units of their own.
        differences[name] = difference / np.maximum(1.0, np.abs(values))
    # A NaN is the largest.
    name = max(
        expected, key=lambda name: np.nan_to_num(differences[name], nan=np.inf).max()
    )
    difference, count = differences[name], len(expected[name])
    largest = float(difference.max())
    for signature in exported.signatures:
        feed = raw
        if signature == "serving_tensors":
            feed = _random_tensors(model)
        exported.run(signature, feed)
    if index is not None:
        query = unit(sum(expected.values()))
        scores = exported.run("search", raw)["scores"]
        best = -np.sort(-query @ index.vectors.T, axis=1)[:, : scores.shape[1]]
        wrong = float(np.nan_to_num(np.abs(scores - best), nan=np.inf).max())
        if not wrong < TOLERANCE:
            raise RuntimeError(
                "The exported search does not find what the index finds. "
                f"Received: scores that differ by {wrong:.2g}"
            )
    if not largest < TOLERANCE:
        row = int(np.argmax(difference.reshape(count, -1).max(axis=1)))
        raise RuntimeError(
            "The exported model does not answer as the model does: row "
            f"{row} of {count} differs by {largest:.2g}, allowed is {TOLERANCE}. "
            f"Received: {name}, exported={got[name][row]}, "
            f"model={expected[name][row]}"
        )
    report = {
        "rows": count,
        "largest_difference": largest,
        "tolerance": TOLERANCE,
        "signatures": sorted(exported.signatures),
    }
    with open(os.path.join(path, "verification.json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
    return report


def _by_name(predictions, schema):
    """Predictions as a dict from the name of a target, or a tower, to array."""
    if isinstance(predictions, dict):
        return predictions
    return {schema.target_name: predictions}


def verification_rows(schema, seed=0):
    """Raw rows that try an exported model: a dict of arrays, 36 rows or more.

    Each subset of the inputs is missing from some rows, and each input is
    unreadable in some.
    """
    random = np.random.default_rng(seed)
    names = list(schema.inputs)
    subsets = itertools.chain.from_iterable(
        itertools.combinations(names, size) for size in range(len(names) + 1)
    )
    subsets = list(itertools.islice(subsets, _MOST_SUBSETS))
    rows = []
    for present in [names] * 16 + subsets:
        rows.append(
            {
                name: value.sample(random) if name in present else value.missing
                for name, value in schema.inputs.items()
            }
        )
    for bad in [*names, *names, *names]:
        rows.append(
            {
                name: value.sample(random, bad=name == bad)
                for name, value in schema.inputs.items()
            }
        )
    while len(rows) < 36:
        rows.append({n: v.sample(random) for n, v in schema.inputs.items()})
    return _columns(rows, schema)


def example_rows(schema, count=2, seed=1):
    """A few plain raw rows, such as a client would send: a dict of arrays."""
    random = np.random.default_rng(seed)
    rows = [
        {name: value.sample(random) for name, value in schema.inputs.items()}
        for _ in range(count)
    ]
    return _columns(rows, schema) if schema.is_adapted else {}


def _columns(rows, schema):
    columns = {}
    for name, value in schema.inputs.items():
        columns[name] = value.raw_array([row[name] for row in rows])
    return columns


def _random_tensors(model, count=36, seed=0):
    """Tensors of the model's inputs; the first rows have missing ones."""
    random = np.random.default_rng(seed)
    tensors = {}
    for index, tensor in enumerate(model.inputs):
        shape = (count, *tensor.shape[1:])
        value = model.schema.inputs[tensor.name]
        if "int" in tensor.dtype:
            array = random.integers(1, value.num_ids, shape).astype(tensor.dtype)
            array[index] = 0
        else:
            array = random.random(shape).astype(tensor.dtype)
            array[index] = np.nan
        if array[0].size > 2**16:
            array = array[: max(8, len(model.inputs))]
        tensors[tensor.name] = array
    least = min(len(array) for array in tensors.values())
    return {name: array[:least] for name, array in tensors.items()}
