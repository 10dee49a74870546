import keras

from .model import MultimodalModel
from .retriever_model import Retriever


def rest_of(model, encoders):
    """The model behind some of its encoders, with the same layers.

    It takes the inputs that these do not read, in order, then tokens and mask of
    each.

    Args:
        model: a model made by a builder.
        encoders: list of its layers that are encoders.

    Returns:
        `Retriever` or `MultimodalModel`, not compiled.
    """
    # Keras makes an input that two models share the second one's alone: the first
    # could not be saved any more. So the graph is made again, of the same layers.
    graph = keras.models.clone_model(
        keras.Model(model.inputs, model.output), clone_function=lambda layer: layer
    )
    nodes = [layer._inbound_nodes[-1] for layer in encoders]
    fed = {id(t) for node in nodes for t in keras.tree.flatten(node.input_tensors)}
    inputs = [tensor for tensor in graph.inputs if id(tensor) not in fed]
    inputs += [tensor for node in nodes for tensor in node.output_tensors]
    if isinstance(model, Retriever):
        rest = Retriever(inputs, graph.output)
        loss, towers = model.retrieval_loss, model.towers
        rest.set_retrieval(towers, loss, model.anchor, model.group)
    else:
        rest = MultimodalModel(inputs, graph.output)
    # Late fusions look at the schema to train their experts.
    rest.schema, rest.heads = model.schema, model.heads
    return rest
