"""The expected outputs of an exported model, computed from the Keras model."""

import numpy as np
from keras import ops

from ..models.unit import unit
from ..names import answer_name, served_name

TOLERANCE = 1e-5
# For vectors, relative to the largest number, or to 1.
_OF_VECTORS = 1e-4


class Expected:
    """Compares an exported model's outputs with the Keras model's.

    Args:
        model: the model.
        index: the `SearchIndex` that was exported with it, or None.
    """

    def __init__(self, model, index=None):
        self.model = model
        self.index = index
        # Numbers are compared relative to the target's scale.
        self._units = {
            answer_name(name): target.unit
            for name, target in model.schema.targets.items()
        }
        self._parts = model.parts() if model.schema.is_adapted else {}

    @property
    def signatures(self):
        """The names of the expected signatures."""
        names = {"serving_default", "serving_tensors", *self._parts}
        return names | ({"search"} if self.index is not None else set())

    def check(self, signature, answer, predictions, tensors, readable):
        """Raises a `RuntimeError` unless every output equals the model's.

        Args:
            signature: string.
            answer: dict from output name to array, the exported model's.
            predictions: dict from target or tower to the model's array.
            tensors: dict from column to the rows' tensor.
            readable: dict from column to bool array, which files and dates are valid.

        Returns:
            float, the largest difference of a prediction.
        """
        if signature == "search":
            return self._check_search(answer, predictions)
        words = {}
        if signature in self._parts:
            expected = self._part(signature, tensors)
            # Half precision is rounded differently in a graph.
            is_half = _has_half_precision(self.model)
            tolerances = dict.fromkeys(expected, 2e-2 if is_half else _OF_VECTORS)
        else:
            (expected, words), tolerances = self._answers(predictions, {}), {}
            if signature == "serving_default":
                inputs = self.model.schema.inputs
                expected |= {
                    f"{served_name(name)}{inputs[name].ok_suffix}": ok
                    for name, ok in readable.items()
                }
        if set(answer) != {*expected, *words}:
            raise RuntimeError(
                f"The exported signature {signature!r} must answer with "
                f"{sorted({*expected, *words})}. Received: outputs={sorted(answer)}"
            )
        largest = 0.0
        rows = len(next(iter(predictions.values())))
        for name, values in expected.items():
            if len(values) != rows:
                raise RuntimeError(
                    f"Output {name!r} of {signature!r} must give a value for each "
                    f"of {rows} rows. Received: {len(values)} values"
                )
            tolerance = tolerances.get(name, TOLERANCE)
            difference = _difference(
                answer[name], values, name in tolerances, self._units.get(name, 1.0)
            )
            _refuse(signature, name, answer[name], values, difference >= tolerance)
            if name not in tolerances:
                largest = max(largest, float(difference.max(initial=0.0)))
        if words:
            _, words = self._answers(predictions, answer)
        for name, values in words.items():
            wrong = np.array([g != v for g, v in zip(_text(answer[name]), values)])
            _refuse(signature, name, _text(answer[name]), values, wrong)
        return largest

    def _answers(self, predictions, answers):
        """The expected outputs of predictions: dicts of numbers, and of strings.

        Strings depend on the exported numbers, which are checked first.
        """
        targets, expected = self.model.schema.targets, {}
        for name, values in predictions.items():
            if name in targets:
                served = answer_name(name)
                expected |= targets[name].expected_answers(values, served, answers)
            else:
                expected[f"{served_name(name)}_embedding"] = values
        words = {
            n for n, values in expected.items() if np.asarray(values).dtype.kind in "OU"
        }
        return (
            {n: values for n, values in expected.items() if n not in words},
            {n: values for n, values in expected.items() if n in words},
        )

    def _part(self, signature, tensors):
        """dict from output of a submodel's signature to the model's array."""
        return {
            name: ops.convert_to_numpy(ops.cast(value, "float32"))
            for name, value in self._parts[signature](tensors).items()
        }

    def _check_search(self, answer, predictions):
        """Each id must have its score, and no row of the index a higher one."""
        query = unit(sum(predictions.values()))
        scores = query @ self.index.vectors.T
        ids, got = _text(answer["ids"]), answer["scores"]
        order = np.argsort(-scores, axis=1)[:, : got.shape[1]]
        best = np.take_along_axis(scores, order, axis=1)
        _refuse("search", "scores", got, best, _difference(got, best) >= TOLERANCE)
        places = {name: row for row, name in enumerate(self.index.rows["id"].tolist())}
        for row, names in enumerate(ids):
            if not query[row].any():
                fine = set(names) <= {""}
            else:
                fine = len(set(names)) == len(names) and places.keys() >= set(names)
                fine = fine and all(
                    abs(scores[row, places[name]] - score) < TOLERANCE
                    for name, score in zip(names, got[row])
                )
            wrong = np.full(len(ids), False)
            wrong[row] = not fine
            expected = self.index.rows["id"].to_numpy()[order]
            _refuse("search", "ids", ids, expected, wrong)
        return float(_difference(got, best).max(initial=0.0))


def _has_half_precision(layer):
    """Whether a layer, or one inside it, computes in 16 bits."""
    inner = getattr(layer, "layers", ())
    return "16" in layer.compute_dtype or any(map(_has_half_precision, inner))


def _difference(got, values, is_vector=False, unit=1.0):
    """Absolute differences in a unit, or relative to a vector; infinite for NaN.

    Rounding errors of `float32` are ignored.

    Args:
        got: array `(rows, ...)`.
        values: array of the same shape, the expected values.
        is_vector: bool, whether a row's largest number, if above 1, is the unit.
        unit: float, unit of the differences.

    Returns:
        Array of the same shape.
    """
    if np.shape(got) != np.shape(values):
        return np.full((len(values), 1), np.inf)
    got, values = np.asarray(got, "float64"), np.asarray(values, "float64")
    if is_vector:
        largest = np.abs(values).reshape(len(values), -1).max(axis=1, initial=unit)
        unit = largest.reshape(-1, *[1] * (values.ndim - 1))
    rounding = 8 * np.spacing(np.abs(values).astype("float32")).astype("float64")
    difference = np.maximum(np.abs(got - values) - rounding, 0.0) / unit
    return np.nan_to_num(difference, nan=np.inf)


def _refuse(signature, name, got, values, wrong):
    """Raises a `RuntimeError` with the first wrong row, if any row is wrong."""
    rows = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
    if len(rows):
        row = int(rows[0])
        raise RuntimeError(
            f"The exported model differs from the Keras model: output {name!r} of "
            f"{signature!r} is wrong in {len(rows)} of {len(wrong)} rows. "
            f"Received: exported={got[row]}, model={values[row]}"
        )


def _text(values):
    """An array of bytes -> lists of `str`."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, list):
        return [_text(value) for value in values]
    return values.decode("utf-8") if isinstance(values, bytes) else values
