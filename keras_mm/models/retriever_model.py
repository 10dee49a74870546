import itertools
import weakref

import keras
import numpy as np
from keras import ops

from ..data import to_table
from ..data.columns import is_dataset, require_columns
from ..data.content import content_ids
from ..names import layer_name
from .model import MultimodalModel
from .pairs_loss import pairs_loss
from .prototypes import classify
from .rows import pair_of

# The layer that holds the temperature.
SIMILARITY = layer_name("similarity", "scaled")

# Models of single towers, which share their layers with the retriever. As its
# attribute they would be saved with it a second time.
_TOWERS = weakref.WeakKeyDictionary()


@keras.saving.register_keras_serializable(package="keras_mm")
class Retriever(MultimodalModel):
    """Towers that put pictures, texts, sounds, ... onto one unit sphere.

    Made by `build_retriever`. It takes tables or tensors and gives a dict of
    embeddings, `(batch, units)` each, of length 1, all 0 where a row has nothing
    for a tower. Their inner product is the cosine similarity.
    """

    # Tower name -> names of its columns.
    towers = {}
    anchor = None
    group = None
    retrieval_loss = None

    _OWN_NAMES = (
        *MultimodalModel._OWN_NAMES, "towers", "anchor", "group", "retrieval_loss",
    )  # fmt: skip

    @property
    def similarity(self):
        """The `Similarity` layer, which has the temperature."""
        return self.get_layer(SIMILARITY)

    def tower(self, name):
        """The part that embeds one tower's columns, as a model of its own.

        It shares its weights with the retriever, and takes tables that have these
        columns only.

        Args:
            name: string, a key of `towers`.

        Returns:
            `MultimodalModel` from the tower's columns to `(batch, units)`.
        """
        if name not in self.towers:
            raise ValueError(
                f"The towers are {list(self.towers)}. Received: tower={name!r}"
            )
        found = _TOWERS.setdefault(self, {})
        if name not in found:
            tensors = [t for t in self.inputs if t.name in self.towers[name]]
            output = self.similarity.input[list(self.towers).index(name)]
            found[name] = MultimodalModel(
                tensors, output, name=layer_name("tower", name)
            )
            found[name].schema = self.schema.part([tensor.name for tensor in tensors])
        return found[name]

    def embed(self, table, tower, batch_size=None, *, base_dir=None, bad="error"):
        """Embeddings of one tower, in the order of the rows.

        Examples:

        >>> vectors = retriever.embed(table, "image")

        Args:
            table: a table that has the tower's columns, or their tensors.
            tower: string, a key of `towers`.
            batch_size: int, 32 if not given.
            base_dir: as in `fit`.
            bad: as in `fit`.

        Returns:
            float32 array `(rows, units)`; rows of length 1, or 0 where the row has
            none of the columns.
        """
        return self.tower(tower).predict(
            table, batch_size, base_dir=base_dir, bad=bad, verbose=0
        )

    def classify(
        self,
        table,
        classes,
        template="{}",
        examples=None,
        label=None,
        mixture=0.5,
        tower=None,
        text=None,
        **kwargs,
    ):
        """Classes of rows that no classifier was trained on.

        A class is the point on the sphere that its name has (zero-shot), or the
        mean of a few examples (few-shot, prototypes), or a mixture of both; a row
        belongs to the nearest.

        Examples:

        >>> found = retriever.classify(
        ...     test, ["bird", "fish"], template="a picture of a {}")
        >>> found.shape
        (6, 2)

        Args:
            table: rows to classify, with the columns of `tower`.
            classes: list of names; or a dict from name to the text or the list of
                texts that describe it.
            template: string with `{}` where the name goes, or a list of such: the
                class is the mean of what they say.
            examples: table of rows whose class is known, or None.
            label: string, the column of `examples` that names the class.
            mixture: float, share of the examples' mean in a class that has
                examples: 0 is zero-shot, 1 leaves the names aside.
            tower: string, the tower that embeds the rows; not needed if there is
                only one besides the texts'.
            text: string, the tower that embeds the names; not needed if only one
                reads a single text.
            **kwargs: `batch_size`, `base_dir` and `bad`, as in `embed`.

        Returns:
            float array `(rows, classes)` of probabilities: softmax of the
            similarities as the loss scales them. A row that has nothing for the
            tower has equal ones.

        Reference:
            Radford et al. 2021, "Learning Transferable Visual Models From Natural
            Language Supervision"; Snell et al. 2017, "Prototypical Networks for
            Few-shot Learning".
        """
        return classify(
            self,
            table,
            classes,
            template=template,
            examples=examples,
            label=label,
            mixture=mixture,
            tower=tower,
            text=text,
            **kwargs,
        )

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss of all pairs of towers, both ways, on average.

        Args:
            x: not used.
            y: int tensor `(batch, towers + 1)`: rows of the same number in a
                tower's column hold the same there, rows of the same number in the
                last one are of one group; or `(batch,)` groups alone; -1 and None
                say nothing. Such rows match each other.
            y_pred: dict of embeddings.
            sample_weight: must be None.
            training: bool; past batches are compared with in training only.

        Returns:
            Scalar tensor.
        """
        if sample_weight is not None:
            raise ValueError(
                "Pairs have no weights of rows. Received: sample_weight of type "
                f"{type(sample_weight).__name__}"
            )
        return pairs_loss(self, y, y_pred, training) + sum(self.losses)

    @property
    def pairs(self):
        """Pairs of towers that are compared in training: all, or the anchor's."""
        if self.anchor is None:
            return list(itertools.combinations(self.towers, 2))
        return [(self.anchor, name) for name in self.towers if name != self.anchor]

    def forget(self):
        """Empties the memory: another table's numbers mean other rows."""
        if self.similarity.memory:
            self.similarity.forget()

    def _train(self, x, y, validation_data, **kwargs):
        if kwargs["class_weight"] is not None:
            raise ValueError(
                "A retriever has no classes. "
                f"Received: class_weight={kwargs['class_weight']!r}"
            )
        if y is not None and self._is_table(x):
            raise ValueError(
                "A retriever's rows have no target; say which of them belong "
                "together by build_retriever(group='<column>'). "
                f"Received: y of type {type(y).__name__}"
            )
        self.forget()
        x, y = self._with_labels(x, y)
        if isinstance(validation_data, (dict, list, tuple)):
            held_out, labels, weight = pair_of(validation_data)
            # The loss refuses weights.
            if weight is None and not self._is_table(held_out):
                validation_data = self._with_labels(held_out, labels)
        try:
            return super()._train(x, y, validation_data, **kwargs)
        finally:
            self.forget()

    def evaluate(
        self, x=None, y=None, batch_size=None, *, base_dir=None, bad="error", **kwargs
    ):
        """The loss; it depends on the batch size, as more rows are harder to tell.

        See `keras_mm.evaluation.score_retrieval` for what does not.

        Args:
            x: a table, or what Keras takes.
            y: numbers of equal rows, see `compute_loss`; tables and arrays need none.
            batch_size: int, 32 if not given.
            base_dir: as in `fit`.
            bad: as in `fit`.
            **kwargs: as in Keras.

        Returns:
            float, or a dict with `return_dict=True`.
        """
        if not kwargs.get("_use_cached_eval_dataset"):
            x, y = self._with_labels(x, y)
        return super().evaluate(x, y, batch_size, base_dir=base_dir, bad=bad, **kwargs)

    def train_on_batch(self, x, y=None, *args, **kwargs):
        """One step on one batch, a table or tensors; see `fit`.

        Examples:

        >>> loss = retriever.train_on_batch(table)

        Args:
            x: a table, or tensors.
            y: numbers of equal rows, see `compute_loss`. With a memory they must be
                given beside tensors, `row_ids(table)` of the whole table, as those
                of a batch alone mean other rows in the next one.
            *args: as in Keras.
            **kwargs: as in Keras.

        Returns:
            The loss; a dict with `return_dict=True`.
        """
        if not self.similarity.memory:
            x, y = self._with_labels(x, y)
        elif y is None:
            raise ValueError(
                "A memory must know which rows of past batches hold the same, which a "
                "batch alone does not say. Train on the whole table, "
                "retriever.fit(table), or on tensors with their rows of "
                "retriever.row_ids(table), or build the retriever with memory=0. "
                f"Received: memory={self.similarity.memory}, y=None"
            )
        return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(self, x, y=None, *args, **kwargs):
        """The loss of one batch, a table or tensors; args are as in `evaluate`."""
        return super().test_on_batch(*self._with_labels(x, y), *args, **kwargs)

    def _with_labels(self, x, y):
        """Arrays with the numbers of their equal rows; `y` may be their groups'."""
        if not isinstance(x, (dict, list, tuple)) or self._is_table(x):
            return x, y
        self._check(x)
        groups = None if y is None else ops.convert_to_numpy(y)
        if groups is not None and groups.ndim > 1 and groups.shape[1] > 1:
            return x, groups
        values = x.values() if isinstance(x, dict) else x
        names = x.keys() if isinstance(x, dict) else [t.name for t in self.inputs]
        cells = {n: ops.convert_to_numpy(v) for n, v in zip(names, values)}
        if self.group is not None:
            rows = len(next(iter(cells.values())))
            cells.setdefault(self.group, np.full(rows, None))
        # Tensors hold no words of a missing cell.
        labels = self._ids(cells, self.towers)
        if groups is not None:
            labels[:, -1] = groups.reshape(-1)
        return x, labels

    def row_ids(self, table, towers=None):
        """Numbers of what the rows hold, for some towers or all; see `compute_loss`."""
        towers = self.towers if towers is None else towers
        return self._ids(self.schema.known_cells(to_table(table)), towers)

    def _ids(self, cells, towers):
        ids = [content_ids(cells, self.towers[name]) for name in towers]
        if self.group is None:
            ids.append(np.full_like(ids[0], -1))
        else:
            ids.append(content_ids(cells, [self.group]))
        return np.stack(ids, axis=1)

    def _dataset(self, table, batch_size, base_dir, bad, with_target=True, **kwargs):
        labels = None
        kwargs.pop("class_weight", None)
        if with_target and self.group is not None and is_dataset(table):
            raise ValueError(
                "Of a dataset that is read row by row nobody knows the groups. Give a "
                "table, or a dataset of (inputs, numbers of groups). "
                f"Received: group={self.group!r}, dataset of {table.element_spec}"
            )
        if with_target and not is_dataset(table):
            table = to_table(table)
            require_columns(table.columns, self.schema.inputs)
            labels = self.row_ids(table)
        return super()._dataset(
            table, batch_size, base_dir, bad, with_target=False, labels=labels, **kwargs
        )

    def _check(self, x, y=None):
        # The loss checks the numbers of equal rows.
        super()._check(x)

    def _own_config(self):
        return {
            **super()._own_config(),
            "towers": {name: list(columns) for name, columns in self.towers.items()},
            "anchor": self.anchor,
            "group": self.group,
            "retrieval_loss": keras.saving.serialize_keras_object(self.retrieval_loss),
        }

    def _set_own(self, config):
        super()._set_own(config)
        loss = config.get("retrieval_loss")
        loss = loss and keras.saving.deserialize_keras_object(loss)
        own = {name: config.get(name) for name in ("towers", "anchor", "group")}
        self.set_retrieval(loss=loss, **own)

    def set_retrieval(self, towers, loss, anchor=None, group=None):
        """Tells the model which columns are a tower, and how they are compared."""
        self.towers = dict(towers or {})
        self.anchor, self.group, self.retrieval_loss = anchor, group, loss
