import itertools
import weakref

import keras
import numpy as np
from keras import layers, ops

from .. import fusion as fusion_room
from ..data import Schema, to_dataset, to_table
from ..data.columns import is_dataset, require_columns
from ..data.content import content_ids
from ..data.schema import check_name
from ..encoders.encoder import masked_mean
from ..fusion.late_fusion import LateFusion
from ..heads import InfoNCE, SemiHardTriplet, SigmoidContrastive, Similarity
from .build import (
    as_schema,
    check_learning_rates,
    choose_encoders,
    encode,
    prepare,
    set_tuning,
)
from .model import MultimodalModel

# What each loss starts with: temperature and shift.
_LOSSES = {
    "contrastive": (InfoNCE, 0.07, None),
    "sigmoid": (SigmoidContrastive, 0.1, -10.0),
    # Its margin is one of plain cosines.
    "triplet": (SemiHardTriplet, 1.0, None),
}

_SIMILARITY = "scaled_similarity"

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

    @property
    def similarity(self):
        """The `Similarity` layer, which has the temperature."""
        return self.get_layer(_SIMILARITY)

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
            found[name] = MultimodalModel(tensors, output, name=f"{name}_tower")
            found[name].schema = Schema(
                {tensor.name: self.schema.inputs[tensor.name] for tensor in tensors}
            )
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
        if not 0 <= mixture <= 1 or (examples is None) != (label is None):
            raise ValueError(
                "`mixture` lies between 0 and 1; `examples` and `label`, the column "
                "of their classes, go together. "
                f"Received: mixture={mixture}, label={label!r}, "
                f"examples={'None' if examples is None else 'a table'}"
            )
        if not len(classes):
            raise ValueError(f"There are no classes. Received: classes={classes!r}")
        if len(set(classes)) < len(classes):
            raise ValueError(f"A class is there twice. Received: classes={classes!r}")
        if tower is None or text is not None or examples is None or mixture < 1:
            text, tower = self._text_and_other(text, tower)
        weights = np.zeros(len(classes))
        means = 0.0
        if examples is not None:
            means, weights = self._prototypes(examples, label, classes, tower, kwargs)
            weights = weights * mixture
        named = 0.0
        if (weights < 1).any():
            text, tower = self._text_and_other(text, tower)
            named = self._named(classes, template, text, kwargs)
        weights = weights[:, np.newaxis]
        points = unit(weights * means + (1 - weights) * named)
        vectors = self.embed(table, tower, **kwargs)
        logits = self.similarity.logits(vectors, points)
        return ops.convert_to_numpy(ops.softmax(logits, axis=1))

    def _text_and_other(self, text, tower):
        """The tower of names and that of rows, found if need be."""
        readers = [
            name
            for name, columns in self.towers.items()
            if len(columns) == 1 and self.schema.inputs[columns[0]].kind == "text"
        ]
        if text is None and len([n for n in readers if n != tower]) == 1:
            (text,) = [n for n in readers if n != tower]
        if text not in readers:
            raise ValueError(
                "`text` must be a tower that reads one text column. Of these there "
                f"are {readers}. Received: text={text!r}"
            )
        others = [name for name in self.towers if name != text]
        if tower is None and len(others) == 1:
            (tower,) = others
        if tower is None or tower not in self.towers:
            raise ValueError(
                "`tower` must say which tower embeds the rows: one of "
                f"{list(self.towers)}. Received: tower={tower!r}"
            )
        return text, tower

    def _named(self, classes, template, text, kwargs):
        """What the classes' names mean, a unit vector each."""
        import pandas as pd

        templates = [template] if isinstance(template, str) else list(template)
        wrong = [t for t in templates if t.count("{}") != 1]
        if wrong or not templates:
            raise ValueError(
                "A template has one {} where the name of the class goes. "
                f"Received: template={template!r}"
            )
        texts, numbers = [], []
        for number, name in enumerate(classes):
            said = classes[name] if isinstance(classes, dict) else name
            for words in said if isinstance(said, (list, tuple)) else [said]:
                texts += [t.replace("{}", str(words)) for t in templates]
                numbers += [number] * len(templates)
        (column,) = self.towers[text]
        table = pd.DataFrame({column: pd.Series(texts, dtype=object)})
        vectors = self.embed(table, text, kwargs.get("batch_size"))
        sums = np.zeros((len(classes), vectors.shape[1]), "float32")
        np.add.at(sums, numbers, vectors)
        return unit(sums)

    def _prototypes(self, examples, label, classes, tower, kwargs):
        """Unit means of the examples, and which classes have any."""
        examples = to_table(examples)
        require_columns(examples.columns, [label])
        names = {name: number for number, name in enumerate(classes)}
        unknown = set(examples[label]) - set(names)
        if unknown:
            raise ValueError(
                f"The examples have classes that are not asked for: give rows of "
                f"{list(names)} only. Received: {label}={sorted(map(str, unknown))}"
            )
        vectors = self.embed(examples.drop(columns=label), tower, **kwargs)
        sums = np.zeros((len(names), vectors.shape[1]), "float32")
        np.add.at(sums, [names[name] for name in examples[label]], vectors)
        return unit(sums), np.any(sums != 0, axis=1).astype(float)

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
        similarity = self.similarity
        names = list(self.towers)
        ids = self._ids(y, ops.shape(y_pred[names[0]])[0])
        remembers = bool(training and similarity.memory)
        if remembers and y is None:
            raise ValueError(
                "A memory must know which rows it has seen already, or they would "
                "be taken for others. Train on a table, on arrays, or on a dataset "
                f"with numbers of rows as target. Received: memory={similarity.memory}"
            )
        losses = []
        for first, second in self.pairs:
            for query, item in ((first, second), (second, first)):
                columns = [names.index(query), names.index(item), len(names)]
                one, other = y_pred[query], y_pred[item]
                own = ops.take(ids, columns, axis=1)
                matches = ops.logical_or(
                    ops.eye(ops.shape(own)[0], dtype="bool"), _share(own, own)
                )
                if remembers:
                    past = similarity.past[names.index(item)]
                    past_ids = ops.take(similarity.past_ids, columns, axis=1)
                    other = ops.concatenate([ops.cast(other, past.dtype), past])
                    matches = ops.concatenate([matches, _share(own, past_ids)], 1)
                there = ops.logical_and(_there(one)[:, None], _there(other)[None])
                labels = ops.where(there, ops.cast(matches, "float32"), -1.0)
                logits = similarity.logits(one, other)
                counts = ops.cast(ops.any(labels > 0, axis=1), "float32")
                each = self.retrieval_loss.call(labels, logits) * counts
                losses.append(ops.divide_no_nan(ops.sum(each), ops.sum(counts)))
        if remembers:
            similarity.remember([y_pred[name] for name in names], ids)
        return sum(losses) / len(losses) + sum(self.losses)

    @property
    def pairs(self):
        """Pairs of towers that are compared in training: all, or the anchor's."""
        if self.anchor is None:
            return list(itertools.combinations(self.towers, 2))
        return [(self.anchor, name) for name in self.towers if name != self.anchor]

    def _ids(self, y, rows):
        """What `compute_loss` is told of equal rows, as a matrix."""
        width = len(self.towers) + 1
        if y is None:
            return ops.full((rows, width), -1, dtype="int32")
        y = ops.cast(ops.convert_to_tensor(y), "int32")
        y = ops.expand_dims(y, 1) if len(y.shape) == 1 else y
        if len(y.shape) != 2 or y.shape[1] not in (1, width):
            raise ValueError(
                "The numbers of equal rows are (batch,) groups, or (batch, "
                f"{width}): one for each tower, and the group's. "
                f"Received: y of shape {tuple(y.shape)}"
            )
        if y.shape[1] == width:
            return y
        unknown = ops.full((rows, width - 1), -1, dtype="int32")
        return ops.concatenate([unknown, y], axis=1)

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
        if self.similarity.memory:
            # Another table's numbers mean other rows.
            self.similarity.forget()
        x, y = self._with_labels(x, y)
        if isinstance(validation_data, dict) or (
            isinstance(validation_data, (list, tuple)) and len(validation_data) == 2
        ):
            held_out = validation_data
            pair = held_out if isinstance(held_out, (list, tuple)) else (held_out, None)
            if not self._is_table(pair[0]):
                validation_data = self._with_labels(*pair)
        return super()._train(x, y, validation_data, **kwargs)

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
        x, y = self._with_labels(x, y)
        return super().evaluate(x, y, batch_size, base_dir=base_dir, bad=bad, **kwargs)

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
        labels = self._labels(cells)
        if groups is not None:
            labels[:, -1] = groups.reshape(-1)
        return x, labels

    def _labels(self, table):
        """Numbers of what the rows hold; see `compute_loss`."""
        ids = [content_ids(table, columns) for columns in self.towers.values()]
        if self.group is not None and self.group in table.keys():
            ids.append(content_ids(table, [self.group]))
        else:
            ids.append(np.full_like(ids[0], -1))
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
            if self.group is not None:
                require_columns(table.columns, [self.group])
            require_columns(table.columns, self.schema.inputs)
            labels = self._labels(table)
        return to_dataset(
            table,
            self.schema,
            batch_size=batch_size or 32,
            seed=self.seed,
            base_dir=base_dir,
            bad=bad,
            with_target=False,
            labels=labels,
            **kwargs,
        )

    def _check(self, x, y=None):
        # The loss checks the numbers of equal rows.
        super()._check(x)

    def get_config(self):
        """The network, the schema, and what belongs to the loss."""
        return {
            **super().get_config(),
            "towers": {name: list(columns) for name, columns in self.towers.items()},
            "anchor": self.anchor,
            "group": self.group,
            "retrieval_loss": keras.saving.serialize_keras_object(self.retrieval_loss),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Creates the model again from `get_config()`."""
        config = dict(config)
        own = {name: config.pop(name, None) for name in ("towers", "anchor", "group")}
        loss = config.pop("retrieval_loss", None)
        model = super().from_config(config, custom_objects=custom_objects)
        model.set_retrieval(**own, loss=keras.saving.deserialize_keras_object(loss))
        return model

    def set_retrieval(self, towers, loss, anchor=None, group=None):
        """Tells the model which columns are a tower, and how they are compared."""
        self.towers = dict(towers or {})
        self.anchor, self.group, self.retrieval_loss = anchor, group, loss


def build_retriever(
    schema,
    towers=None,
    anchor=None,
    loss="contrastive",
    units=128,
    group=None,
    encoders=None,
    fusion=None,
    modality_dropout=0.3,
    temperature=None,
    memory=0,
    optimizer=None,
    learning_rates=None,
    seed=None,
):
    """Builds a compiled model that finds one modality by another.

    Every tower maps its columns to a vector of length 1; in training, the vectors
    of a row come near to each other, and those of different rows apart. Then the
    nearest pictures of a sentence are its search results, and the sentences
    nearest to a picture say what it shows, of things never seen, too.

    Examples:

    >>> retriever = keras_mm.build_retriever(schema, units=32)
    >>> history = retriever.fit(train, epochs=1)
    >>> texts = retriever.embed(test, "text")
    >>> similarity = texts @ retriever.embed(test, "image").T

    Args:
        schema: adapted `Schema`, whose targets, if any, are ignored; or a dict of
            inputs, for arrays.
        towers: dict from a tower's name to the list of its columns, such as
            `{"item": ["image", "title"], "query": ["query"]}`. Default: each
            modality is a tower with its name.
        anchor: string, the tower that all others are compared with; None: every
            tower is compared with every other.
        loss: `"contrastive"` (softmax), `"sigmoid"`, `"triplet"` (semi-hard), or a
            Keras loss that is called as those in `keras_mm.heads` are.
        units: int, length of the embeddings.
        group: string, a column of the table: rows with the same value there match
            each other, as the captions of one picture do. What is the same in two
            rows matches in any case.
        encoders: dict from modality to encoder, as in `build_classifier`.
        fusion: name or layer that joins the modalities of a tower with several,
            as in `build_classifier`; default "gated". Late ones are not possible.
        modality_dropout: float, share of the modalities of such a tower that is
            hidden from it in training.
        temperature: float, at the start; None: the loss's own. It is learned,
            unless it is 1, as with the triplet loss.
        memory: int, how many past rows each batch is compared with besides its
            own. Many negatives need little memory this way.
        optimizer: Keras optimizer or its name.
        learning_rates: dict from modality to the learning rate of its encoder.
        seed: int, for initialisation, dropout and the order of the rows.

    Returns:
        `Retriever`, a compiled functional `keras.Model`.

    Raises:
        ValueError: if the towers do not share out the columns, or `loss` is unknown.

    Reference:
        Radford et al. 2021, "Learning Transferable Visual Models From Natural
        Language Supervision"; an anchor as in Girdhar et al. 2023, "ImageBind: One
        Embedding Space To Bind Them All".
    """
    if seed is not None:
        keras.utils.set_random_seed(seed)
    schema = Schema(schema) if isinstance(schema, dict) else as_schema(schema, None)
    schema = Schema(schema.inputs)
    if group in schema.inputs:
        raise ValueError(
            "`group` is a column beside the inputs. Rows that hold the same in an "
            f"input match in any case. Received: group={group!r}"
        )
    loss, temperature, bias = _loss(loss, temperature)
    modalities, chosen = choose_encoders(schema, encoders)
    check_learning_rates(learning_rates, modalities)
    members = _members(towers, modalities)
    if anchor is not None and anchor not in members:
        raise ValueError(
            f"`anchor` must be one of the towers {list(members)}. "
            f"Received: anchor={anchor!r}"
        )
    schema = prepare(schema, modalities, chosen)
    inputs = {name: value.keras_input(name) for name, value in schema.inputs.items()}
    fusions = _fusions(members, "gated" if fusion is None else fusion)
    encoded = {}
    for name, parts in members.items():
        encoded |= encode(
            inputs,
            schema,
            {part: modalities[part] for part in parts},
            chosen,
            getattr(fusions.get(name), "uses_tokens", False),
        )
    vectors = []
    for name, parts in members.items():
        tokens, masks = map(list, zip(*(encoded[part] for part in parts)))
        if name in fusions:
            if modality_dropout:
                masks = fusion_room.ModalityDropout(
                    modality_dropout, seed=seed, name=f"{name}_modality_dropout"
                )(masks)
            fused = fusions[name](tokens, masks)
            tokens = fused[0] if isinstance(fused, (list, tuple)) else fused
        else:
            (tokens,) = tokens
        vectors.append(_embedding(tokens, masks, units, f"{name}_embedding"))
    # In half precision a vector's length would be 1 but nearly.
    similarity = Similarity(
        temperature, bias, memory, dtype="float32", name=_SIMILARITY
    )
    outputs = dict(zip(members, similarity(vectors)))
    model = Retriever(list(inputs.values()), outputs, name="retriever")
    model.schema, model.seed = schema, seed
    columns = {
        name: [column for part in parts for column in modalities[part]]
        for name, parts in members.items()
    }
    model.set_retrieval(columns, loss, anchor, group)
    set_tuning(model, chosen, learning_rates)
    model.compile(optimizer=optimizer or keras.optimizers.Adam(1e-3))
    return model


def _embedding(tokens, masks, units, name):
    """Tokens, or a fused vector -> a vector of length 1, or 0 for what is absent."""
    inputs = [keras.Input(tokens.shape[1:], dtype=tokens.dtype)]
    inputs += [keras.Input(mask.shape[1:], dtype="bool") for mask in masks]
    x, *shown = inputs
    if len(x.shape) == 3:
        x = masked_mean(x, shown[0])
    # Not 0, for what an encoder makes nothing of not to be taken for absent.
    bias = keras.initializers.RandomNormal(stddev=0.01)
    x = layers.Dense(units, bias_initializer=bias, name="projection")(x)
    there = ops.any(ops.concatenate(shown, axis=1), axis=1, keepdims=True)
    x = x * ops.cast(there, x.dtype)
    # Keras's UnitNormalization has NaN as gradient at 0 on torch.
    x = ops.cast(x, "float32")
    squares = ops.sum(ops.square(x), axis=1, keepdims=True)
    x = x * ops.rsqrt(ops.maximum(squares, 1e-24))
    return keras.Model(inputs, x, name=name)([tokens, *masks])


def _loss(loss, temperature):
    """The loss, and the temperature and shift that it starts with."""
    if isinstance(loss, str):
        if loss not in _LOSSES:
            raise ValueError(
                f"`loss` must be one of {list(_LOSSES)}, or a Keras loss. "
                f"Received: loss={loss!r}"
            )
        make, usual, bias = _LOSSES[loss]
        loss = make()
    elif isinstance(loss, keras.losses.Loss):
        usual, bias = next(
            (start for make, *start in _LOSSES.values() if isinstance(loss, make)),
            (0.07, None),
        )
    else:
        raise ValueError(
            f"`loss` must be one of {list(_LOSSES)}, or a Keras loss. "
            f"Received: loss={loss!r}"
        )
    if isinstance(loss, SemiHardTriplet) and temperature not in (None, 1):
        raise ValueError(
            "The triplet loss compares plain cosines; change its margin: "
            "loss=keras_mm.heads.SemiHardTriplet(margin=0.1). "
            f"Received: temperature={temperature}"
        )
    return loss, usual if temperature is None else temperature, bias


def _fusions(members, fusion):
    """Tower name -> the layer that joins its modalities, if it has several."""
    found = {
        name: fusion_room.get(fusion, f"{name}_fusion")
        for name, parts in members.items()
        if len(parts) > 1
    }
    if any(isinstance(layer, LateFusion) for layer in found.values()):
        raise ValueError(
            "A tower has no predictions to be fused late. Take fusion='gated' or "
            f"another early one. Received: fusion={fusion!r}"
        )
    if len({id(layer) for layer in found.values()}) < len(found):
        raise ValueError(
            "Several towers would share this layer. Give the name of a fusion or an "
            f"object of keras_mm.fusion. Received: fusion={fusion!r}"
        )
    return found


def _members(towers, modalities):
    """Tower name -> the modalities in it; each modality is in one."""
    if towers is None:
        members = {name: [name] for name in modalities}
    else:
        members = {}
        of_column = {c: name for name, columns in modalities.items() for c in columns}
        for tower, columns in towers.items():
            columns = [columns] if isinstance(columns, str) else list(columns)
            if tower not in modalities:
                check_name(tower)
            require_columns(of_column, columns)
            parts = list(dict.fromkeys(of_column[column] for column in columns))
            whole = {column for part in parts for column in modalities[part]}
            if whole != set(columns):
                raise ValueError(
                    "Columns that share an encoder must be in one tower, or have "
                    "encoders of their own: encoders={'<column>': 'dense'}. "
                    f"Received: towers[{tower!r}]={columns}, together they are "
                    f"{sorted(whole)}"
                )
            members[tower] = parts
    listed = [part for parts in members.values() for part in parts]
    if sorted(listed) != sorted(modalities) or not all(members.values()):
        raise ValueError(
            f"Each of the modalities {list(modalities)} must be in one tower. "
            f"Received: towers={towers}"
        )
    if len(members) < 2:
        raise ValueError(
            "There must be two towers or more to compare. "
            f"Received: towers={list(members)}"
        )
    return members


def _share(one, other):
    """Which rows have a number in common: bool `(n, m)`."""
    one, other = one[:, None], other[None]
    return ops.any(ops.logical_and(ops.equal(one, other), one >= 0), axis=2)


def _there(vectors):
    """Which rows are not 0."""
    return ops.any(ops.not_equal(vectors, 0), axis=1)


def unit(vectors):
    """Vectors of length 1; those of 0 stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype("float32")
