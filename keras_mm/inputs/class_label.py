import itertools

import keras
import numpy as np

from ..errors import refuse_rows
from .cells import NUMBER, names_of, to_strings
from .in_use import refuse_in_use


@keras.saving.register_keras_serializable(package="keras_mm")
class ClassLabel:
    """A target column with one of several classes a row.

    Two classes (binary classification) or more. Labels may be strings,
    booleans or numbers, and are told apart by how they are written: 1, 1.0,
    "1" and "1.0" are the class "1". Predictions come in the order of `class_names`.

    With `class_names` of your own, none of which is a number, whole numbers are
    indices into them, as in TensorFlow Datasets. They are not where the names
    were learned.

    Examples:

    >>> label = keras_mm.ClassLabel().adapt(pandas.Series(["cat", "dog", "cat"]))
    >>> label.class_names
    ['cat', 'dog']

    Args:
        num_classes: int, how many classes the model tells apart; learned by
            `adapt` if not given.
        class_names: list of strings, learned by `adapt` if not given.
        learned: bool, whether `class_names` were learned by `adapt`.
    """

    def __init__(self, num_classes=None, class_names=None, learned=False):
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

    def adapt(self, column, name="target"):
        """Learns the class names from a column; returns `self`."""
        refuse_in_use(self, name)
        names = {cell.decode() for cell in to_strings(column, name, "error") if cell}
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
            return self
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
                f"Column {name!r} holds {len(names)} classes, more than the "
                "model tells apart. Raise `num_classes`. "
                f"Received: num_classes={self.num_classes}"
            )
        outputs = list(map(str, range(self.num_classes or 0)))
        if set(names) <= set(outputs):
            # The classes are numbered, and some are not in this column.
            names = outputs
        self.class_names, self.learned = names, True
        self.num_classes = self.num_classes or len(names)
        return self

    @property
    def is_adapted(self):
        """Whether the class names are known."""
        return self.class_names is not None

    @property
    def names(self):
        """Class names, one for each output; outputs without one are numbered."""
        known = self.class_names or []
        numbers = map(str, itertools.count(len(known)))
        free = (number for number in numbers if number not in known)
        return known + list(itertools.islice(free, self.num_classes - len(known)))

    def places(self, with_indices=None):
        """dict from how a label is written to its index.

        Args:
            with_indices: bool, whether indices count as labels where no class is
                named by a number; None: if the names were given.
        """
        names = self.class_names or []
        found = {label: place for place, label in enumerate(names)}
        if with_indices is None:
            with_indices = not self.learned
        if with_indices and not any(map(_is_number, names)):
            outputs = range(self.num_classes or len(names))
            found = {str(place): place for place in outputs} | found
        return found

    def encode(self, column, name="target", allow_missing=False):
        """Labels -> `int32` array `(rows,)` of indices into `class_names`.

        A missing label is -1 with `allow_missing`, and refused without.
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

    def answers(self, name):
        """What an exported model predicts: {output name: what it is}."""
        return {
            name: "the most probable class",
            f"{name}_classes": f"the names of all {self.num_classes} classes",
            f"{name}_probabilities": "their probabilities, in the same order",
        }

    def describe(self):
        """One line for people."""
        if self.class_names is None:
            return f"ClassLabel, {self.num_classes or '?'} classes"
        shown = ", ".join(self.class_names[:3])
        more = ", ..." if len(self.class_names) > 3 else ""
        return f"ClassLabel, {self.num_classes} classes ({shown}{more})"

    __repr__ = describe

    def get_config(self):
        """The constructor's arguments."""
        return {
            "num_classes": self.num_classes,
            "class_names": self.class_names,
            "learned": self.learned,
        }

    @classmethod
    def from_config(cls, config):
        """Creates the target again from `get_config()`."""
        return cls(**config)


def _is_number(text):
    return NUMBER.fullmatch(text) is not None
