"""A model's graph, and submodels of it."""

import weakref

import keras

# Graphs by model: layers are called again for the first submodel only.
_GRAPHS = weakref.WeakKeyDictionary()


class Graph:
    """The tensors between a model's layers.

    If two models share an input and the second takes other tensors as well, Keras
    assigns the input to the second alone, and the first can no longer be saved. So
    the graph is rebuilt with the same layers.

    Args:
        model: functional `keras.Model`.

    Attributes:
        inputs: dict from column to its Keras tensor.
        given: dict from a layer's name to its call arguments.
        outputs: dict from a layer's name to its outputs.
        output: the model's output.
    """

    def __init__(self, model):
        self.given, self.outputs = {}, {}
        every = getattr(model, "every_output", lambda: model.output)()
        whole = keras.Model(model.inputs, every)
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
    """The submodel from the inputs to some tensors, with the same layers.

    Args:
        model: functional `keras.Model`.
        choose: function from the model's `Graph` to the outputs of the submodel.
        columns: list of the inputs that they depend on; None: all.

    Returns:
        `keras.Model`.
    """
    graph = graph_of(model)
    columns = list(graph.inputs) if columns is None else columns
    return keras.Model([graph.inputs[name] for name in columns], choose(graph))


def rest_of(model, modalities):
    """The submodel after some encoders, with the same layers.

    It takes the inputs that other encoders read, in order, then the tokens and
    mask of each encoder.

    Args:
        model: a model made by a builder.
        modalities: list of the modalities whose encoders are left out.

    Returns:
        Model of the same class, not compiled.
    """
    # A new graph: its inputs cannot be shared with another submodel.
    graph, wiring = Graph(model), model.wiring
    read = wiring.read_only_by(modalities)
    inputs = [tensor for name, tensor in graph.inputs.items() if name not in read]
    for name in modalities:
        inputs += graph.outputs[wiring.encoders[name]]
    rest = type(model)(inputs, graph.output)
    rest.copy_attributes(model)
    left = {n: e for n, e in wiring.encoders.items() if n not in modalities}
    rest.wiring = wiring._replace(encoders=left)
    return rest


def is_outermost(model):
    """Whether the call that is running is that of the model, not of one around it.

    Args:
        model: `keras.Model`, inside its `call`.
    """
    # Keras has no public way to ask.
    from keras.src.backend.common.global_state import get_global_attribute
    from keras.src.backend.common.stateless_scope import in_stateless_scope

    context = get_global_attribute("current_call_ctx")
    if context is None:
        # `stateless_call`, with which JAX trains, opens none.
        return True
    return context.entry_layer is model and not in_stateless_scope()
