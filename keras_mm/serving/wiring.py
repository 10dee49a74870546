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
    fused = model.get_layer(layer_name("fusion")).output
    fused = fused[0] if isinstance(fused, (list, tuple)) else fused
    inputs = _call(fused).input_tensors
    calls = filter(_is_encoder, _calls_above(inputs))
    # The textbook's model has no nested encoders.
    encoded = [call.output_tensors for call in calls] or [[x] for x in inputs]
    columns = [_columns_of(tensors[0]) for tensors in encoded]
    alone = [name for names in columns if len(names) == 1 for name in names]
    modalities = model.schema.modalities(own=alone)
    names = {frozenset(members): name for name, members in modalities.items()}
    return {names[of]: list(tensors) for of, tensors in zip(columns, encoded)}


def _call(tensor):
    """The call of a layer that a Keras tensor comes from."""
    layer, index, _ = tensor._keras_history
    return layer._inbound_nodes[index]


def _is_encoder(call):
    return is_encoder_name(call.operation.name)


def _calls_above(tensors):
    """The calls that tensors come from, each once, depth first; not past encoders."""
    found, left = {}, list(reversed(tensors))
    while left:
        call = _call(left.pop())
        if id(call) not in found:
            found[id(call)] = call
            left += [] if _is_encoder(call) else reversed(call.input_tensors)
    return list(found.values())


def _columns_of(tensor):
    """The model's inputs that a tensor is computed from."""
    calls = _calls_above(_call(tensor).input_tensors)
    return frozenset(
        call.output_tensors[0].name for call in calls if not call.input_tensors
    )
