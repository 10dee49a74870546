"""The contract that everything that a model can predict fulfils."""

import numpy as np

from ..inputs.in_use import refuse_in_use


class Target:
    """Base class: what one predicted column of a table is.

    A target knows how the cells of its column become labels (arrays that a loss
    takes), how predictions are scored against them, and how predictions become cells
    of a table again and outputs of an exported model. What a model computes to predict
    it, and what it minimises, is the head's.

    `labels` are what `encode` gives, `predictions` what a head gives for as many rows.
    """

    # What it is, for heads and messages: "class", "labels", "number", ...
    kind = None
    # What predicts it when no head is named: a name in `keras_mm.heads.HEADS`, or a
    # `Head`.
    default_head = "dense"
    # The least value of a label that is there; None: every number is one, NaN is not.
    least_label = None
    # Names of the scores, the usual one first, and those of which less is better.
    metrics = ()
    lower_is_better = ()
    # Whether a model's weights depend on what was learned.
    is_in_use = False
    # The shape of a cell in a dataset of rows: one value, or a list of them.
    raw_shape = ()

    def adapt(self, column, name="target", allow_missing=False):
        """Learns what must be known of the column; returns `self`.

        Args:
            column: pandas Series, the training rows' cells.
            name: string, for messages.
            allow_missing: bool, whether cells may be missing.
        """
        refuse_in_use(self, name)
        self.learn(column, name, allow_missing)
        return self

    def learn(self, column, name, allow_missing):
        """What `adapt` does if the target may learn."""
        raise NotImplementedError

    @property
    def is_adapted(self):
        """Whether everything is known that predictions mean."""
        raise NotImplementedError

    @property
    def units(self):
        """int, how many values are predicted of a row; None if not known yet."""
        raise NotImplementedError

    def encode(self, column, name="target", allow_missing=False):
        """Cells -> array of labels, one row each.

        Args:
            column: pandas Series.
            name: string, for messages.
            allow_missing: bool, whether a missing cell becomes an unknown label; it is
                refused otherwise, with the row's number.
        """
        raise NotImplementedError

    def is_known(self, labels):
        """Which rows have a label: bool array `(rows,)`."""
        labels = np.reshape(labels, (len(labels), -1))
        return ~np.isnan(labels).any(axis=1)

    def check(self, labels, name="y", allow_missing=False):
        """Raises a `ValueError` if an array that a user feeds holds no labels."""
        raise NotImplementedError

    def to_labels(self, array):
        """An array that a user feeds -> labels in the form that `encode` gives."""
        return np.asarray(array)

    def names_in(self, cell):
        """The names, of classes or labels, in a cell that is not missing: a set.

        What is not seen in training cannot be predicted, and not be scored.
        """
        return set()

    @property
    def is_divided_evenly(self):
        """Whether parts of a table get the same share of each label."""
        return False

    def score(self, labels, predictions, weights=None):
        """How good predictions are.

        Args:
            labels: array, all of them known.
            predictions: array.
            weights: float array `(resamples, rows)`, how often each row counts;
                None: once.

        Returns:
            dict from each of `metrics` to an array `(resamples,)`, or to a float
            without `weights`.
        """
        if weights is not None:
            return self.scores(labels, predictions, weights)
        found = self.scores(labels, predictions, np.ones((1, len(labels))))
        return {name: float(values[0]) for name, values in found.items()}

    def scores(self, labels, predictions, weights):
        """`score` with weights."""
        raise NotImplementedError

    def constant(self, labels):
        """The prediction `(units,)` that is best without looking at any input."""
        return np.mean(labels, axis=0, dtype="float64")

    def to_additive(self, predictions):
        """Predictions -> logits or the like, in which adding makes sense."""
        return np.asarray(predictions, "float64")

    def from_additive(self, values):
        """The way back from `to_additive`."""
        return values

    def to_columns(self, predictions, name):
        """Predictions -> dict of columns for people."""
        raise NotImplementedError

    def to_answers(self, predictions, name):
        """Predictions, a tensor -> dict of an exported model's outputs.

        TensorFlow graph ops. The keys are those of `answers`.
        """
        raise NotImplementedError

    def expected_answers(self, predictions, name, answers):
        """What `to_answers` must give, in NumPy.

        Args:
            predictions: array, the model's.
            name: string, as in `to_answers`.
            answers: dict of the arrays that were answered, all numbers in which were
                found right: what a threshold makes of them depends on their last digit.

        Returns:
            dict from output to array or list.
        """
        raise NotImplementedError

    @property
    def unit(self):
        """float, the size of a difference in predictions that matters."""
        return 1.0

    def answers(self, name):
        """What an exported model predicts: {output name: what it is}."""
        raise NotImplementedError

    def caption(self, prediction):
        """One row's prediction in a few words."""
        raise NotImplementedError

    def is_right(self, label, prediction):
        """Whether one row's prediction is right; None if there is no such thing."""
        return None

    def draw(self, axes, labels, predictions):
        """The picture that people expect, on Matplotlib axes."""
        raise NotImplementedError

    def describe(self):
        """A one-line description."""
        return type(self).__name__

    def __repr__(self):
        return self.describe()

    def get_config(self):
        """The arguments of `__init__` and what `adapt` learned."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config):
        """Creates the target again from `get_config()`."""
        return cls(**config)


def divide(above, below):
    """Arrays' quotient, 0 where `below` is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
