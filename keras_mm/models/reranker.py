import functools

import keras
from keras import ops

from .. import encoders as encoder_room
from .. import fusion as fusion_room
from ..data import Schema
from ..fusion import has_experts
from ..inputs import Number
from ..names import layer_name
from ..objectives import Matching
from ..targets import ClassLabel
from .build import wire_model
from .choices import choose_encoders
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
    """Builds a compiled model that reranks the results of a retriever.

    A retriever encodes query and item separately: it is fast, as the items are
    embedded once, but their tokens do not interact. A reranker attends to both
    together, which is slower and more accurate: retrieve fifty items, and rerank
    those.

    Its encoders are separate and start from the retriever's weights. Its logits are
    added to the retriever's score, so an untrained reranker keeps the order.

    Examples:

    >>> encoders = {"image": "cnn", "text": "ngrams"}
    >>> retriever = keras_mm.build_retriever(schema, encoders=encoders)
    >>> reranker = keras_mm.build_reranker(retriever, "text", "image", encoders)

    Then `reranker.pairs` makes its training data, and `reranker.rerank` sorts results.

    Args:
        retriever: a trained `Retriever`.
        query: string, the tower of the queries.
        item: string, the tower of the items.
        encoders: dict from modality to encoder, those that the retriever was
            built with. Weights of the same shape in both are initialised from the
            retriever (some encoders pool differently when they return single
            tokens). A layer or model is copied; encoders of other towers are
            ignored.
        fusion: name or object of an early fusion; "co_attention": cross-attention
            over both towers' tokens. A custom class must be registered with Keras.
        hidden_units: int, units of a Dense layer after the fusion, or None.
        dropout: float, dropout rate before the last layer; it never drops the score.
        optimizer: Keras optimizer or its name.
        learning_rates: dict from modality to the learning rate of its encoder.
        seed: int, for initialisation, dropout and the order of the rows.

    Returns:
        `Reranker`, a compiled functional `keras.Model`.

    Raises:
        ValueError: if a tower is missing or has a column named "score" or "match",
            the encoders differ from the retriever's or share its layers, or the
            fusion is a late one.

    Reference:
        Li et al. 2021, "Align before Fuse: Vision and Language Representation
        Learning with Momentum Distillation" (image-text matching).
    """
    names = list(retriever.towers)
    if query == item or query not in names or item not in names:
        raise ValueError(
            f"`query` and `item` must be two of the towers {names}. "
            f"Received: query={query!r}, item={item!r}"
        )
    layer = fusion_room.get(fusion)
    if has_experts(layer) or not isinstance(layer, fusion_room.Fusion):
        raise ValueError(
            "A reranker needs a fusion in which query and item interact. Use "
            "fusion='co_attention', or another early fusion by name or as an "
            f"object of keras_mm.fusion. Received: fusion={fusion!r}"
        )
    columns = [c for tower in (query, item) for c in retriever.towers[tower]]
    if {SCORE, MATCH} & set(columns):
        raise ValueError(
            f"The columns {SCORE!r} and {MATCH!r} are reserved in pairs. Rename the "
            f"tower's. Received: columns {columns}"
        )
    # Until `fit` adapts it to the scores.
    score = Number(mean=0.0, std=1.0)
    schema = Schema(
        {**{name: retriever.schema.inputs[name] for name in columns}, SCORE: score},
        {MATCH: ClassLabel(class_names=["no", "yes"])},
        retriever.schema.missing,
    )
    schema.is_of_arrays = retriever.schema.is_of_arrays
    # Words for missing cells apply to the towers' columns only.
    schema.wordless = (SCORE, MATCH)
    encoders = encoder_room.expanded(encoders, retriever.schema.inputs)
    encoders = {**_own(encoders, retriever, columns), SCORE: _unchanged}
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
            "Columns of both towers would share an encoder. Pass the encoders that "
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
    _start_with_score(model.get_layer(layer_name("logits", MATCH)))
    for name, parts in (towers[query] | towers[item]).items():
        inputs = {column: model.schema.inputs[column] for column in parts}
        pooled = functools.partial(chosen[name].build, inputs, name, modality=name)
        _take_weights(model, retriever, name, pooled)
    return model


def _unchanged(score):
    return score


def _start_with_score(head):
    """Initialises the last layer so that the score alone decides at the start."""
    kernel, bias = head.get_weights()
    kernel[:] = 0.0
    kernel[-1] = [-1.0, 1.0]
    head.set_weights([kernel, bias])


def _own(encoders, retriever, columns):
    """The encoders of these columns; a layer is copied from its config."""
    others = {
        name
        for name, parts in retriever.schema.modalities(own=encoders).items()
        if not set(parts) & set(columns)
    }
    others |= set(retriever.schema.inputs) - set(columns)
    return {n: _copy(encoder) for n, encoder in encoders.items() if n not in others}


def _copy(encoder):
    """A copy of a layer, or of the layers in a list of encoders."""
    if isinstance(encoder, (list, tuple)):
        return [_copy(one) for one in encoder]
    if isinstance(encoder, keras.layers.Layer):
        return type(encoder).from_config(encoder.get_config())
    return encoder


def _take_weights(model, retriever, name, pooled):
    """Copies an encoder's weights; if it pools differently, those before the pooling.

    Args:
        model: the `Reranker`.
        retriever: the `Retriever`.
        name: string, the modality.
        pooled: function that builds the encoder with one token per row.
    """
    own = model.encoders[name].weights
    encoders = retriever.encoders
    learned = encoders[name].weights if name in encoders else []
    if {id(weight) for weight in own} & {id(weight) for weight in learned}:
        raise ValueError(
            f"The encoder of {name!r} shares layers with the retriever, which training "
            "would change. Pass a function that makes new layers, or an Encoder. "
            f"Received: encoders={{{name!r}: ...}}"
        )
    if _shapes(learned) not in (_shapes(own), _shapes(pooled().weights)):
        raise ValueError(
            f"The encoder of {name!r} differs from the retriever's. Pass the encoders "
            "that the retriever was built with: encoders={...}. "
            f"Received: weights {_shapes(own)}, the retriever's {_shapes(learned)}"
        )
    for weight, source in zip(own, learned):
        if weight.shape != source.shape:
            break
        # A copy: jax would share the memory, and training overwrites it.
        weight.assign(ops.convert_to_numpy(source))


def _shapes(weights):
    return [tuple(weight.shape) for weight in weights]
