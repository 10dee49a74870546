import copy
import time

import keras
import numpy as np

from .. import fusion as fusion_room
from ..data import Schema, split, to_table
from ..data.columns import column_name, require_columns
from ..data.folds import folds as fold_numbers
from ..data.folds import texts
from ..data.raw import encode_targets
from ..encoders import expanded
from ..models import build_model
from ..training import callbacks
from .labels import rows_with_label
from .tensors import table_tensors

_BATCH = 256


class Trials:
    """Models of a table's modalities, trained and evaluated by cross-validation.

    Each fold adapts its own copy of the schema to its training rows, and each fit
    starts from copies of the user's arguments, so that nothing leaks between folds.

    Args:
        schema: `Schema`, adapted or not; only its class names are kept.
        table: rows with the targets.
        folds: int, 2 or more.
        groups: name of a column whose equal values stay in one fold, or None.
        encoders: as in the builders.
        epochs: int, largest number of epochs per fit.
        patience: int, epochs without improvement on a seventh of the training
            rows until a fit stops; None: all rows train, for all epochs.
        seed: int.
        base_dir: as in `model.fit`.
        on_unreadable: as in `model.fit`.
        options: dict of other arguments of the builder.
    """

    def __init__(
        self,
        schema,
        table,
        folds,
        groups=None,
        encoders=None,
        epochs=40,
        patience=10,
        seed=0,
        base_dir=None,
        on_unreadable="error",
        options=None,
    ):
        self.schema = schema_copy(schema)
        self.table = self.schema.replace_missing_cells(to_table(table))
        targets = self.schema.targets
        if not targets:
            raise ValueError(
                "The schema has no target to predict: Schema(inputs, targets="
                f"{{...}}). Received: schema={schema!r}"
            )
        groups = column_name(groups)
        wanted = [*self.schema.inputs, *targets, *([groups] if groups else [])]
        require_columns(self.table.columns, wanted)
        for name, target in targets.items():
            if target.kind != "number":
                # The classes are those of all rows, held-out ones included.
                allow_missing = self.schema.allows_missing_labels
                target.adapt(self.table[name], name, allow_missing)
        self.labels = encode_targets(self.table, self.schema)
        self.groups = groups
        self.encoders = expanded(encoders, self.schema.inputs)
        self.modalities = self.schema.modalities(own=self.encoders)
        unknown = sorted(set(self.encoders) - set(self.modalities))
        if unknown:
            raise ValueError(
                "`encoders` has unknown modalities. Modalities are "
                f"{list(self.modalities)}. Received: encoders={unknown}"
            )
        self.epochs, self.patience = epochs, patience
        self.seed, self.base_dir, self.on_unreadable = seed, base_dir, on_unreadable
        self.options = dict(options or {})
        even = (name for name, target in targets.items() if target.is_divided_evenly)
        self.stratify = next(even, None)
        units = texts(self.table[groups]).nunique() if groups else len(self.table)
        if int(folds) != folds or not 2 <= folds <= units:
            raise ValueError(
                f"`folds` must lie between 2 and the number of "
                f"{'groups' if groups else 'rows'}, {units}. Received: folds={folds}"
            )
        if self.stratify:
            most = texts(self.table[self.stratify]).value_counts().max()
            if most < folds:
                raise ValueError(
                    "Some class must have a row for each fold. Take fewer folds or "
                    f"more rows. Received: folds={folds}, and {most} rows of the "
                    "most frequent class"
                )
        self.fold = fold_numbers(self.table, folds, groups, self.stratify, seed)
        self.folds = sorted(set(self.fold.tolist()))
        self.label_rows = rows_with_label(self.labels, self.schema)
        for name, labelled in self.label_rows.items():
            if len(set(self.fold[labelled])) < len(self.folds):
                raise ValueError(
                    f"The target {name!r} must have a label in each fold. Take fewer "
                    "folds, or more rows that have one. Received: "
                    f"folds={folds}, and {len(labelled)} rows with a label of {name!r}"
                )

    def group_values(self):
        """The group of each row, for the bootstrap, or None."""
        return None if self.groups is None else texts(self.table[self.groups])

    def rows(self, fold):
        """Indices of the fold's held-out rows."""
        return np.flatnonzero(self.fold == fold)

    def train_rows(self, fold):
        """Indices of the fold's training rows."""
        return np.flatnonzero(self.fold != fold)

    def labels_of(self, rows):
        """Some rows' labels, by target."""
        return {name: labels[rows] for name, labels in self.labels.items()}

    def answers(self, target, fold, predictions):
        """Labels and predictions of the held-out rows that have the target's label.

        Args:
            target: string.
            fold: int.
            predictions: array, of all held-out rows of the fold.
        """
        rows = self.rows(fold)
        is_labelled = np.isin(rows, self.label_rows[target])
        return self.labels[target][rows[is_labelled]], predictions[is_labelled]

    def part(self, rows):
        """Some rows of the table."""
        return self.table.iloc[rows].reset_index(drop=True)

    def adapted(self, fold):
        """A schema adapted to the fold's training rows only."""
        return schema_copy(self.schema).adapt(self.part(self.train_rows(fold)))

    def fit(self, schema, table, names, fusion=None):
        """Trains a model of some modalities on a table; returns it and seconds."""
        columns = [c for name in names for c in self.modalities[name]]
        # In the order of the schema, whatever the order of the names.
        inputs = {c: v for c, v in schema.inputs.items() if c in columns}
        settings = copy.deepcopy(self.options)
        settings["encoders"] = copy.deepcopy(
            {name: self.encoders[name] for name in names if name in self.encoders}
        )
        several = (list, tuple)
        if len(names) > 1 or isinstance(self.encoders.get(names[0]), several):
            settings["fusion"] = copy.deepcopy(fusion)
        started = time.perf_counter()
        model = build_model(
            Schema(inputs, schema.targets, schema.missing), seed=self.seed, **settings
        )
        held, stop = {}, None
        if self.patience is not None:
            table, held["validation_data"] = split(
                table,
                fractions=(6 / 7, 1 / 7),
                groups=self.groups,
                stratify=self.stratify,
                seed=self.seed,
            )
            stop = callbacks(patience=self.patience)
        model.fit(
            table,
            epochs=self.epochs,
            callbacks=stop,
            base_dir=self.base_dir,
            on_unreadable=self.on_unreadable,
            verbose=0,
            **held,
        )
        return model, time.perf_counter() - started

    def tensors(self, table, schema):
        """The table's tensors, for models of this schema."""
        return table_tensors(table, schema, self.base_dir, self.on_unreadable)


