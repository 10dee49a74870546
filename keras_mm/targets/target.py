"""The interface of targets: what a model can predict."""

import numpy as np

from ..inputs.input import refuse_in_use
from .checks import check_numbers


class Target:
    """Base class of targets: one column of a table that a model predicts.

    A target defines how the cells of its column become labels (arrays that a loss
    takes), how predictions are scored against labels, and how predictions become
    columns of a table and outputs of an exported model. The layers that predict it,
    and the loss, belong to a `keras_mm.heads.Head`.

    Everywhere, `labels` are the result of `encode`, and `predictions` are the output of
    a head for the same rows.
    """

    # The kind of target, by which heads are matched: "class", "labels", "number", ...
    kind = None
    # The head that is built when none is named: a name in `keras_mm.heads.HEADS`, or a
    # `Head`.
    default_head = "dense"
    # int, default units of the Dense layer that builders put before it; or None.
    hidden_units = None
    # Labels below this value are missing; None: only NaN is missing.
    least_label = None
    # Names of the scores, the default one first, and those where lower is better.
    metrics = ()
    lower_is_better = ()
    # Whether predictions can be interpreted, such as by class names, and the number of
    # values that are predicted per row, None if not known yet.
    is_adapted = True
    units = None
    # Whether a model's weights depend on what `adapt` learned.
    is_in_use = False
    # The shape of a cell in a dataset of rows: one value, or a list of them.
    raw_shape = ()

    def adapt(self, column, name="target", allow_missing=False):
        """Learns the target's properties from a column; returns `self`.

        Args:
            column: pandas Series, the training rows' cells.
            name: string, for messages.
            allow_missing: bool, whether cells may be missing.
        """
        refuse_in_use(self, name)
        self.learn(column, name, allow_missing)
        return self

    def learn(self, column, name, allow_missing):
        """The implementation of `adapt`, for subclasses; here it checks the cells."""
        self.encode(column, name, allow_missing)

    def encode(self, column, name="target", allow_missing=False):
        """Cells -> array of labels, one per row.

        Args:
            column: pandas Series.
            name: string, for messages.
            allow_missing: bool, whether a missing cell becomes a missing label (NaN or
                -1); otherwise it is an error that names the row.
        """
        raise NotImplementedError

    def is_known(self, labels):
        """Mask of the rows that have a label: bool array `(rows,)`."""
        labels = np.reshape(labels, (len(labels), -1))
        if self.least_label is None:
            return ~np.isnan(labels).any(axis=1)
        # False for NaN, too.
        return (labels >= self.least_label).all(axis=1)

    def check(self, labels, name="y", allow_missing=False):
        """Raises a `ValueError` if an array given by the user does not hold labels."""
        check_numbers(labels, name)

    def to_labels(self, array):
        """An array given by the user -> labels in the form that `encode` returns."""
        return np.asarray(array)

    def names_in(self, cell):
        """The names of classes or labels in a cell that is not missing, as a set.

        Names that do not occur in training can be neither predicted nor scored.
        """
        return set()

    @property
    def is_divided_evenly(self):
        """Whether splits of a table are stratified by this target."""
        return False

    def score(self, labels, predictions, weights=None):
        """Scores of predictions.

        Args:
            labels: array without missing labels.
            predictions: array.
            weights: float array `(resamples, rows)`, how often each row counts;
                None: once.

        Returns:
            dict from each of `metrics` to an array `(resamples,)`, or to a float
            without `weights`.
        """
        if weights is not None:
            return self.scores(labels, predictions, weights)
        scores = self.scores(labels, predictions, np.ones((1, len(labels))))
        return {name: float(values[0]) for name, values in scores.items()}

    def scores(self, labels, predictions, weights):
        """The implementation of `score`, with weights, for subclasses."""
        raise NotImplementedError

    def constant(self, labels):
        """The best constant prediction `(units,)`, a baseline for reports."""
        return np.mean(labels, axis=0, dtype="float64")

    def to_additive(self, predictions):
        """Predictions -> logits, or another scale on which contributions add up."""
        return np.asarray(predictions, "float64")

    def from_additive(self, values):
        """The inverse of `to_additive`."""
        return values

    def to_columns(self, predictions, name):
        """Predictions -> dict of readable columns."""
        raise NotImplementedError

    def to_answers(self, predictions, name):
        """Tensor of predictions -> dict of an exported model's outputs.

        TensorFlow graph ops. The keys are those of `answers`.
        """
        raise NotImplementedError

    def expected_answers(self, predictions, name, answers):
        """The expected result of `to_answers`, in NumPy: the column of `to_columns`.

        Args:
            predictions: array, the model's.
            name: string, as in `to_answers`.
            answers: dict of the exported model's outputs, whose numbers have been
                verified already: strings are derived from these, since a threshold or
                an argmax can depend on the last digit.

        Returns:
            dict from output to array or list.
        """
        return {name: list(self.to_columns(predictions, name)[name])}

    @property
    def unit(self):
        """float, the scale of predictions, by which differences are judged."""
        return 1.0

    def answers(self, name):
        """Outputs of an exported model: {output name: description}."""
        return {name: "the prediction"}

    def caption(self, prediction):
        """One row's prediction as a short text: its cell in `to_columns`."""
        return str(self.to_columns(prediction[None], "")[""][0])

    def is_right(self, label, prediction):
        """Whether one row's prediction is right; None if that is not defined."""
        return None

    def draw(self, axes, labels, predictions):
        """The usual plot of this kind of target, on Matplotlib axes."""
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
    """The quotient of arrays; 0 where `below` is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
