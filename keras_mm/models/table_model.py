from ..data import to_dataset, to_table
from ..data.columns import is_dataset
from .built_model import BuiltModel
from .rows import is_table, pair_of, with_target
from .tensors import check_tensors


class TableModel(BuiltModel):
    """Base class: a built model that reads tables as datasets of tensors."""

    def _batch(self, table, **kwargs):
        """All rows of a table as one batch of tensors, target and weights."""
        table = to_table(table)
        dataset = self._dataset(table, len(table), None, "error", **kwargs)
        (entry,) = dataset.as_numpy_iterator()
        return (*entry, None, None)[:3]

    def is_table(self, x):
        """Whether `x` is a table, whose cells must be preprocessed."""
        return is_table(x, self)

    def check(self, x, y=None):
        """Raises a `ValueError` if arrays do not fit the model."""
        if isinstance(x, (dict, list, tuple)) or hasattr(x, "shape"):
            labels = y if self.objective.predicts_targets else None
            check_tensors(x, labels, self)

    def _validation(self, rows, *reading):
        """Validation rows: a table with its target, or what Keras takes."""
        x, y, weight = pair_of(rows)
        if not self.is_table(x):
            labels = None if x is None else self.objective.tensor_labels(self, x, y)
            if labels is None:
                return rows
            return x, labels, self._weights(labels, weight)
        table = self._with_target(x, y)
        if weight is None:
            return table
        return self._dataset(table, *reading, sample_weight=weight)

    def _dataset(self, table, batch_size, base_dir, on_unreadable, **kwargs):
        table = table if is_dataset(table) else to_table(table)
        if kwargs.get("with_target", True):
            kwargs["labels"] = self.objective.table_labels(self, table)
        return to_dataset(
            table,
            self.schema,
            batch_size=batch_size or 32,
            seed=self.seed,
            base_dir=base_dir,
            on_unreadable=on_unreadable,
            **kwargs,
        )

    def _pairs(self, x, y, batch_size, base_dir, on_unreadable):
        """Rows as a dataset of inputs and targets, or as arrays of both."""
        if y is None:
            x = self._validation(x, batch_size, base_dir, on_unreadable)
        if self.is_table(x):
            return self._dataset(
                self._with_target(x, y), batch_size, base_dir, on_unreadable
            )
        return x if y is None else (x, y)

    def _with_target(self, table, target):
        return with_target(table, target, self.schema)