def schema_copy(schema):
    """A copy of a schema, with copies of its inputs and targets."""
    if not isinstance(schema, Schema):
        raise ValueError(
            "The first argument must be a keras_mm.Schema. "
            f"Received: schema of type {type(schema).__name__}"
        )
    return Schema.from_config(schema.get_config())


def check_fusion(fusion, patience):
    """Raises a `ValueError` for an invalid fusion, before any training."""
    if fusion is not None:
        layer = fusion_room.get(copy.deepcopy(fusion))
        if patience is None and getattr(layer, "needs_validation", False):
            raise ValueError(
                f"The fusion {type(layer).__name__} weighs the modalities on rows "
                "that they were not trained on: pass `patience`, so that a seventh "
                "of the training rows is held out. Received: patience=None"
            )


def predict(model, tensors):
    """Predictions by target, from the tensors that are inputs of the model."""
    arrays = [tensors[tensor.name] for tensor in model.inputs]
    return model.schema.by_target(predict_arrays(model, arrays))


def predict_arrays(model, arrays):
    """The outputs of a model for a list of arrays, in the order of its inputs."""
    batches = []
    # Without a dataset, as this is called hundreds of times on few rows.
    for start in range(0, len(arrays[0]), _BATCH):
        batch = [array[start : start + _BATCH] for array in arrays]
        batches.append(model.predict_on_batch(batch))
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)
