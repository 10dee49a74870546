import keras
import numpy as np

from ..errors import refuse_rows
from .cells import is_missing, to_text


@keras.saving.register_keras_serializable(package="keras_mm")
class MultiLabel:
    """A target column with any number of labels a row.

    A cell is a list of labels, or text with a separator between them. An
    empty list or text means: none of the labels; None or NaN is refused,
    unless the model has several targets.

    Examples:

    >>> tags = keras_mm.MultiLabel().adapt(pandas.Series(["red|round", "red"]))
    >>> tags.encode(pandas.Series(["round", ""])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]

    Args:
        class_names: list of strings, learned by `adapt` if not given.
        separator: string between the labels of a text cell.
        threshold: float, the probability from which a label is predicted.
    """

    def __init__(self, class_names=None, separator="|", threshold=0.5):
        self.class_names = None if class_names is None else list(class_names)
        self.separator = separator
        self.threshold = threshold

    def _labels(self, cell):
        if isinstance(cell, (bytes, str)):
            cell = to_text(cell).split(self.separator)
        return [label.strip() for label in map(to_text, cell) if label.strip()]

    def adapt(self, column, name="target"):
        """Learns the label names from a column; returns `self`."""
        names = set()
        for cell in column:
            if not is_missing(cell):
                names.update(self._labels(cell))
        if not names:
            raise ValueError(
                f"Column {name!r} must hold at least one label to learn from. "
                f"Received: {name} with {len(column)} empty cells"
            )
        if not names <= set(self.class_names or []):
            self.class_names = sorted(names)
        return self

    @property
    def num_classes(self):
        """How many labels the model knows."""
        return None if self.class_names is None else len(self.class_names)

    @property
    def names(self):
        """Label names, one for each output."""
        return self.class_names

    def encode(self, column, name="target", allow_missing=False):
        """Labels -> `float32` array `(rows, num_classes)` of 0 and 1.

        A row of None or NaN is NaN with `allow_missing`, and refused without.
        """
        indices = {label: index for index, label in enumerate(self.class_names)}
        codes = np.zeros((len(column), len(indices)), dtype="float32")
        absent, unknown = [], []
        for row, cell in enumerate(column):
            if is_missing(cell):
                empty = isinstance(cell, (str, bytes, list, tuple, np.ndarray))
                if not empty:
                    absent.append(row)
                continue
            for label in self._labels(cell):
                if label in indices:
                    codes[row, indices[label]] = 1.0
                else:
                    unknown.append(row)
        if allow_missing:
            codes[absent] = np.nan
            absent = []
        for rows, what in (
            (absent, "no labels (None or NaN; write '' for none of them)"),
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

    def answers(self, name):
        """What an exported model predicts: {output name: what it is}."""
        chosen = f"of probability {self.threshold} and more"
        return {
            name: f"the labels {chosen}, joined by `{self.separator}`",
            f"{name}_classes": f"the names of all {self.num_classes} classes",
            f"{name}_probabilities": "their probabilities, in the same order",
        }

    def describe(self):
        """One line for people."""
        return f"MultiLabel, {self.num_classes or '?'} labels"

    __repr__ = describe

    def get_config(self):
        """The constructor's arguments."""
        return {
            "class_names": self.class_names,
            "separator": self.separator,
            "threshold": self.threshold,
        }

    @classmethod
    def from_config(cls, config):
        """Creates the target again from `get_config()`."""
        return cls(**config)
