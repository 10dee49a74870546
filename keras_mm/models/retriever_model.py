import weakref

import keras
import numpy as np

from ..deprecated import renamed
from ..names import layer_name, served_name
from ..objectives import Contrastive
from .graph import part_of
from .model import MultimodalModel
from .parts import Part
from .prototypes import classify

# The layer that holds the temperature.
SIMILARITY = layer_name("similarity", "scaled")

# Submodels of single towers, which share layers with the retriever. As attributes
# they would be saved twice.
_TOWERS = weakref.WeakKeyDictionary()


@keras.saving.register_keras_serializable(package="keras_mm")
class Retriever(MultimodalModel):
    """Towers that embed images, texts, sounds, ... in one space.

    Made by `build_retriever`. It takes tables or tensors and returns a dict of
    embeddings, `(batch, units)` each: unit vectors, or 0 where all columns of a tower
    are missing. Their inner product is the cosine similarity.

    `evaluate` returns the loss, which depends on the batch size, as a larger batch has
    more negatives; `keras_mm.evaluation.score_retrieval` does not. Rows have no target:
    with tensors, `y` holds ids of equal content, `row_ids(table)`, or of groups alone.
    With a memory `train_on_batch` needs ids of the whole table, as ids of one batch are
    not valid in the next.
    """

    objective = Contrastive({}, None)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Creates the model again from `get_config()`."""
        config = dict(config)
        if "retrieval_loss" in config:
            # In files of before, the objective is part of the model.
            settings = {
                name: config.pop(name) for name in ("towers", "anchor", "group")
            }
            objective = Contrastive.from_config(
                {**settings, "loss": config.pop("retrieval_loss")}
            )
            config["objective"] = keras.saving.serialize_keras_object(objective)
        return super().from_config(config, custom_objects=custom_objects)

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
        """The column whose equal values are matches, or None."""
        return self.objective.group

    @property
    def pairs(self):
        """Pairs of towers that are compared in training: all, or the anchor's."""
        return self.objective.pairs

    @property
    def similarity(self):
        """The `Similarity` layer, which holds the temperature."""
        return self.get_layer(SIMILARITY)

    def tower(self, name):
        """The submodel that embeds one tower's columns.

        It shares its weights with the retriever, and takes tables with these columns
        only.

        Args:
            name: string, a key of `towers`.

        Returns:
            `MultimodalModel` from the tower's columns to `(batch, units)`.
        """
        if name not in self.towers:
            raise ValueError(
                f"The towers are {list(self.towers)}. Received: tower={name!r}"
            )
        models = _TOWERS.setdefault(self, {})
        if name not in models:
            columns = [t.name for t in self.inputs if t.name in self.towers[name]]
            place = list(self.towers).index(name)
            part = part_of(
                self, lambda graph: graph.given[SIMILARITY][0][place], columns
            )
            whole = MultimodalModel(
                part.inputs, part.output, name=layer_name("tower", name)
            )
            models[name] = whole
            models[name].schema = self.schema.part(columns)
        return models[name]

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
        """The sum of the towers' vectors, or one tower's; see `MultimodalModel.vectors`."""
        if tower is not None:
            return self.tower(tower), np.asarray, True
        return self, lambda towers: np.sum(list(towers.values()), axis=0), True

    @renamed(bad="on_unreadable")
    def embed(
        self, table, tower, batch_size=None, *, base_dir=None, on_unreadable="error"
    ):
        """Embeddings of one tower, in the order of the rows.

        Examples:

        >>> vectors = retriever.embed(table, "image")

        Args:
            table: a table that has the tower's columns, or their tensors.
            tower: string, a key of `towers`.
            batch_size: int, 32 if not given.
            base_dir: as in `fit`.
            on_unreadable: as in `fit`.

        Returns:
            float32 array `(rows, units)` of unit vectors, or 0 where all columns are
            missing.
        """
        return self.tower(tower).predict(
            table, batch_size, base_dir=base_dir, on_unreadable=on_unreadable, verbose=0
        )

    @renamed(bad="on_unreadable")
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
        """Zero-shot and few-shot classification.

        The prototype of a class is the embedding of its name (zero-shot), the mean of
        a few examples (few-shot), or a mixture of both; a row belongs to the nearest
        prototype.

        Examples:

        >>> probabilities = retriever.classify(
        ...     test, ["bird", "fish"], template="a picture of a {}")
        >>> probabilities.shape
        (6, 2)

        Args:
            table: rows to classify, with the columns of `tower`.
            classes: list of names; or a dict from name to the text or the list of
                texts that describe it.
            template: string with `{}` where the name goes, or a list of these, whose
                embeddings are averaged.
            examples: table of labelled rows, or None.
            label: string, the column of `examples` that holds the class.
            mixture: float, weight of the examples' mean in the prototype of a class
                that has examples: 0 is zero-shot, 1 ignores the names.
            tower: string, the tower that embeds the rows; optional if there is only
                one besides the text tower.
            text: string, the tower that embeds the names; optional if only one reads
                a single text column.
            **kwargs: `batch_size`, `base_dir` and `on_unreadable`, as in `embed`.

        Returns:
            float array `(rows, classes)` of probabilities: softmax of the similarities
            as scaled in the loss. They are equal for a row whose columns are all
            missing.

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
        """Ids of the rows' content, for some towers or all.

        Args:
            table: rows, with the columns of the towers and the group's.
            towers: list of towers; None: all.

        Returns:
            int array `(rows, towers + 1)`: rows with the same id in a tower's column
            have the same content in that tower, rows with the same id in the last
            column are of one group; -1 is unknown.
        """
        return self.objective.row_ids(self, table, towers)

    def _set_own(self, config):
        if "objective" not in config:
            # Older files hold its arguments instead.
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
