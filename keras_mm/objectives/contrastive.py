import itertools

import keras
import numpy as np
from keras import ops

from ..data import to_table
from ..data.columns import is_dataset, require_columns
from ..data.content import content_ids
from .objective import Objective
from .pairs_loss import pairs_loss


@keras.saving.register_keras_serializable(package="keras_mm")
class Contrastive(Objective):
    """Contrastive learning: embeddings of matching rows attract, others repel.

    Labels are ids of content, int `(rows, towers + 1)`: rows with the same id in a
    tower's column have the same content in that tower, rows with the same id in the
    last column are of one group; -1 is unknown. Rows that share an id match.

    Args:
        towers: dict from a tower's name to the list of its columns.
        loss: Keras loss of pairs, as those in `keras_mm.heads`.
        anchor: string, the tower that all others are compared with; None: every tower
            is compared with every other.
        group: string, a column of the table: rows with the same value in it match.
    """

    def __init__(self, towers, loss, anchor=None, group=None):
        self.towers = dict(towers)
        self.pair_loss = loss
        self.anchor = anchor
        self.group = group

    @property
    def pairs(self):
        """Pairs of towers that are compared: all, or the anchor's."""
        if self.anchor is None:
            return list(itertools.combinations(self.towers, 2))
        return [(self.anchor, name) for name in self.towers if name != self.anchor]

    def before_fit(self, model, x, y=None, class_weight=None, sample_weight=None):
        """Empties the memory: ids of another table are not comparable."""
        if class_weight is not None or sample_weight is not None:
            raise ValueError(
                "A retriever has no classes, and does not support row weights. "
                f"Received: class_weight={class_weight!r}, sample_weight of type "
                f"{type(sample_weight).__name__}"
            )
        if y is not None and model.is_table(x):
            raise ValueError(
                "A retriever's rows have no target; to match rows of one group, use "
                "build_retriever(group='<column>'). "
                f"Received: y of type {type(y).__name__}"
            )
        self.after_fit(model)

    def after_fit(self, model):
        """Empties the memory."""
        if model.similarity.memory:
            model.similarity.forget()

    def table_labels(self, model, table):
        """Ids of the rows' content; None for a dataset that is streamed."""
        if not is_dataset(table):
            require_columns(table.columns, model.schema.inputs)
            return self.row_ids(model, table)
        if self.group is not None:
            raise ValueError(
                "The groups of a dataset that is streamed are unknown. Pass a table, or "
                "a dataset of (inputs, group ids). "
                f"Received: group={self.group!r}, dataset of {table.element_spec}"
            )
        return None

    def tensor_labels(self, model, x, y):
        """Ids of the arrays' content; `y` may hold these, or group ids alone."""
        if not isinstance(x, (dict, list, tuple)) or model.is_table(x):
            return y
        model.check(x)
        groups = None if y is None else ops.convert_to_numpy(y)
        if groups is not None and groups.ndim > 1 and groups.shape[1] > 1:
            return groups
        values = x.values() if isinstance(x, dict) else x
        names = x.keys() if isinstance(x, dict) else [t.name for t in model.inputs]
        cells = {n: ops.convert_to_numpy(v) for n, v in zip(names, values)}
        if self.group is not None:
            rows = len(next(iter(cells.values())))
            cells.setdefault(self.group, np.full(rows, None))
        # Tensors have no words for missing cells.
        labels = self._ids(cells, self.towers)
        if groups is not None:
            labels[:, -1] = groups.reshape(-1)
        return labels

    def batch_labels(self, model, x, y):
        """With a memory, `y` must hold the ids of the whole table's rows."""
        memory = model.similarity.memory
        if not memory:
            return self.tensor_labels(model, x, y)
        if y is None:
            raise ValueError(
                "With a memory, ids must be comparable across batches. Train on the "
                "whole table, retriever.fit(table), or on tensors with their rows of "
                "retriever.row_ids(table), or build the retriever with memory=0. "
                f"Received: memory={memory}, y=None"
            )
        return y

    def loss(self, model, x, y, outputs, sample_weight, training):
        """The mean loss over all pairs of towers, in both directions."""
        if sample_weight is not None:
            raise ValueError(
                "A retriever does not support row weights. Received: sample_weight of type "
                f"{type(sample_weight).__name__}"
            )
        loss = pairs_loss(self, model.similarity, y, outputs, training)
        return loss + sum(model.losses)

    def row_ids(self, model, table, towers=None):
        """Ids of the content of a table's rows, for some towers or all."""
        cells = model.schema.replace_missing_cells(to_table(table))
        return self._ids(cells, self.towers if towers is None else towers)

    def _ids(self, cells, towers):
        ids = [content_ids(cells, self.towers[name]) for name in towers]
        if self.group is None:
            ids.append(np.full_like(ids[0], -1))
        else:
            ids.append(content_ids(cells, [self.group]))
        return np.stack(ids, axis=1)

    def get_config(self):
        """The constructor's arguments."""
        return {
            "towers": {name: list(columns) for name, columns in self.towers.items()},
            "loss": keras.saving.serialize_keras_object(self.pair_loss),
            "anchor": self.anchor,
            "group": self.group,
        }

    @classmethod
    def from_config(cls, config):
        """Creates the objective again from `get_config()`."""
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})
