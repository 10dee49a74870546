import itertools
import json
import os

import numpy as np

from ..inputs.missing_words import raw_words
from ..names import served_name
from .expected import TOLERANCE, Expected
from .exported import ExportedModel, newest_version
from .request_files import read_example
from .warmup import read_warmup

_CHUNK = 32
_MOST_SUBSETS = 16


def verify(path, model, rows=None, index=None):
    """Compares an exported model with its Keras model.

    Every output of every signature, strings included, must equal the model's, on
    generated rows (each subset of the inputs missing, and unreadable values) and
    on rows of a table. The same holds for the warm-up requests and, for the newest
    version, for `request.json`. The result is written to `verification.json` in the
    version's folder.

    Examples:

    >>> report = keras_mm.serving.verify("saved_models/clipart/1", model)
    >>> report["largest_difference"] < 1e-5
    True

    Args:
        path: folder of the version.
        model: the model.
        rows: a table to compare on as well, or None.
        index: the `SearchIndex` that was exported with the model, or None.

    Returns:
        dict with `rows`, `largest_difference` and `signatures`.

    Raises:
        RuntimeError: if a prediction differs by 1e-5 or more, a vector by 1e-4 of
            its largest number, or a string at all; if a number is not finite, an
            output is missing, or a signature cannot be run.
        ValueError: if `request.json` is not a request to this version.
    """
    exported = ExportedModel(path)
    schema, expected = model.schema, Expected(model, index)
    if schema.is_adapted:
        raw, predictions = _raw_rows(model, rows)
    else:
        raw = random_tensors(model)
        tensors = [raw[tensor.name] for tensor in model.inputs]
        predictions = model.serving_model().predict(tensors, verbose=0)
    predictions = schema.by_target(predictions)
    if set(exported.signatures) != expected.signatures:
        raise RuntimeError(
            f"The export must have the signatures {sorted(expected.signatures)} (with "
            "`search`, verify it with index=...). "
            f"Received: signatures={sorted(exported.signatures)}"
        )
    count, largest = len(next(iter(raw.values()))), 0.0
    for start in range(0, count, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        part = {name: values[chunk] for name, values in raw.items()}
        predicted = {name: values[chunk] for name, values in predictions.items()}
        tensors, readable = (
            _to_tensors(part, schema) if schema.is_adapted else (part, {})
        )
        for signature in exported.signatures:
            feed = tensors if signature == "serving_tensors" else part
            feed = {served_name(name): values for name, values in feed.items()}
            answer = exported.run(signature, feed)
            try:
                difference = expected.check(
                    signature, answer, predicted, tensors, readable
                )
            except RuntimeError as error:
                error.add_note(f"In the rows from {start} on, of {count}.")
                raise
            largest = max(largest, difference)
    largest = max([largest, *_rehearse(path, exported, expected)])
    report = {
        "rows": count,
        "largest_difference": largest,
        "tolerance": TOLERANCE,
        "signatures": sorted(exported.signatures),
        # The columns' names in the signatures.
        "columns": schema.served_names,
        "missing": schema.missing,
    }
    with open(os.path.join(path, "verification.json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
    return report


def _rehearse(path, exported, expected):
    """Runs the example requests of the export, if any; yields the differences."""
    path = os.path.abspath(path)
    warmup = os.path.join(path, "assets.extra", "tf_serving_warmup_requests")
    if os.path.exists(warmup):
        yield from _compare(warmup, list(read_warmup(warmup)), exported, expected)
    folder = os.path.dirname(path)
    example = os.path.join(folder, "request.json")
    is_newest = os.path.basename(path).isdigit() and newest_version(folder) == path
    if is_newest and os.path.exists(example):
        rows = read_example(example, exported.inputs())
        yield from _compare(example, [("serving_default", rows)], exported, expected)


def _compare(path, requests, exported, expected):
    """Runs requests of the same rows, or the first of them; yields the differences."""
    model, schema = expected.model, expected.model.schema
    whole = [rows for signature, rows in requests if signature == "serving_default"]
    if not whole:
        return
    whole = max(whole, key=_count)
    raw = {name: whole[schema.served_names[name]] for name in schema.inputs}
    tensors, readable = _to_tensors(raw, schema) if schema.is_adapted else (raw, {})
    listed = [tensors[tensor.name] for tensor in model.inputs]
    predictions = schema.by_target(model.serving_model().predict(listed, verbose=0))
    for count in sorted({_count(rows) for _, rows in requests}):
        first = [
            {name: values[:count] for name, values in arrays.items()}
            for arrays in (predictions, tensors, readable)
        ]
        for signature, rows in requests:
            if _count(rows) != count:
                continue
            answer = exported.run(signature, rows)
            try:
                yield expected.check(signature, answer, *first)
            except RuntimeError as error:
                error.add_note(f"In the rows of {path}.")
                raise


def _count(rows):
    return len(next(iter(rows.values())))


def _raw_rows(model, rows):
    """Generated rows, and up to 256 of a table, with the model's predictions."""
    import pandas as pd

    from ..data import to_table
    from ..data.raw import read_files, to_raw

    schema = model.schema
    raw = verification_rows(schema)
    if rows is not None:
        # Raw values instead of the table, as frames of a clip are sampled at random.
        real = to_raw(to_table(rows).head(256), schema, on_unreadable="missing")
        raw = {
            name: schema.inputs[name].raw_array([*value, *read_files(real[name])])
            for name, value in raw.items()
        }
    table = pd.DataFrame({n: pd.Series(list(v)) for n, v in raw.items()})
    return raw, model.serving_model().predict(table, on_unreadable="missing", verbose=0)


def _to_tensors(raw, schema):
    """The model's tensors of raw rows, and the validity of files and dates."""
    tensors, readable = {}, {}
    for name, value in schema.inputs.items():
        compact = value.decode_array(
            np.asarray(schema.replace_missing_raw(raw[name], name))
        )
        tensors[name] = value.finish(compact).numpy()
        if value.ok_suffix:
            readable[name] = value.readable(compact).numpy()
    return tensors, readable


def verification_rows(schema, seed=0):
    """Raw test rows for an exported model: a dict of arrays, 36 rows or more.

    Each subset of the inputs is missing from some rows, each input is unreadable
    in some, and some rows hold words for missing cells.
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
    words = {n: raw_words(v, schema.words(n)) for n, v in schema.inputs.items()}
    for row in range(len(schema.missing)):
        rows.append({n: v.sample(random) for n, v in schema.inputs.items()})
        for name, value in schema.inputs.items():
            if row < len(words[name]):
                word = words[name][row]
                rows[-1][name] = [word] if value.raw_shape else word
    while len(rows) < 36:
        rows.append({n: v.sample(random) for n, v in schema.inputs.items()})
    return _columns(rows, schema)


def _columns(rows, schema):
    columns = {}
    for name, value in schema.inputs.items():
        columns[name] = value.raw_array([row[name] for row in rows])
    return columns


def random_tensors(model, count=36, seed=0):
    """Random tensors for the model's inputs; each is missing in one of the first rows."""
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
