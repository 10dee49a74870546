import collections
import itertools

import keras
import numpy as np

from ..errors import refuse_rows
from ..inputs.cells import NUMBER, names_of, to_name, to_strings
from .checks import check_finite, check_numbers, check_shape
from .pictures import draw_confusion
from .target import Target, divide


@keras.saving.register_keras_serializable(package="keras_mm")
class ClassLabel(Target):
    """A target column with one class per row.

    Two classes (binary classification) or more. Labels may be strings, booleans or
    numbers, and are compared by spelling, except that 1, 1.0, "1" and "1.0" are the
    same class "1". Probabilities come in the order of `class_names`.

    If you give `class_names`, none of which is a number, integer labels are indices
    into them, as in TensorFlow Datasets. This does not apply to learned names.

    Examples:

    >>> label = keras_mm.ClassLabel().adapt(pandas.Series(["cat", "dog", "cat"]))
    >>> label.class_names
    ['cat', 'dog']

    Args:
        num_classes: int, number of classes; learned by `adapt` if not given.
        class_names: list of strings, learned by `adapt` if not given.
        learned: bool, whether `class_names` were learned by `adapt`.
        counts: list of ints, the training rows of each class, learned by `adapt`.
    """

    kind = "class"
    least_label = 0
    metrics = ("accuracy", "macro_recall", "macro_f1")
    is_divided_evenly = True

    def __init__(self, num_classes=None, class_names=None, learned=False, counts=None):
        self.class_names = names_of(class_names)
        if num_classes is None and class_names is not None:
            num_classes = len(self.class_names)
        if num_classes is not None and num_classes < 2:
            raise ValueError(
                "A classifier needs at least two classes. "
                f"Received: num_classes={num_classes}"
            )
        self.num_classes = num_classes
        self.learned = bool(learned)
        self.counts = counts

    def learn(self, column, name, allow_missing):
        rows = collections.Counter(filter(None, to_strings(column, name, "error")))
        rows = {cell.decode(): count for cell, count in rows.items()}
        self._learn_names(set(rows), name)
        self.counts = [0] * self.num_classes
        for label, place in self.places().items():
            self.counts[place] += rows.get(label, 0)

    def _learn_names(self, names, name):
        if all(map(_is_number, names)):
            # "01" and "1" are two classes, in the same order each time.
            names = sorted(names, key=lambda label: (float(label), label))
        else:
            names = sorted(names)
        if len(names) < 2:
            raise ValueError(
                f"Column {name!r} must hold at least two classes to learn "
                f"from. Add rows of another class. Received: {name}={names}"
            )
        unknown = [label for label in names if label not in self.places()]
        if self.class_names and not unknown:
            return
        if self.class_names and not self.learned:
            raise ValueError(
                f"Column {name!r} holds {unknown[:10]}, which are not among the "
                f"given class_names={self.class_names[:10]}. Correct one of them, or "
                "leave `class_names` out to learn them. (Whole numbers are indices "
                "from 0, if no name is a number.) "
                f"Received: {name}={unknown[0]!r}"
            )
        if self.num_classes is not None and len(names) > self.num_classes:
            raise ValueError(
                f"Column {name!r} holds {len(names)} classes, more than "
                "`num_classes`. Raise it. "
                f"Received: num_classes={self.num_classes}"
            )
        outputs = list(map(str, range(self.num_classes or 0)))
        if set(names) <= set(outputs):
            # The classes are numbered, and some are not in this column.
            names = outputs
        self.class_names, self.learned = names, True
        self.num_classes = self.num_classes or len(names)

    @property
    def is_adapted(self):
        """Whether the class names are known."""
        return self.class_names is not None

    @property
    def units(self):
        """The number of classes."""
        return self.num_classes

    @property
    def names(self):
        """Class names, one for each output; outputs without a name are numbered."""
        names = self.class_names or []
        numbers = map(str, itertools.count(len(names)))
        free = (number for number in numbers if number not in names)
        return names + list(itertools.islice(free, self.num_classes - len(names)))

    def places(self, with_indices=None):
        """dict from the spelling of a label to its index.

        Args:
            with_indices: bool, whether indices count as labels if no class name is
                a number; None: only if the names were given.
        """
        names = self.class_names or []
        places = {label: place for place, label in enumerate(names)}
        if with_indices is None:
            with_indices = not self.learned
        if with_indices and not any(map(_is_number, names)):
            outputs = range(self.num_classes or len(names))
            places = {str(place): place for place in outputs} | places
        return places

    def encode(self, column, name="target", allow_missing=False):
        """Labels -> `int32` array `(rows,)` of indices into `class_names`.

        A missing label is -1 with `allow_missing`, and an error without.
        """
        places = self.places()
        cells = to_strings(column, name, "error")
        codes = np.array(
            [places.get(cell.decode(), -1) if cell else -2 for cell in cells], "int32"
        )
        for code, what, remedy in (
            (-2, "no label", "Drop these rows: table.dropna(subset=[...])."),
            (
                -1,
                "a label that the model was not made for",
                f"Known are {(self.class_names or list(places))[:10]}. Correct or "
                "drop the rows, or adapt the schema to a table that has them.",
            ),
        ):
            rows = np.flatnonzero(codes == code)
            if len(rows) and not (code == -2 and allow_missing):
                refuse_rows(name, rows, what, remedy, column.iloc[rows[0]])
        return np.maximum(codes, -1)

    def check(self, labels, name="y", allow_missing=False):
        """Raises a `ValueError` unless labels are class indices or one-hot."""
        check_numbers(labels, name)
        if allow_missing and labels[0].size > 1:
            raise ValueError(
                f"Target {name!r} has class indices, -1 where missing. "
                f"Received: {name} of shape {labels.shape}"
            )
        is_index = labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1)
        if not is_index:
            check_shape(labels, self.units, name, ", or one class index per row")
        if allow_missing:
            labels = labels[self.is_known(labels)]
            if not len(labels):
                return
        check_finite(labels, name)
        if is_index and not 0 <= labels.min() <= labels.max() < self.units:
            raise ValueError(
                f"Class indices must lie between 0 and {self.units - 1}. "
                f"Received: {name} from {labels.min()} to {labels.max()}"
            )

    def to_labels(self, array):
        """Class indices, from indices or one-hot labels; -1 for NaN."""
        array = np.asarray(array)
        if array.ndim > 1 and array.shape[-1] > 1:
            return array.argmax(-1)
        return np.nan_to_num(array.reshape(-1), nan=-1).astype(int)

    def names_in(self, cell):
        """The class name, as a set."""
        return {to_name(cell)}

    def scores(self, labels, predictions, weights):
        """`accuracy`, `macro_recall` and `macro_f1`."""
        best = predictions.argmax(axis=1)
        classes = range(predictions.shape[1])
        is_true = np.stack([labels == place for place in classes], 1).astype(float)
        is_best = np.stack([best == place for place in classes], 1).astype(float)
        hits = weights @ (is_true * is_best)
        true, chosen = weights @ is_true, weights @ is_best
        # Classes without any row do not count.
        count = np.maximum((true > 0).sum(axis=1), 1)
        f1 = np.where(true > 0, divide(2 * hits, true + chosen), 0.0)
        return {
            "accuracy": hits.sum(axis=1) / weights.sum(axis=1),
            "macro_recall": divide(hits, true).sum(axis=1) / count,
            "macro_f1": f1.sum(axis=1) / count,
        }

    def constant(self, labels):
        """The frequency of each class."""
        return np.bincount(labels, minlength=self.num_classes) / len(labels)

    def to_additive(self, predictions):
        """Probabilities -> log-probabilities."""
        return np.log(np.maximum(np.asarray(predictions, "float64"), 1e-7))

    def from_additive(self, values):
        """The softmax, which is the inverse."""
        # Rounded, so that float32 noise does not decide a tie.
        shifted = np.round(values - values.max(axis=1, keepdims=True), 5)
        shares = np.exp(shifted)
        return shares / shares.sum(axis=1, keepdims=True)

    def to_columns(self, predictions, name):
        """The most probable class, and a column of probabilities for each class."""
        best = np.array(self.names, dtype=object)[predictions.argmax(axis=1)]
        shares = zip(self.names, predictions.T)
        return {name: best} | {f"{name}_{label}": share for label, share in shares}

    def to_answers(self, predictions, name):
        """Probabilities `(batch, classes)` -> class, all class names, probabilities."""
        import tensorflow as tf

        names = tf.constant(self.names)
        return {
            name: tf.gather(names, tf.argmax(predictions, axis=1)),
            f"{name}_classes": tf.broadcast_to(names[None], tf.shape(predictions)),
            f"{name}_probabilities": predictions,
        }

    def expected_answers(self, predictions, name, answers):
        """The expected result of `to_answers`, in NumPy."""
        shares = answers.get(f"{name}_probabilities", predictions)
        return {
            name: [self.names[place] for place in shares.argmax(axis=1)],
            f"{name}_classes": [self.names] * len(predictions),
            f"{name}_probabilities": predictions,
        }

    def answers(self, name):
        """Outputs of an exported model: {output name: description}."""
        return {
            name: "the most probable class",
            f"{name}_classes": f"the names of all {self.num_classes} classes",
            f"{name}_probabilities": "their probabilities, in the same order",
        }

    def caption(self, prediction):
        """The class and its probability."""
        best = int(np.argmax(prediction))
        return f"{self.names[best]} {prediction[best]:.0%}"

    def is_right(self, label, prediction):
        """Whether the most probable class is the right one."""
        return bool(np.argmax(prediction) == label)

    def draw(self, axes, labels, predictions):
        """The confusion matrix: true classes in rows, predicted ones in columns."""
        draw_confusion(axes, labels, predictions.argmax(axis=1), self.names)

    def describe(self):
        """A one-line description."""
        if self.class_names is None:
            return f"ClassLabel, {self.num_classes or '?'} classes"
        first = ", ".join(self.class_names[:3])
        more = ", ..." if len(self.class_names) > 3 else ""
        return f"ClassLabel, {self.num_classes} classes ({first}{more})"

    def get_config(self):
        """The constructor's arguments."""
        return {
            "num_classes": self.num_classes,
            "class_names": self.class_names,
            "learned": self.learned,
            "counts": self.counts,
        }


def _is_number(text):
    return NUMBER.fullmatch(text) is not None
