import functools

import keras
from keras import ops

from .. import fusion as fusion_room
from ..data import Schema
from ..fusion.late_fusion import LateFusion
from ..inputs import Number
from ..names import layer_name
from ..objectives import Matching
from ..targets import ClassLabel
from .build import choose_encoders, wire_model
from .reranker_model import MATCH, SCORE, Reranker
from .scored_fusion import ScoredFusion


def build_reranker(
    retriever,
    query,
    item,
    encoders=None,
    fusion="co_attention",
    hidden_units=64,
    dropout=0.0,
    optimizer=None,
    learning_rates=None,
    seed=None,
):
    """Builds a compiled model that judges what a retriever has found.

    A retriever compares two vectors that were made apart: quick, as the items'
    are made once, but nothing of the one has seen the other. A reranker looks at
    both together, token by token, which is slower and finer: let the retriever find
    fifty, and the reranker sort them.

    Its encoders are its own and start from what the retriever's have learned. What
    it says is added to the retriever's score: an untrained one keeps the order.

    Examples:

    >>> encoders = {"image": "cnn", "text": "ngrams"}
    >>> retriever = keras_mm.build_retriever(schema, encoders=encoders)
    >>> reranker = keras_mm.build_reranker(retriever, "text", "image", encoders)

    Then `reranker.pairs` makes what it is trained on, and `reranker.rerank` sorts.

    Args:
        retriever: a trained `Retriever`.
        query: string, the tower of the queries.
        item: string, the tower of what is searched.
        encoders: dict from modality to encoder, those that the retriever was
            built with. What has the same shape in both starts with the
            retriever's weights (some encoders pool otherwise where single tokens
            are wanted). A layer or model gives way to a copy; what belongs to other
            towers is left aside.
        fusion: name or object of an early fusion; "co_attention": cross-attention
            over both towers' tokens. A class of your own must be registered with
            Keras.
        hidden_units: int, width of a Dense layer behind the fusion, or None.
        dropout: float, before the last layer; it never drops the score.
        optimizer: Keras optimizer or its name.
        learning_rates: dict from modality to the learning rate of its encoder.
        seed: int, for initialisation, dropout and the order of the rows.

    Returns:
        `Reranker`, a compiled functional `keras.Model`.

    Raises:
        ValueError: if a tower is not there or has a column named "score" or
            "match", the encoders are not like the retriever's or share its layers,
            or the fusion is a late one.

    Reference:
        Li et al. 2021, "Align before Fuse: Vision and Language Representation
        Learning with Momentum Distillation" (image-text matching).
    """
    known = list(retriever.towers)
    if query == item or query not in known or item not in known:
        raise ValueError(
            f"`query` and `item` must be two of the towers {known}. "
            f"Received: query={query!r}, item={item!r}"
        )
    layer = fusion_room.get(fusion)
    if isinstance(layer, LateFusion) or not isinstance(layer, fusion_room.Fusion):
        raise ValueError(
            "A match shows only where both are looked at together. Take "
            "fusion='co_attention', or another early fusion by name or as an "
            f"object of keras_mm.fusion. Received: fusion={fusion!r}"
        )
    columns = [c for tower in (query, item) for c in retriever.towers[tower]]
    if {SCORE, MATCH} & set(columns):
        raise ValueError(
            f"Pairs have columns {SCORE!r} and {MATCH!r} of their own. Rename the "
            f"tower's. Received: columns {columns}"
        )
    # Until `fit` shows how scores are spread.
    score = Number(mean=0.0, std=1.0)
    schema = Schema(
        {**{name: retriever.schema.inputs[name] for name in columns}, SCORE: score},
        {MATCH: ClassLabel(class_names=["no", "yes"])},
        retriever.schema.missing,
    )
    schema.is_of_arrays = retriever.schema.is_of_arrays
    # The words of a missing cell are those of the towers.
    schema.wordless = (SCORE, MATCH)
    encoders = {**_own(encoders or {}, retriever, columns), SCORE: _unchanged}
    modalities, chosen = choose_encoders(schema, encoders)
    towers = {
        tower: {
            name: parts
            for name, parts in modalities.items()
            if set(parts) <= set(retriever.towers[tower])
        }
        for tower in (query, item)
    }
    if sum(map(len, towers.values())) < len(modalities) - 1:
        raise ValueError(
            "Columns of both towers would share an encoder. Give the encoders that "
            f"the retriever was built with. Received: encoders={encoders!r}, "
            f"modalities {modalities}"
        )
    model = wire_model(
        schema,
        encoders,
        ScoredFusion(layer, hidden_units, dropout),
        modality_dropout=0.0,
        optimizer=optimizer or keras.optimizers.Adam(1e-3),
        learning_rates=learning_rates,
        seed=seed,
        model_class=Reranker,
        objective=Matching(),
    )
    model.towers = towers
    _trust(model.get_layer(layer_name("logits", MATCH)))
    for name, parts in (towers[query] | towers[item]).items():
        inputs = {column: model.schema.inputs[column] for column in parts}
        pooled = functools.partial(chosen[name].build, inputs, name)
        _take_weights(model, retriever, name, pooled)
    return model


def _unchanged(score):
    return score


def _trust(head):
    """The last layer's weights, so that the score alone decides at the start."""
    kernel, bias = head.get_weights()
    kernel[:] = 0.0
    kernel[-1] = [-1.0, 1.0]
    head.set_weights([kernel, bias])


def _own(encoders, retriever, columns):
    """The encoders of these columns; a layer gives way to one that is like it."""
    others = {
        name
        for name, parts in retriever.schema.modalities(own=encoders).items()
        if not set(parts) & set(columns)
    }
    others |= set(retriever.schema.inputs) - set(columns)
    return {
        name: type(encoder).from_config(encoder.get_config())
        if isinstance(encoder, keras.layers.Layer)
        else encoder
        for name, encoder in encoders.items()
        if name not in others
    }


def _take_weights(model, retriever, name, pooled):
    """Copies an encoder's weights; of one that pools otherwise, what comes before.

    Args:
        model: the `Reranker`.
        retriever: the `Retriever`.
        name: string, the modality.
        pooled: function that builds the encoder as it gives one token a row.
    """
    own = model.encoders[name].weights
    encoders = retriever.encoders
    learned = encoders[name].weights if name in encoders else []
    if {id(weight) for weight in own} & {id(weight) for weight in learned}:
        raise ValueError(
            f"The encoder of {name!r} has layers of the retriever's, which training "
            "would change. Give a function that makes new layers, or an Encoder. "
            f"Received: encoders={{{name!r}: ...}}"
        )
    if _shapes(learned) not in (_shapes(own), _shapes(pooled().weights)):
        raise ValueError(
            f"The encoder of {name!r} is not the one that the retriever has. Give the "
            "encoders that it was built with: encoders={...}. "
            f"Received: weights {_shapes(own)}, the retriever's {_shapes(learned)}"
        )
    for weight, source in zip(own, learned):
        if weight.shape != source.shape:
            break
        # A copy: jax would share the memory, and training overwrites it.
        weight.assign(ops.convert_to_numpy(source))


def _shapes(weights):
    return [tuple(weight.shape) for weight in weights]
