"""Embeddings and explanations of an ensemble, from those of its members."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from keras import ops


class JoinedPart(NamedTuple):
    """One `Part` of several members, joined; it is used as a `Part` is.

    Args:
        parts: list of `Part`.
        shares: list of floats, the members' weights.
        columns: list of the columns that they read.
        join: function from a list of named tensors' values and the shares to one tensor.
    """

    parts: list
    shares: list
    columns: list
    join: Callable

    def __call__(self, tensors):
        """dict of columns' tensors -> dict of named tensors."""
        answers = [part(tensors) for part in self.parts]
        return {
            name: self.join([answer[name] for answer in answers], self.shares)
            for name in answers[0]
        }


def parts_of_members(members, shares, columns):
    """The parts that all members have: dict from signature to `JoinedPart`.

    Embeddings are side by side, each of unit length times the root of the member's share,
    so that a cosine is the weighted mean of the members'. The weights of `explain` are
    averaged, where all members explain the same things by tensors of the same shape.

    Args:
        members: list of models made by a builder.
        shares: array, the weight of each.
        columns: list of the ensemble's columns.
    """
    every = [member.parts() for member in members]
    joined = {}
    for name in every[0]:
        parts = [of[name] for of in every if name in of]
        read = [set(one.columns) for one in parts]
        if len(parts) < len(members) or any(one != read[0] for one in read):
            continue
        if name == "explain" and not _same_outputs(members[0], parts):
            continue
        join = _mean if name == "explain" else _side_by_side
        kept = [column for column in columns if column in read[0]]
        joined[name] = JoinedPart(parts, list(map(float, shares)), kept, join)
    return joined


def _same_outputs(model, parts):
    """Whether the parts return tensors of the same names and shapes."""
    inputs = model.schema.inputs
    found = []
    for part in parts:
        tensors = {name: inputs[name].keras_input(name) for name in part.columns}
        found.append({name: value.shape for name, value in part(tensors).items()})
    return all(one == found[0] for one in found)


def _mean(values, shares):
    return sum(
        share * ops.cast(value, "float32") for share, value in zip(shares, values)
    )


def _side_by_side(values, shares):
    scaled = []
    for share, value in zip(shares, values):
        value = ops.cast(value, "float32")
        length = ops.sqrt(ops.sum(ops.square(value), axis=-1, keepdims=True))
        scaled.append(np.sqrt(share) * ops.divide_no_nan(value, length))
    return ops.concatenate(scaled, axis=-1)
