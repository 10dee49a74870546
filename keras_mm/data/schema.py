import keras

from ..deprecated import renamed
from ..errors import refuse_rows
from ..inputs import Input
from ..inputs.cells import cells_in, is_missing, to_name
from ..inputs.missing_words import raw_without_words, without_words, words_of
from ..names import answer_name, check_answers, check_names, served_name
from ..targets import as_target
from .columns import column_of, is_dataset, refuse_batches

# The modality of all numbers, dates and categories.
TABULAR = "tabular"


@keras.saving.register_keras_serializable(package="keras_mm")
class Schema:
    """Which columns of a table are inputs of a model, and which ones are targets.

    Columns may have any name. In an exported model, `unit price (EUR)` becomes
    `unit_price_EUR`; see `served_names`.

    Examples:

    >>> schema = keras_mm.Schema(
    ...     inputs={"image": keras_mm.Image((96, 96)), "text": keras_mm.Text()},
    ...     targets={"category": keras_mm.ClassLabel()},
    ... ).adapt(train)

    Args:
        inputs: dict from column name to an input: `Image`, `Text`, `Audio`,
            `Video`, `Sequence`, `Graph`, `Vector`, `Number`, `Date` or `Category`.
        targets: dict from column name to `ClassLabel`, `MultiLabel` or
            `Number`. With several, a label may be missing; see
            `keras_mm.build_multitask`.
        missing: a value or a list of values, such as `["?", -999]`, that stand for a
            missing cell, in addition to the empty one: in every table that the
            schema reads, and in requests to an exported model (`Client` does not
            apply them). They are compared as names (-999, -999.0 and "-999.0" are
            the same), ignoring spaces around text; in columns of numbers and dates
            as numbers (so is "-999.00"), where -99.9 also matches its `float32`
            value. In a list of texts, images or labels, such a value is a missing
            item; lists of numbers are left alone.

    Raises:
        ValueError: if a target is also an input, if two columns would have the same
            name in an exported model, or if a name or type cannot be used.
    """

    # Whether a model's weights depend on what `adapt` learned.
    is_in_use = False
    # Whether the model was built for arrays: a dict then holds tensors, not columns.
    is_of_arrays = False
    # Columns that the library writes itself, in which `missing` does not apply.
    wordless = ()
    # The number of rows that `adapt` learned from, or None.
    rows = None

    def __init__(self, inputs, targets=None, missing=()):
        self.inputs = dict(inputs)
        self.targets = {n: as_target(v, n) for n, v in (targets or {}).items()}
        self.missing = words_of(missing)
        if not self.inputs:
            raise ValueError(
                f"A schema needs at least one input column. Received: inputs={inputs}"
            )
        check_names([*self.inputs, *self.targets])
        for name, value in self.inputs.items():
            if isinstance(value, type) or not isinstance(value, Input):
                raise ValueError(
                    "An input must be an object such as keras_mm.Image(), "
                    "keras_mm.Text(), keras_mm.Number() or keras_mm.Category()."
                    f" Received: inputs[{name!r}]={value!r}"
                )
        for name in self.targets:
            if name in self.inputs:
                raise ValueError(
                    f"Column {name!r} is both an input and a target: the model "
                    "would see the label. Leave it out of the inputs. "
                    f"Received: inputs={list(self.inputs)}, "
                    f"targets={list(self.targets)}"
                )
        check_answers(self)

    @classmethod
    def of_arrays(cls, inputs, targets=None):
        """A schema of a model for arrays, until `adapt` is called with a table."""
        schema = cls(inputs, targets)
        schema.is_of_arrays = True
        return schema

    @property
    def served_names(self):
        """dict from column name to its name in an exported model."""
        served = {name: served_name(name) for name in self.inputs}
        return served | {name: answer_name(name) for name in self.targets}

    @property
    def target_name(self):
        """The target column's name, or None; an error with several targets."""
        self._refuse_several()
        return next(iter(self.targets), None)

    @property
    def target(self):
        """The target, or None; an error with several targets."""
        self._refuse_several()
        return next(iter(self.targets.values()), None)

    @property
    def allows_missing_labels(self):
        """Whether a label may be missing in a row, which then has another target's."""
        return len(self.targets) > 1

    def by_target(self, values):
        """Values of the targets as a dict by target.

        Args:
            values: a dict by target; or, with a single target, its value.
        """
        if len(self.targets) != 1 or isinstance(values, dict):
            return values
        return {self.target_name: values}

    def without_dict(self, by_target):
        """The value of a single target in a dict; for several targets the dict."""
        return by_target[self.target_name] if len(self.targets) == 1 else by_target

    def _refuse_several(self):
        if len(self.targets) > 1:
            raise ValueError(
                "There is no single target, the schema has several: schema.targets is "
                "a dict of them. "
                f"Received: targets={list(self.targets)}"
            )

    @property
    def is_adapted(self):
        """Whether every input can turn raw values into tensors."""
        return all(value.is_adapted for value in self.inputs.values())

    @renamed(bad="on_unreadable")
    def adapt(self, table, on_unreadable="error"):
        """Learns vocabularies, normalisation and class names; returns `self`.

        Args:
            table: the TRAINING rows, in any form that `keras_mm.data.to_table`
                reads. Validation and test rows must not be learned from.
            on_unreadable: `"error"` refuses an input's cells that cannot be read, with
                their row numbers; with `"missing"` nothing is learned from them.

        Raises:
            ValueError: if a column cannot be learned from, or if the schema belongs
                to a model and is adapted already.
        """
        import pandas as pd

        if self.is_in_use and self.is_adapted and not self.is_of_arrays:
            raise ValueError(
                "The schema belongs to a model, whose weights depend on its vocabulary, "
                "classes and means. Adapt a copy and build another model with it: "
                "keras_mm.Schema.from_config(model.schema.get_config()).adapt(table). "
                f"Received: schema={self!r}"
            )
        if is_dataset(table) and isinstance(table.element_spec, dict):
            refuse_batches(table.element_spec, self)
        for name, value in self.inputs.items():
            if self.is_in_use and value.is_adapted:
                continue
            if type(value).adapt is not Input.adapt:
                column = column_of(table, name)
                if on_unreadable == "missing" or self.missing:
                    column = pd.Series(
                        list(self.to_raw(column, name, on_unreadable=on_unreadable))
                    )
                value.adapt(column, name)
        for name, value in self.targets.items():
            if self.is_in_use and value.is_adapted:
                continue
            # Mean and deviation of numbers need every row.
            is_number = value.kind == "number"
            replace = self.replace_missing_labels if is_number else self.replace_missing
            column = replace(column_of(table, name), name)
            value.adapt(column, name, self.allows_missing_labels)
            self.rows = len(column)
        self.is_of_arrays = False
        return self

    def replace_missing(self, column, name):
        """A column in which cells that hold one of `missing` are replaced by None.

        Args:
            column: pandas Series.
            name: string, the column's name.
        """
        value = self.inputs.get(name) or self.targets.get(name)
        return without_words(column, self.words(name), value)

    def words(self, name):
        """The values of `missing` that apply to the column `name`."""
        return [] if name in self.wordless else self.missing

    def replace_missing_labels(self, column, name):
        """`replace_missing` of a target; of a single target, no label may be missing."""
        labels = self.replace_missing(column, name)
        if labels is column or self.allows_missing_labels:
            return labels
        cells = dict(enumerate(cells_in(column)))
        replaced = (row for row, cell in enumerate(labels) if cell is None)
        rows = [row for row in replaced if not is_missing(cells[row])]
        if rows:
            words = sorted({to_name(cells[row]).strip() for row in rows})
            refuse_rows(
                name,
                rows,
                f"no label, but one of missing={self.missing},",
                f"Drop these rows: keras_mm.data.to_table(table, missing={words})"
                f".dropna(subset=[{name!r}]).",
                column.iloc[rows[0]],
            )
        return labels

    def replace_missing_cells(self, table):
        """A DataFrame in which cells that hold one of `missing` are None."""
        if not self.missing:
            return table
        replaced = {name: self.replace_missing(table[name], name) for name in table}
        return table.assign(**replaced)

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name, base_dir=None, on_unreadable="error"):
        """`to_raw` of the input `name`, where the values of `missing` are missing."""
        value = self.inputs[name]
        column = self.replace_missing(column, name)
        return value.to_raw(column, name, base_dir, on_unreadable)

    def replace_missing_raw(self, raw, name):
        """A raw batch where the values of `missing` are missing, in the graph."""
        return raw_without_words(raw, self.inputs[name], self.words(name))

    def part(self, names):
        """A schema of some inputs (the same objects), without targets."""
        inputs = {name: self.inputs[name] for name in names}
        part = Schema(inputs, missing=self.missing)
        part.is_of_arrays, part.wordless = self.is_of_arrays, self.wordless
        part.rows = self.rows
        return part

    def modalities(self, own=()):
        """Groups the inputs by modality: those of a group share an encoder.

        All numbers, dates and categories form one modality, `"tabular"`. If `own` holds
        `"numbers"` or `"categories"`, they form two with these names, the first one of
        numbers and dates. A single column keeps its own name, and so does every column
        in `own`. If a column has the name of a group, the group is `"all-tabular"`.

        Args:
            own: names of columns or groups that have an encoder of their own.

        Returns:
            dict from modality name to a list of column names, in the order
            of the inputs.
        """
        groups, served = {}, set(map(served_name, self.inputs))
        kinds = {value.group for value in self.inputs.values() if value.group}
        joined = not any(_free_name(kind, served) in own for kind in kinds)
        for name, value in self.inputs.items():
            group = name
            if value.group and name not in own:
                group = _free_name(TABULAR if joined else value.group, served)
            groups.setdefault(group, []).append(name)
        return {
            group if len(columns) > 1 or group in own else columns[0]: columns
            for group, columns in groups.items()
        }

    def with_inputs(self, inputs):
        """A copy with some inputs replaced by the forms that their encoders read.

        Args:
            inputs: dict from column name to `Input`.
        """
        copy = self.from_config(self.get_config())
        copy.inputs.update(inputs)
        return self.from_config(copy.get_config())

    def preprocess(self, raw):
        """dict of raw batches -> dict of tensors for the model."""
        return {
            name: value.preprocess(self.replace_missing_raw(raw[name], name))
            for name, value in self.inputs.items()
        }

    def describe(self):
        """A readable description: one line per column."""
        width = max(map(len, [*self.inputs, *self.targets]))
        lines = []
        for name, served in self.served_names.items():
            is_input = name in self.inputs
            value = self.inputs[name] if is_input else self.targets[name]
            line = f"  {name:<{width}}  {'' if is_input else '-> '}{value.describe()}"
            lines.append(line if served == name else f"{line}, served as {served}")
        if self.missing:
            lines.append(f"  missing where a cell holds one of {self.missing}")
        return "Schema\n" + "\n".join(lines)

    __repr__ = describe

    def get_config(self):
        """Everything, as plain data."""
        serialize = keras.saving.serialize_keras_object
        return {
            "inputs": [[n, serialize(v)] for n, v in self.inputs.items()],
            "targets": [[n, serialize(v)] for n, v in self.targets.items()],
            "missing": self.missing,
            "is_of_arrays": self.is_of_arrays,
            "wordless": list(self.wordless),
            "rows": self.rows,
        }

    @classmethod
    def from_config(cls, config):
        """Creates the schema again from `get_config()`."""
        deserialize = keras.saving.deserialize_keras_object
        schema = cls(
            inputs={name: deserialize(value) for name, value in config["inputs"]},
            targets={name: deserialize(value) for name, value in config["targets"]},
            missing=config.get("missing", ()),
        )
        schema.is_of_arrays = config.get("is_of_arrays", False)
        schema.wordless = config.get("wordless", ())
        schema.rows = config.get("rows")
        return schema


def _free_name(group, served):
    """The name of a group that is no column's."""
    while served_name(group) in served:
        group = f"all-{group}"
    return group
