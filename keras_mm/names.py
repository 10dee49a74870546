"""Names of layers. Each holds a "-", which no column's name does: none clash."""

_ENCODER, _INPUT = "-encoder", "-input"


def layer_name(role, of="modality"):
    """The name of a layer that the library makes.

    It holds a `-`, which a column's name cannot: no column is called like a layer.

    Examples:

    >>> from keras_mm.names import layer_name
    >>> layer_name("encoder", "image"), layer_name("fusion")
    ('image-encoder', 'modality-fusion')

    Args:
        role: string, what the layer does.
        of: string, the modality, column, target or tower that it belongs to.
    """
    return f"{of}-{role}"


def is_encoder_name(name):
    """Whether a layer of this name is a modality's encoder."""
    return name.endswith(_ENCODER)


def modality_of(name):
    """The modality whose encoder has this name."""
    return name.removesuffix(_ENCODER)


def columns_of_model(model):
    """The columns that a model or encoder reads, in the order of its inputs."""
    return [tensor.name.removesuffix(_INPUT) for tensor in model.inputs]


def encoders_of(model):
    """dict from modality to its encoder, a layer of the model."""
    return {
        modality_of(layer.name): layer
        for layer in model.layers
        if is_encoder_name(layer.name)
    }
