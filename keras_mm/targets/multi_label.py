import keras
import numpy as np

from ..errors import refuse_rows, rows_text
from ..inputs.cells import cells_in, is_missing, names_of, to_name, to_text
from ..inputs.literals import from_text
from .checks import check_finite, check_numbers, check_shape
from .pictures import draw_bars
from .target import Target, divide


@keras.saving.register_keras_serializable(package="keras_mm")
class MultiLabel(Target):
    """A target column with any number of labels per row.

    A cell is a list of labels, text that spells one (`"['red', 'round']"` in a
    CSV file), text with a separator between labels, or a list of 0 and 1, one for
    each label. An empty list or text means none of the labels. None and NaN, which
    is what an empty cell of a CSV file is, are missing, and refused unless the
    model has several targets. Words of `Schema(missing=...)` among the labels are
    ignored; a cell that consists of one is missing.

    Examples:

    >>> tags = keras_mm.MultiLabel().adapt(pandas.Series(["red|round", "red"]))
    >>> tags.encode(pandas.Series(["round", ""])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]

    Args:
        class_names: list of strings, learned by `adapt` if not given; for lists of
            0 and 1 they are the positions, `["0", "1", ...]`.
        separator: string between the labels of a text cell.
        threshold: float, the least probability with which a label is predicted.
    """

    kind = "labels"
    least_label = 0
    metrics = ("macro_f1", "micro_f1", "exact_match")
    raw_shape = (None,)

    def __init__(self, class_names=None, separator="|", threshold=0.5):
        self.class_names = names_of(class_names)
        self.separator = separator
        self.threshold = threshold

    def labels_of(self, cell):
        """The labels of a cell that is not missing, as strings.

        Raises:
            TypeError: if it holds anything but labels.
        """
        cell = from_text(cell)
        if isinstance(cell, dict):
            raise TypeError("a dict is not a list of labels")
        if isinstance(cell, (bytes, str)):
            cell = to_text(cell).split(self.separator)
        elif not hasattr(cell, "__len__"):
            cell = [cell]
        names = self.class_names or []
        # A list of more than two would repeat a label if it held labels called 0
        # and 1, so it must be indicators.
        if len(cell) == len(names) and (len(names) > 2 or not {"0", "1"} & set(names)):
            if _is_indicator(cell):
                return [name for name, is_set in zip(names, cell) if is_set]
        labels = [to_name(label).strip() for label in cell if not is_missing(label)]
        return [label for label in map(to_name, labels) if label]

    def items_of(self, cell):
        """The labels of a cell as they are written; none for a list of 0 and 1."""
        cell = from_text(cell)
        if isinstance(cell, (bytes, str)):
            return to_text(cell).split(self.separator)
        is_list = hasattr(cell, "__len__") and not isinstance(cell, dict)
        return list(cell) if is_list and not _is_indicator(cell) else []

    def learn(self, column, name, allow_missing):
        cells = [from_text(cell) for cell in cells_in(column) if not is_missing(cell)]
        length = None if self.class_names else _common_length(cells)
        if length == 2:
            raise ValueError(
                f"Column {name!r} holds two numbers, 0 or 1, in every cell: labels "
                "called 0 and 1, or which of two labels there are? Name the labels: "
                f"MultiLabel(class_names=[...]). Received: {name}={cells[0]!r}"
            )
        if length:
            self.class_names = [str(place) for place in range(length)]
            return
        names = set().union(*self._labels(column, name).values())
        if not names:
            raise ValueError(
                f"Column {name!r} must hold at least one label to learn from. "
                f"Received: {name} with {len(column)} empty cells"
            )
        if not names <= set(self.class_names or []):
            self.class_names = sorted(names)

    def _labels(self, column, name):
        """dict from row number to its labels, for rows that are not missing."""
        labels, wrong = {}, []
        for row, cell in enumerate(cells_in(column)):
            if is_missing(cell):
                continue
            try:
                labels[row] = self.labels_of(cell)
            except (TypeError, UnicodeError):
                wrong.append(row)
        if wrong:
            refuse_rows(
                name,
                wrong,
                "a cell that is not a list of labels",
                "Write ['red', 'round'], or 'red|round'.",
                column.iloc[wrong[0]],
            )
        return labels

    @property
    def is_adapted(self):
        """Whether the label names are known."""
        return self.class_names is not None

    @property
    def num_classes(self):
        """The number of labels."""
        return None if self.class_names is None else len(self.class_names)

    @property
    def units(self):
        """The number of labels."""
        return self.num_classes

    @property
    def names(self):
        """Label names, one for each output."""
        return self.class_names

    def encode(self, column, name="target", allow_missing=False):
        """Labels -> `float32` array `(rows, num_classes)` of 0 and 1.

        A missing row is NaN with `allow_missing`, and an error without.
        """
        indices = {label: index for index, label in enumerate(self.class_names)}
        codes = np.zeros((len(column), len(indices)), dtype="float32")
        absent, unknown = [], []
        for row, cell in enumerate(column):
            cell = from_text(cell)
            empty = isinstance(cell, (str, bytes, list, tuple, np.ndarray))
            if is_missing(cell) and not empty:
                absent.append(row)
        for row, labels in self._labels(column, name).items():
            for label in labels:
                if label in indices:
                    codes[row, indices[label]] = 1.0
                else:
                    unknown.append(row)
        if allow_missing:
            codes[absent] = np.nan
            absent = []
        for rows, what in (
            (absent, "no labels (None or NaN; write [] for none of them)"),
            (unknown, "a label that the model was not made for"),
        ):
            if rows:
                refuse_rows(
                    name,
                    sorted(set(rows)),
                    what,
                    "Correct or drop these rows.",
                    column.iloc[rows[0]],
                )
        return codes

    def check(self, labels, name="y", allow_missing=False):
        """Raises a `ValueError` unless an array holds 0 or 1 for each label."""
        check_numbers(labels, name)
        check_shape(labels, self.units, name)
        if allow_missing and labels.dtype.kind == "f" and labels.ndim > 1:
            gaps = np.isnan(labels.reshape(len(labels), -1))
            wrong = np.flatnonzero(gaps.any(axis=1) & ~gaps.all(axis=1))
            if len(wrong):
                raise ValueError(
                    "The labels of a row must all be known or all be NaN; of target "
                    f"{name!r} some are NaN in {rows_text(wrong)}. "
                    f"Received: {name}={labels[wrong[0]]}"
                )
        check_finite(labels[self.is_known(labels)] if allow_missing else labels, name)

    def names_in(self, cell):
        """The label names, as a set."""
        return set(self.labels_of(cell))

    def scores(self, labels, predictions, weights):
        """`macro_f1`, `micro_f1` and `exact_match`."""
        truth, chosen = labels > 0.5, predictions >= self.threshold
        hits = weights @ (truth & chosen).astype(float)
        both = weights @ (truth.astype(float) + chosen)
        exact = (truth == chosen).all(axis=1).astype(float)
        return {
            "macro_f1": divide(2 * hits, both).mean(axis=1),
            "micro_f1": divide(2 * hits.sum(axis=1), both.sum(axis=1)),
            "exact_match": weights @ exact / weights.sum(axis=1),
        }

    def to_additive(self, predictions):
        """Probabilities -> logits."""
        clipped = np.clip(np.asarray(predictions, "float64"), 1e-7, 1 - 1e-7)
        return np.log(clipped) - np.log1p(-clipped)

    def from_additive(self, values):
        """The sigmoid, which is the inverse."""
        return 1 / (1 + np.exp(-np.round(values, 5)))

    def to_columns(self, predictions, name):
        """The predicted labels, and a column of probabilities for each label."""
        chosen = [self._joined(row) for row in predictions >= self.threshold]
        shares = zip(self.names, predictions.T)
        return {name: chosen} | {f"{name}_{label}": share for label, share in shares}

    def to_answers(self, predictions, name):
        """Probabilities `(batch, labels)` -> labels, all label names, probabilities."""
        import tensorflow as tf

        names = tf.broadcast_to(tf.constant(self.names)[None], tf.shape(predictions))
        chosen = tf.ragged.boolean_mask(names, predictions >= self.threshold)
        return {
            name: tf.strings.reduce_join(chosen, axis=1, separator=self.separator),
            f"{name}_classes": names,
            f"{name}_probabilities": predictions,
        }

    def expected_answers(self, predictions, name, answers):
        """The expected result of `to_answers`, in NumPy."""
        shares = answers.get(f"{name}_probabilities", predictions)
        chosen = shares >= np.float32(self.threshold)
        return {
            name: [self._joined(row) for row in chosen],
            f"{name}_classes": [self.names] * len(predictions),
            f"{name}_probabilities": predictions,
        }

    def _joined(self, chosen):
        labels = (label for label, is_set in zip(self.names, chosen) if is_set)
        return self.separator.join(labels)

    def answers(self, name):
        """Outputs of an exported model: {output name: description}."""
        chosen = f"of probability {self.threshold} and more"
        return {
            name: f"the labels {chosen}, joined by `{self.separator}`",
            f"{name}_classes": f"the names of all {self.num_classes} classes",
            f"{name}_probabilities": "their probabilities, in the same order",
        }

    def caption(self, prediction):
        """The predicted labels."""
        return self._joined(prediction >= self.threshold)

    def is_right(self, label, prediction):
        """Whether exactly the right labels are predicted."""
        return bool(((prediction >= self.threshold) == (label > 0.5)).all())

    def draw(self, axes, labels, predictions):
        """The F1 of each label."""
        truth, chosen = labels > 0.5, predictions >= self.threshold
        hits = (truth & chosen).sum(axis=0).astype(float)
        f1 = divide(2 * hits, truth.sum(axis=0) + chosen.sum(axis=0, dtype=float))
        draw_bars(axes, self.names, f1, "F1")

    def describe(self):
        """A one-line description."""
        return f"MultiLabel, {self.num_classes or '?'} labels"

    def get_config(self):
        """The constructor's arguments."""
        return {
            "class_names": self.class_names,
            "separator": self.separator,
            "threshold": self.threshold,
        }


def _is_indicator(cell):
    """Whether a cell is a list of numbers or booleans, each 0 or 1."""
    return not isinstance(cell, (str, bytes, set)) and all(
        isinstance(value, (bool, int, float, np.generic))
        and not isinstance(value, np.str_)
        and value in (0, 1)
        for value in cell
    )


def _common_length(cells):
    """The common length of all cells if each is a list of 0 and 1; else None."""
    lengths = {len(cell) if hasattr(cell, "__len__") else 0 for cell in cells}
    length = lengths.pop() if len(lengths) == 1 else 0
    return length if length > 1 and all(map(_is_indicator, cells)) else None
