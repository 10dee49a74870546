"""A model's graph, and the one way to cut it."""

import weakref

import keras

# Graphs by model: layers are called anew for the first cut only.
_GRAPHS = weakref.WeakKeyDictionary()


class Graph:
    """The tensors between a model's layers.

    Keras makes an input that two models share the second one's alone, if that takes
    other tensors, too: the first could not be saved any more. So the graph is made
    again, of the same layers.

    Args:
        model: functional `keras.Model`.

    Attributes:
        inputs: dict from column to its Keras tensor.
        given: dict from a layer's name to the list of what it is called with.
        outputs: dict from a layer's name to what it gives.
        output: what the model gives.
    """

    def __init__(self, model):
        self.given, self.outputs = {}, {}
        whole = keras.Model(model.inputs, model.output)
        copy = keras.models.clone_model(
            whole, clone_function=lambda layer: layer, call_function=self._call
        )
        self.inputs = {tensor.name: tensor for tensor in copy.inputs}
        self.output = copy.output

    def _call(self, layer, *args, **kwargs):
        self.given[layer.name] = args
        self.outputs[layer.name] = layer(*args, **kwargs)
        return self.outputs[layer.name]


def graph_of(model):
    """The model's `Graph`, made once."""
    if model not in _GRAPHS:
        _GRAPHS[model] = Graph(model)
    return _GRAPHS[model]


def part_of(model, choose, columns=None):
    """The part of a model from its inputs to some tensors, with the same layers.

    Args:
        model: functional `keras.Model`.
        choose: function of the model's `Graph` to the outputs of the part.
        columns: list of the inputs that these need; None: all.

    Returns:
        `keras.Model`.
    """
    graph = graph_of(model)
    columns = list(graph.inputs) if columns is None else columns
    return keras.Model([graph.inputs[name] for name in columns], choose(graph))


def rest_of(model, modalities):
    """The model behind some of its encoders, with the same layers.

    It takes the inputs that these do not read, in order, then tokens and mask of
    each.

    Args:
        model: a model made by a builder.
        modalities: list of those whose encoders it is behind.

    Returns:
        Model of the same class, not compiled.
    """
    # One of its own: its inputs cannot be those of another part any more.
    graph, wiring = Graph(model), model.wiring
    read = {column for name in modalities for column in wiring.modalities[name]}
    inputs = [tensor for name, tensor in graph.inputs.items() if name not in read]
    for name in modalities:
        inputs += graph.outputs[wiring.encoders[name]]
    rest = type(model)(inputs, graph.output)
    rest.take_over(model)
    left = {n: e for n, e in wiring.encoders.items() if n not in modalities}
    rest.wiring = wiring._replace(encoders=left)
    return rest
