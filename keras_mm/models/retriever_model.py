import weakref

import keras
import numpy as np

from ..names import layer_name, served_name
from ..objectives import Contrastive
from .graph import part_of
from .model import MultimodalModel
from .parts import Part
from .prototypes import classify

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

    `evaluate` gives the loss, which depends on the batch size, as more rows are harder
    to tell apart; `keras_mm.evaluation.score_retrieval` does not. Rows have no target:
    `y` beside tensors are the numbers of equal rows, `row_ids(table)`, or of groups
    alone. With a memory `train_on_batch` needs those of the whole table, as those of a
    batch alone mean other rows in the next one.
    """

    objective = Contrastive({}, None)

    @property
    def towers(self):
        """dict from a tower's name to the list of its columns."""
        return self.objective.towers

    @property
    def anchor(self):
        """The tower that all others are compared with, or None."""
        return self.objective.anchor

    @property
    def group(self):
        """The column whose equal values match, or None."""
        return self.objective.group

    @property
    def pairs(self):
        """Pairs of towers that are compared in training: all, or the anchor's."""
        return self.objective.pairs

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
            columns = [t.name for t in self.inputs if t.name in self.towers[name]]
            place = list(self.towers).index(name)
            part = part_of(
                self, lambda graph: graph.given[SIMILARITY][0][place], columns
            )
            whole = MultimodalModel(
                part.inputs, part.output, name=layer_name("tower", name)
            )
            found[name] = whole
            found[name].schema = self.schema.part(columns)
        return found[name]

    def parts(self):
        """`embed_<tower>` of each tower; see `MultimodalModel.parts`."""
        return {
            f"embed_{served_name(name)}": Part(
                self.tower(name),
                [tensor.name for tensor in self.tower(name).inputs],
                lambda out: {"embedding": out},
            )
            for name in self.towers
        }

    def vectors(self, tower=None):
        """The sum of the towers' vectors, or one's; see `MultimodalModel.vectors`."""
        if tower is not None:
            return self.tower(tower), np.asarray, True
        return self, lambda towers: np.sum(list(towers.values()), axis=0), True

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

    def row_ids(self, table, towers=None):
        """Numbers of what the rows hold, for some towers or all.

        Args:
            table: rows, with the columns of the towers and the group's.
            towers: list of towers; None: all.

        Returns:
            int array `(rows, towers + 1)`: rows of the same number in a tower's column
            hold the same there, rows of the same number in the last one are of one
            group; -1 says nothing.
        """
        return self.objective.row_ids(self, table, towers)

    def _set_own(self, config):
        if "objective" not in config:
            # Files of before hold its arguments.
            names = {
                "towers": {},
                "retrieval_loss": None,
                "anchor": None,
                "group": None,
            }
            towers, loss, anchor, group = (config.get(n, d) for n, d in names.items())
            loss = loss and keras.saving.deserialize_keras_object(loss)
            self.objective = Contrastive(towers or {}, loss, anchor, group)
        super()._set_own(config)
