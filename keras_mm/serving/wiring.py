"""How a model is wired, as its graph says it, whatever its layers are called."""

from ..names import is_encoder_name, layer_name


def encoded_modalities(model):
    """What each modality becomes, in the order in which they are fused.

    An export is proved against this: it asks neither the layers' names nor the
    order of the inputs, which the exporter goes by.

    Args:
        model: a model of one fusion, made by a builder.

    Returns:
        dict from modality to a list of Keras tensors: tokens and mask, or a vector.
    """
    fusion = model.get_layer(layer_name("fusion"))
    found = {}
    for tensor in _inputs_of(fusion.output):
        found |= _encoders_above(tensor)
    if found:
        encoded = list(found.values())
    else:
        # The textbook's model has no nested encoders.
        encoded = [[tensor] for tensor in _inputs_of(fusion.output)]
    columns = [_columns_above(tensors[0]) for tensors in encoded]
    alone = [next(iter(names)) for names in columns if len(names) == 1]
    groups = model.schema.modalities(own=alone)
    names = {frozenset(members): name for name, members in groups.items()}
    return {names[of]: tensors for of, tensors in zip(columns, encoded)}


def _node(tensor):
    """The call of a layer that a Keras tensor comes from."""
    layer, index, _ = tensor._keras_history
    return layer._inbound_nodes[index]


def _inputs_of(output):
    first = output[0] if isinstance(output, (list, tuple)) else output
    return _node(first).input_tensors


def _encoders_above(tensor):
    """dict from call of an encoder to its outputs, in the order they are read."""
    node = _node(tensor)
    if is_encoder_name(node.operation.name):
        return {id(node): list(node.output_tensors)}
    found = {}
    for above in node.input_tensors:
        found |= _encoders_above(above)
    return found


def _columns_above(tensor):
    """The model's inputs that a tensor is computed from."""
    above = _node(tensor).input_tensors
    if not above:
        return frozenset([tensor.name])
    return frozenset().union(*map(_columns_above, above))
