from keras import layers

from .encoder import Encoder
from .graphs import graph_parts, node_tokens, pool_nodes, propagate


class GCN(Encoder):
    """Graph convolutional network: nodes aggregate the features of their neighbours.

    Each block adds `relu(D^-1/2 (A + I) D^-1/2 X W)` to the nodes, so that after
    `num_layers` blocks a node depends on others that many edges away. The number
    of neighbours is a feature of each node. Edges have weight 1; edge features are
    ignored: see `GAT`.

    Examples:

    >>> encoder = keras_mm.encoders.GCN(units=32)
    >>> graph = keras_mm.Graph(num_nodes=8, node_features=3)
    >>> encoder.build({"graph": graph}, "graph-encoder").output_shape[0]
    (None, 1, 64)

    Args:
        units: int, length of a node's token. The pooled token is twice as long:
            mean and sum.
        num_layers: int, number of blocks.
        dropout: float, dropout rate of each block's result.

    Reference:
        Kipf and Welling 2017, "Semi-Supervised Classification with Graph
        Convolutional Networks".
    """

    reads = ("graph",)

    def __init__(self, units=64, num_layers=3, dropout=0.0):
        self.units = units
        self.num_layers = num_layers
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """`(batch, nodes, features and edges)` -> one token, or one per node."""
        nodes, adjacency, _, mask = graph_parts(tensors[0], inputs[0])
        x = node_tokens(nodes, self.units)
        for _ in range(self.num_layers):
            # Normalised over each node's own entries, so that padding has no effect.
            y = layers.Dense(self.units)(layers.LayerNormalization()(x))
            y = layers.Activation("relu")(propagate(adjacency, y))
            if self.dropout:
                y = layers.Dropout(self.dropout)(y)
            x = layers.Add()([x, y])
        x = layers.Activation("relu")(layers.LayerNormalization()(x))
        return (x, mask) if sequences else pool_nodes(x, mask)
