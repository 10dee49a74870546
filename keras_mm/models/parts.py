"""Submodels that are served on their own: embeddings and explanations."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from ..encoders.encoder import masked_mean
from ..fusion import has_experts
from ..names import joined_names, layer_name, pair_names, served_name
from .graph import part_of
from .unit import unit


class Part(NamedTuple):
    """A submodel and the function from its outputs to named tensors.

    The function is not wired into the submodel: new operations could clash with the
    layer names of a loaded model.

    Args:
        model: `keras.Model` of some columns' tensors.
        columns: list of these columns, in the order of its inputs.
        outputs_of: function from the model's outputs, Keras tensors, to a dict of
            named tensors.
    """

    model: keras.Model
    columns: list
    outputs_of: Callable

    def __call__(self, tensors):
        """dict of columns' tensors -> dict of named tensors."""
        listed = [tensors[column] for column in self.columns]
        return self.outputs_of(self.model(listed, training=False))


def parts_of(model):
    """The parts of a model of encoders and fusions: dict from signature to `Part`.

    `embed` is the fused vector (of several fusions, concatenated), `embed_<modality>`
    the mean of a modality's tokens, and `explain` the fusion's weights, if it has any.
    """
    wiring, columns = model.wiring, [tensor.name for tensor in model.inputs]
    layers = fusions_of(model)
    fused = part_of(model, lambda graph: _flat(graph.outputs, layers))
    parts = {"embed": Part(fused, columns, _embedding)}
    for name, members in wiring.modalities.items():
        parts[f"embed_{served_name(name)}"] = _modality(model, name, members)
    modalities = [served_name(name) for name in wiring.modalities]
    weights = {
        name: _weights(name, layer, modalities) for name, layer in layers.items()
    }
    # With several fusions, the name of each weight holds its target.
    targets = {fusion: served_name(name) for name, fusion in wiring.fusions.items()}
    keys = [(targets[name], key) for name, of in weights.items() for key in of]
    takers = [take for of in weights.values() for take in of.values()]
    if keys:
        names = joined_names(keys) if len(layers) > 1 else [key for _, key in keys]
        explain = dict(zip(names, takers))
        parts["explain"] = Part(
            fused,
            columns,
            lambda out: {key: take(out) for key, take in explain.items()},
        )
    return parts


def fusions_of(model):
    """dict from name to fusion layer, without repetition."""
    return {name: model.get_layer(name) for name in model.wiring.fusions.values()}


def vectors_of(model):
    """The submodel that embeds each row, to compare rows by.

    Late fusions have no fused vector: each modality's mean token is scaled to length 1
    (0 where it is absent) and these are concatenated; of the hybrid fusion it is the
    vector of its early part.

    Returns:
        `keras.Model`, and the function from its outputs, arrays, to an array `(batch,
        units)`.
    """
    layers = fusions_of(model)
    is_late = any(has_experts(layer) for layer in layers.values())

    def choose(graph):
        return _flat(graph.given if is_late else graph.outputs, layers)

    def vectors(given):
        if not is_late:
            return np.concatenate([given[name][0] for name in layers], axis=1)
        return _experts(layers, given)

    return part_of(model, choose), vectors


def _flat(values, layers):
    """Each layer's tensors as a flat list: the vector first, then the weights."""
    return {name: keras.tree.flatten(values[name]) for name in layers}


def _embedding(outputs):
    vectors = [tensors[0] for tensors in outputs.values()]
    return {"embedding": ops.concatenate(vectors, axis=-1)}


def _modality(model, name, columns):
    """The `Part` that embeds one modality."""
    if name in model.wiring.encoders:
        encoder = model.encoders[name]
        return Part(encoder, columns, lambda out: {"embedding": masked_mean(*out)})
    # The textbook model has no nested encoders.
    vector = layer_name("vector", name)
    part = part_of(model, lambda graph: graph.outputs[vector], columns)
    return Part(part, columns, lambda out: {"embedding": out})


def _weights(name, layer, modalities):
    """dict from a weight's name to the function that takes it from `_flat` outputs."""
    kind = getattr(layer, "weights_kind", None)
    if kind == "modalities":
        return {
            modality: lambda out, place=place: out[name][1][:, place]
            for place, modality in enumerate(modalities)
        }
    if kind == "pairs" and len(modalities) > 1:
        return {
            pair: lambda out, place=place: out[name][1 + place]
            for place, pair in enumerate(pair_names(modalities))
        }
    return {}


def _experts(layers, given):
    """The experts' input vectors, or those of joint experts only if there are any."""
    together = []
    for name, layer in layers.items():
        tensors = [ops.convert_to_tensor(value) for value in given[name]]
        count = len(tensors) // 2
        vectors = layer.vectors(tensors[:count], tensors[count:])[0]
        vectors = [ops.convert_to_numpy(vector) for vector in vectors]
        together += vectors[count:]
    if together:
        return np.concatenate(together, axis=1)
    # The same for each target. Scaled, as encoders differ in scale.
    return np.concatenate([unit(vector) for vector in vectors], axis=1)
