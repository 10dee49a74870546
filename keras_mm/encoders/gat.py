from keras import layers, ops

from .encoder import Encoder
from .graphs import graph_parts, node_tokens, pool_nodes
from .transformer_block import check_heads


class GAT(Encoder):
    """Graph attention network: nodes weigh their neighbours by attention.

    In each block, a node takes the weighted mean of its neighbours and itself;
    each head has its own weights, which also depend on the edge features, if there
    are any. The number of neighbours is a feature of each node. Takes more time than
    `GCN`, and `num_heads` times the memory.

    Examples:

    >>> encoder = keras_mm.encoders.GAT(units=32, num_heads=4)
    >>> graph = keras_mm.Graph(num_nodes=8, node_features=3, edge_features=2)
    >>> encoder.build({"graph": graph}, "graph-encoder").output_shape[0]
    (None, 1, 64)

    Args:
        units: int, length of a node's token, all heads together. The pooled
            token is twice as long: mean and sum.
        num_layers: int, number of blocks.
        num_heads: int, a divisor of `units`.
        dropout: float, dropout rate of each block's result.

    Reference:
        Velickovic et al. 2018, "Graph Attention Networks".
    """

    reads = ("graph",)

    def __init__(self, units=64, num_layers=3, num_heads=4, dropout=0.0):
        check_heads(units, num_heads)
        self.units = units
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout = dropout

    def encode(self, tensors, inputs, sequences):
        """`(batch, nodes, features and edges)` -> one token, or one per node."""
        nodes, adjacency, edges, mask = graph_parts(tensors[0], inputs[0])
        x = node_tokens(nodes, self.units)
        for _ in range(self.num_layers):
            y = self._attend(layers.LayerNormalization()(x), adjacency, edges)
            y = layers.Activation("elu")(y)
            if self.dropout:
                y = layers.Dropout(self.dropout)(y)
            x = layers.Add()([x, y])
        x = layers.Activation("relu")(layers.LayerNormalization()(x))
        return (x, mask) if sequences else pool_nodes(x, mask)

    def _attend(self, x, adjacency, edges):
        """Equations 3 and 5 of the paper, over neighbours and the node itself."""
        size, heads = x.shape[1], self.num_heads
        x = layers.Dense(self.units, use_bias=False)(x)
        x = layers.Reshape((size, heads, self.units // heads))(x)
        # The two halves of the paper's `a`, for the target and for the source.
        target, source = (
            layers.EinsumDense("bnhd,hd->bnh", output_shape=(size, heads))(x)
            for _ in range(2)
        )
        logits = ops.expand_dims(target, 2) + ops.expand_dims(source, 1)
        if edges is not None:
            logits = logits + layers.Dense(heads, use_bias=False)(edges)
        # The node itself comes after its neighbours.
        logits = ops.concatenate([logits, ops.expand_dims(target + source, 2)], axis=2)
        logits = ops.leaky_relu(logits, negative_slope=0.2)
        visible = ops.concatenate(
            [adjacency, ops.ones_like(adjacency[:, :, :1])], axis=2
        )
        # Finite in half precision, too.
        hidden = ops.full_like(logits, -1e4)
        logits = ops.where(ops.expand_dims(visible > 0, 3), logits, hidden)
        weights = ops.softmax(logits, axis=2)
        own = ops.expand_dims(weights[:, :, -1], 3) * x
        gathered = ops.einsum("bijh,bjhd->bihd", weights[:, :, :-1], x)
        return layers.Reshape((size, self.units))(gathered + own)
