import keras
from keras import layers, ops

from .. import fusion as fusion_room
from ..data import Schema
from ..data.columns import require_columns
from ..encoders import by_column
from ..encoders.encoder import masked_mean
from ..fusion import has_experts
from ..heads import InfoNCE, SemiHardTriplet, SigmoidContrastive, Similarity
from ..names import check_names, layer_name
from ..objectives import Contrastive
from .build import (
    as_schema,
    drop_modalities,
    encode,
    prepare,
    set_tuning,
)
from .choices import check_learning_rates, choose_encoders
from .retriever_model import SIMILARITY, Retriever
from .seeded import seeded_builder
from .wiring import Wiring

# Initial temperature and bias of each loss.
_LOSSES = {
    "contrastive": (InfoNCE, 0.07, None),
    "sigmoid": (SigmoidContrastive, 0.1, -10.0),
    # Its margin is in units of the plain cosine.
    "triplet": (SemiHardTriplet, 1.0, None),
}


@seeded_builder
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
    dropout=0.0,
    temperature=None,
    memory=0,
    optimizer=None,
    learning_rates=None,
    seed=None,
):
    """Builds a compiled model for cross-modal retrieval.

    Every tower maps its columns to a unit vector; training pulls the vectors of a row
    together and pushes those of different rows apart. Then the images nearest to a
    sentence are its search results, and the sentences nearest to an image describe
    it, also for classes that were not in training (zero-shot).

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
            Keras loss with the call signature of those in `keras_mm.heads`.
        units: int, length of the embeddings.
        group: string, a column of the table: rows with the same value in it match
            each other, as the captions of one image do. Rows with the same content
            in a tower match in any case.
        encoders: dict from modality to encoder, as in `build_classifier`.
        fusion: name or layer that fuses the modalities of a tower with several,
            as in `build_classifier`; default "gated". Late fusions are not supported.
        modality_dropout: float, share of the modalities of such a tower that is
            masked in training.
        dropout: float, dropout rate before a tower's last layer. With frozen encoders
            and few rows, 0.5 helps.
        temperature: float, initial value; None: the loss's default. It is learned,
            unless it is 1, as with the triplet loss.
        memory: int, number of past rows in the memory bank, which serve as
            additional negatives for each batch.
        optimizer: Keras optimizer or its name.
        learning_rates: dict from modality to the learning rate of its encoder.
        seed: int, for initialisation, dropout and the order of the rows.

    Returns:
        `Retriever`, a compiled functional `keras.Model`.

    Raises:
        ValueError: if the towers do not partition the columns, or `loss` is unknown.

    Reference:
        Radford et al. 2021, "Learning Transferable Visual Models From Natural
        Language Supervision"; an anchor as in Girdhar et al. 2023, "ImageBind: One
        Embedding Space To Bind Them All".
    """
    is_dict = isinstance(schema, dict)
    schema = Schema.of_arrays(schema) if is_dict else as_schema(schema, None)
    schema = schema.part(schema.inputs)
    if group in schema.inputs:
        raise ValueError(
            "`group` must be a column beside the inputs. Rows with the same content in "
            f"a tower match in any case. Received: group={group!r}"
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
            masks = drop_modalities(
                masks,
                {part: modalities[part] for part in parts},
                modality_dropout,
                seed,
                layer_name("modality-dropout", name),
            )
            fused = fusions[name](tokens, masks)
            tokens = fused[0] if isinstance(fused, (list, tuple)) else fused
        else:
            (tokens,) = tokens
        part = layer_name("embedding", name)
        vectors.append(_embedding(tokens, masks, units, dropout, part))
    # In half precision a vector's length would be only roughly 1.
    similarity = Similarity(temperature, bias, memory, dtype="float32", name=SIMILARITY)
    outputs = dict(zip(members, similarity(vectors)))
    model = Retriever(list(inputs.values()), outputs, name="retriever")
    model.schema, model.seed = schema, seed
    columns = {
        name: list(dict.fromkeys(c for part in parts for c in modalities[part]))
        for name, parts in members.items()
    }
    model.objective = Contrastive(columns, loss, anchor, group)
    model.wiring = Wiring(
        modalities, {name: layer_name("encoder", name) for name in modalities}
    )
    set_tuning(model, chosen, learning_rates)
    model.compile(optimizer=optimizer or keras.optimizers.Adam(1e-3))
    return model


def _embedding(tokens, masks, units, dropout, name):
    """Tokens, or a fused vector -> a unit vector, or 0 if all modalities are absent."""
    inputs = [keras.Input(tokens.shape[1:], dtype=tokens.dtype)]
    inputs += [keras.Input(mask.shape[1:], dtype="bool") for mask in masks]
    x, *masks_in = inputs
    if len(x.shape) == 3:
        x = masked_mean(x, masks_in[0])
    if dropout:
        x = layers.Dropout(dropout)(x)
    # Not 0, so that a zero vector of an encoder is not taken for absent.
    bias = keras.initializers.RandomNormal(stddev=0.01)
    x = layers.Dense(units, bias_initializer=bias, name="projection")(x)
    present = ops.any(ops.concatenate(masks_in, axis=1), axis=1, keepdims=True)
    x = x * ops.cast(present, x.dtype)
    # The gradient of Keras's UnitNormalization is NaN at 0 on torch.
    x = ops.cast(x, "float32")
    squares = ops.sum(ops.square(x), axis=1, keepdims=True)
    x = x * ops.rsqrt(ops.maximum(squares, 1e-24))
    return keras.Model(inputs, x, name=name)([tokens, *masks])


def _loss(loss, temperature):
    """The loss, and its initial temperature and bias."""
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
    """Tower name -> the layer that fuses its modalities, if it has several."""
    by_tower = {
        name: fusion_room.get(fusion, layer_name("fusion", name))
        for name, parts in members.items()
        if len(parts) > 1
    }
    if any(has_experts(layer) for layer in by_tower.values()):
        raise ValueError(
            "A tower has no predictions that could be fused late. Use fusion='gated' "
            f"or another early fusion. Received: fusion={fusion!r}"
        )
    if len({id(layer) for layer in by_tower.values()}) < len(by_tower):
        raise ValueError(
            "Several towers would share this layer. Pass the name of a fusion or an "
            f"object of keras_mm.fusion. Received: fusion={fusion!r}"
        )
    return by_tower


def _members(towers, modalities):
    """Tower name -> the modalities in it; each modality is in one."""
    if towers is None:
        members = by_column(modalities)
    else:
        members = {}
        of_column = {}
        for name, columns in modalities.items():
            for column in columns:
                of_column.setdefault(column, []).append(name)
        check_names(list(towers), "towers")
        for tower, columns in towers.items():
            columns = [columns] if isinstance(columns, str) else list(columns)
            require_columns(of_column, columns)
            parts = [name for column in columns for name in of_column[column]]
            parts = list(dict.fromkeys(parts))
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
            f"A retriever needs two towers or more. Received: towers={list(members)}"
        )
    return members
