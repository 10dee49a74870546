"""Parts that encoders of graphs share."""

import keras
from keras import layers, ops

from .encoder import one_token, step_mask, without_nan


def graph_parts(tensor, graph):
    """Splits the tensor of a `Graph` into its parts.

    Args:
        tensor: symbolic, `(batch, nodes, node_features + nodes * (1 +
            edge_features))`.
        graph: the `Graph`.

    Returns:
        Node features with the degree `(batch, nodes, node_features + 1)`;
        adjacency `(batch, nodes, nodes)`, row: target, column: source; edge
        features `(batch, nodes, nodes, edge_features)` or None; mask of the
        nodes `(batch, nodes)`, bool. Padding is 0.
    """
    size, width = graph.num_nodes, graph.node_features
    mask, tensor = step_mask(tensor), without_nan(tensor)
    adjacency = tensor[:, :, width : width + size]
    # The mean over neighbours does not show their number, and in a graph whose
    # nodes are all alike it would show nothing.
    degree = ops.log1p(ops.sum(adjacency, axis=2, keepdims=True))
    nodes = ops.concatenate([tensor[:, :, :width], degree], axis=2)
    edges = None
    if graph.edge_features:
        shape = (-1, size, size, graph.edge_features)
        edges = ops.reshape(tensor[:, :, width + size :], shape)
    return nodes, adjacency, edges, mask


def node_tokens(nodes, units):
    """Node features `(batch, nodes, features)` -> `(batch, nodes, units)`."""
    # A bias from the start: after normalisation, nodes whose features differ only
    # by a factor would be the same.
    bias = keras.initializers.RandomUniform(-0.5, 0.5)
    return layers.Dense(units, bias_initializer=bias)(nodes)


def propagate(adjacency, x):
    """`D^-1/2 (A + I) D^-1/2 x`: each node aggregates its neighbours and itself.

    Args:
        adjacency: float tensor `(batch, nodes, nodes)`, row: target.
        x: float tensor `(batch, nodes, dim)`.

    Returns:
        Tensor of the shape and dtype of `x`. Of directed graphs, D counts the
        edges that come in.

    Reference:
        Kipf and Welling 2017, "Semi-Supervised Classification with Graph
        Convolutional Networks", equation 2.
    """
    # Without an identity matrix, which would be saved with the model as a constant.
    degree = 1.0 + ops.sum(adjacency, axis=2, keepdims=True)
    scale = ops.cast(ops.rsqrt(degree), x.dtype)
    x = x * scale
    return scale * (ops.matmul(ops.cast(adjacency, x.dtype), x) + x)


def pool_nodes(x, mask):
    """One token per graph: the mean over its nodes, and the sum on a log scale.

    The mean alone does not show the number of nodes, the sum alone grows with the
    graph.

    Args:
        x: float tensor `(batch, nodes, dim)`.
        mask: bool tensor `(batch, nodes)`.

    Returns:
        Token `(batch, 1, 2 * dim)`, 0 for a missing graph, and its mask
        `(batch, 1)`.

    Reference:
        Xu et al. 2019, "How Powerful are Graph Neural Networks?", on sums.
    """
    weights = ops.expand_dims(ops.cast(mask, x.dtype), 2)
    total = ops.sum(x * weights, axis=1)
    mean = ops.divide_no_nan(total, ops.sum(weights, axis=1))
    token = ops.concatenate([mean, ops.arcsinh(total)], axis=1)
    return one_token(token), ops.any(mask, axis=1, keepdims=True)
