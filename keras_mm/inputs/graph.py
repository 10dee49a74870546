import math

import keras
import numpy as np

from ..deprecated import renamed
from ..errors import refuse_rows
from .cells import is_no_value
from .input import Input, refuse_in_use
from .literals import from_text
from .standardize import (
    LARGEST,
    compress_outliers,
    finite_numbers,
    mean_and_std,
    standardize,
)

# The limit of one row's tensor, whose size grows with the square of the nodes.
MAX_BYTES = 64 * 2**20
_NODE, _EDGE = 0, 1


@keras.saving.register_keras_serializable(package="keras_mm")
class Graph(Input):
    """A column of graphs: molecules, parse trees, networks of things.

    A cell is a dict `{"nodes": (n, node_features) floats, "edges": (e, 2)
    ints}`, with `"edge_features": (e, edge_features) floats` if the edges have
    features; or a pair or triple of these arrays; or such a cell as text, as in a
    CSV file. An edge is a pair of node indices, counted from 0, its source first.
    Give nodes without features a constant one, `[[1.0]] * n`. A graph without
    nodes is missing; an unknown feature is NaN.

    A row of the tensor is a node: its standardised features, then its row of
    the dense adjacency matrix, 1 for each node with an edge to this one and 0
    for the others, then the standardised features of these edges. Padded nodes
    are all NaN. Duplicate edges count as one edge, with the mean of their
    features.

    The tensor of a graph takes `4 * num_nodes * (node_features + num_nodes *
    (1 + edge_features))` bytes, and encoders take time in proportion: it is meant
    for graphs of tens or hundreds of nodes, not for one network of millions.

    The raw form, which a request holds, is a list of nodes and edges: a row is
    `[0, features...]` for a node and `[1, source, target, edge features...]`
    for an edge, padded to the longer of the two with any numbers; rows that
    start with neither 0 nor 1 are padding. An invalid graph in a request (an edge
    to a node that does not exist, more than `num_nodes` nodes) counts as missing.

    Examples:

    >>> graph = keras_mm.Graph(num_nodes=4, node_features=1)
    >>> column = pandas.Series([{"nodes": [[6.0], [8.0]], "edges": [[0, 1]]}, None])
    >>> graph.adapt(column).preprocess(graph.to_raw(column)).shape
    TensorShape([2, 4, 5])
    >>> graph.to_raw(column)[0].tolist()
    [[0.0, 6.0, nan], [0.0, 8.0, nan], [1.0, 0.0, 1.0]]

    Args:
        num_nodes: int, largest number of nodes per graph.
        node_features: int, number of features of a node.
        edge_features: int, number of features of an edge.
        directed: bool, whether edges have a direction; otherwise each counts
            both ways.
        mean: list of floats, one for each node feature, then one for each edge
            feature; learned by `adapt`.
        std: list of floats, learned by `adapt`; 1 for a constant feature.
    """

    kind = "graph"
    default_encoder = "gat"
    raw_dtype = "float32"

    def __init__(
        self,
        num_nodes,
        node_features,
        edge_features=0,
        directed=False,
        mean=None,
        std=None,
    ):
        for name, value, least in (
            ("num_nodes", num_nodes, 1),
            ("node_features", node_features, 1),
            ("edge_features", edge_features, 0),
        ):
            if isinstance(value, bool) or int(value) != value or value < least:
                raise ValueError(
                    f"`{name}` must be an int of at least {least}. "
                    f"Received: {name}={value!r}"
                )
        self.num_nodes = int(num_nodes)
        self.node_features = int(node_features)
        self.edge_features = int(edge_features)
        self.directed = bool(directed)
        self.mean = None if mean is None else list(mean)
        self.std = None if std is None else list(std)
        size = 4 * self.shape[0] * self.shape[1]
        if size > MAX_BYTES:
            raise ValueError(
                f"The tensor of one graph would take {size / 2**20:.0f} MB, with "
                f"its dense adjacency; at most {MAX_BYTES // 2**20} MB are allowed. "
                "Cut the graphs into smaller ones, such as the neighbourhood of "
                f"what is to be predicted. Received: num_nodes={num_nodes}, "
                f"edge_features={edge_features}"
            )

    @property
    def shape(self):
        """`(num_nodes, node_features + num_nodes * (1 + edge_features))`."""
        nodes = self.num_nodes
        return (nodes, self.node_features + nodes * (1 + self.edge_features))

    @property
    def raw_shape(self):
        """`(nodes and edges, 1 + the longer of a node and an edge)`."""
        return (None, 1 + max(self.node_features, 2 + self.edge_features))

    @property
    def compact_bytes(self):
        """Bytes of the list of one graph, estimated for three edges per node."""
        return 4 * 4 * self.num_nodes * self.raw_shape[1]

    def adapt(self, column, name="column"):
        """Learns mean and standard deviation of each feature; returns `self`."""
        refuse_in_use(self, name)
        raw = self.to_raw(column, name).astype("float64")
        nodes = raw[raw[..., 0] == _NODE][:, 1 : 1 + self.node_features]
        edges = raw[raw[..., 0] == _EDGE][:, 3 : 3 + self.edge_features]
        if not len(nodes):
            raise ValueError(
                f"Column {name!r} has no graph in it. Leave it out of the inputs. "
                f"Received: {name} with {len(column)} missing values"
            )
        self.mean, self.std = [], []
        for values in [*nodes.T, *edges.T]:
            # A feature without any value is left unscaled.
            has_values = not np.isnan(values).all()
            mean, std = mean_and_std(values) if has_values else (0.0, 1.0)
            self.mean.append(float(mean))
            self.std.append(float(std))
        return self

    @property
    def is_adapted(self):
        """Whether means and standard deviations are known."""
        return self.mean is not None

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """Graphs -> `float32` array `(rows, nodes and edges, width)`.

        The raw form of a graph is also read. Invalid graphs are unreadable cells:
        edges to nodes that do not exist, another number of features, more than
        `num_nodes` nodes, infinities.
        """
        values, wrong, reason = [], [], {}
        for row, cell in enumerate(column):
            try:
                values.append(self._to_list(from_text(cell)))
            except ValueError as error:
                values.append(self.missing)
                wrong.append(row)
                reason[row] = str(error)
        if wrong and on_unreadable == "error":
            refuse_rows(
                name,
                wrong,
                f"no readable graph ({reason[wrong[0]]})",
                "Correct the cells, or pass on_unreadable='missing' to treat them as "
                "missing.",
                column.iloc[wrong[0]],
            )
        return self.raw_array(values)

    def _to_list(self, cell):
        """One cell -> checked array of nodes and edges; `ValueError`."""
        if is_no_value(cell):
            return self.missing
        nodes, edges, features = self._parts(cell)
        nodes = _matrix(nodes, self.node_features, "nodes", "float32")
        edges = _matrix(edges, 2, "edges", "float64")
        if not len(nodes) and not len(edges):
            return self.missing
        if len(nodes) > self.num_nodes:
            raise ValueError(
                f"{len(nodes)} nodes, num_nodes={self.num_nodes}; a graph is not cut"
            )
        # False for NaN, too.
        exists = (edges >= 0) & (edges < len(nodes)) & (edges == np.floor(edges))
        if not exists.all():
            edge = edges[~exists.all(axis=1)][0].tolist()
            raise ValueError(f"an edge {edge}, nodes are 0 to {len(nodes) - 1}")
        features = _matrix(features, self.edge_features, "edge_features", "float32")
        if self.edge_features and len(features) != len(edges):
            raise ValueError(f"{len(edges)} edges, {len(features)} edge_features")
        array = np.full((len(nodes) + len(edges), self.raw_shape[1]), np.nan, "float32")
        array[: len(nodes), 0] = _NODE
        array[: len(nodes), 1 : 1 + self.node_features] = nodes
        array[len(nodes) :, 0] = _EDGE
        array[len(nodes) :, 1:3] = edges
        if self.edge_features:
            array[len(nodes) :, 3 : 3 + self.edge_features] = features
        return array

    def _parts(self, cell):
        """A cell's nodes, edges and edge features, None where not given."""
        if isinstance(cell, dict):
            unknown = set(cell) - {"nodes", "edges", "edge_features"}
            if unknown or "nodes" not in cell:
                raise ValueError(f"the keys {sorted(map(str, cell))}")
            return cell["nodes"], cell.get("edges"), cell.get("edge_features")
        if not _is_list(cell):
            raise ValueError(f"a cell of type {type(cell).__name__}")
        # A pair holds lists of lists, the raw form lists of numbers.
        if _is_list(cell[0]) and len(cell[0]) and not _is_list(cell[0][0]):
            raw = _matrix(cell, self.raw_shape[1], "the raw form", "float32")
            nodes, edges = raw[raw[:, 0] == _NODE], raw[raw[:, 0] == _EDGE]
            return nodes[:, 1 : 1 + self.node_features], edges[:, 1:3], edges[:, 3:]
        if len(cell) not in (2, 3):
            raise ValueError(f"{len(cell)} arrays instead of 2 or 3")
        return (*cell, None)[:3]

    def finish(self, compact):
        """Lists of nodes and edges -> dense `float32` tensor."""
        import tensorflow as tf

        raw = tf.cast(compact, tf.float32)
        size, width = self.num_nodes, self.node_features
        batch = tf.shape(raw)[0]
        is_node, is_edge = raw[..., 0] == _NODE, raw[..., 0] == _EDGE
        count = tf.reduce_sum(tf.cast(is_node, tf.int32), axis=1)
        ends = raw[..., 1:3]
        limit = tf.cast(count, tf.float32)[:, tf.newaxis, tf.newaxis]
        # NaN is not in this range either.
        fits = (ends >= 0) & (ends < limit) & (ends == tf.floor(ends))
        fits = tf.reduce_all(fits, axis=2) | ~is_edge
        ok = (count <= size) & tf.reduce_all(fits, axis=1)

        # Nodes are numbered in order, wherever edges and padding lie between.
        number = tf.cumsum(tf.cast(is_node, tf.int32), axis=1) - 1
        places = tf.where(is_node & ok[:, tf.newaxis])
        row = tf.cast(places[:, 0], tf.int32)
        nodes = tf.tensor_scatter_nd_update(
            tf.fill([batch, size, width], np.nan),
            tf.stack([row, tf.gather_nd(number, places)], axis=1),
            self._standardised(tf.gather_nd(raw, places)[:, 1 : 1 + width], 0, width),
        )

        places = tf.where(is_edge & ok[:, tf.newaxis])
        row = tf.cast(places[:, 0], tf.int32)
        edges = tf.gather_nd(raw, places)
        source, target = tf.unstack(tf.cast(edges[:, 1:3], tf.int32), axis=1)
        end = width + self.edge_features
        features = self._standardised(edges[:, 3 : 3 + self.edge_features], width, end)
        content = tf.concat([tf.ones_like(edges[:, :1]), features], axis=1)
        places = tf.stack([row, target, source], axis=1)
        if not self.directed:
            places = tf.concat([places, tf.stack([row, source, target], 1)], axis=0)
            content = tf.concat([content, content], axis=0)
        shape = [batch, size, size, 1 + self.edge_features]
        total = tf.scatter_nd(places, content, shape)
        adjacency = tf.minimum(total[..., 0], 1.0)
        features = total[..., 1:] / tf.maximum(total[..., :1], 1.0)
        features = tf.reshape(features, [batch, size, size * self.edge_features])
        tensor = tf.concat([nodes, adjacency, features], axis=2)
        absent = ~tf.sequence_mask(tf.where(ok, count, 0), size)
        tensor = tf.where(absent[..., tf.newaxis], np.nan, tensor)
        return tf.ensure_shape(tensor, [None, *self.shape])

    def _standardised(self, values, start, end):
        """Features `(count, features)`, by the means and deviations `start:end`."""

        values = finite_numbers(values)
        mean, std = [part and part[start:end] for part in (self.mean, self.std)]
        return compress_outliers(standardize(values, mean, std))

    def sample(self, random, bad=False):
        """A random graph; one with an edge to nowhere when `bad`."""
        count = random.integers(1, min(self.num_nodes, 8) + 1)
        edges = random.integers(0, count, (count, 2))
        if bad:
            edges[0] = count
        mean = np.zeros(self.node_features + self.edge_features)
        if self.is_adapted:
            mean = np.array(self.mean)
        features = mean + random.normal(size=(count, len(mean)))
        array = np.full((2 * count, self.raw_shape[1]), np.nan, "float32")
        array[:count, 0], array[count:, 0] = _NODE, _EDGE
        array[:count, 1 : 1 + self.node_features] = features[:, : self.node_features]
        array[count:, 1:3] = edges
        array[count:, 3 : 3 + self.edge_features] = features[:, self.node_features :]
        return array

    def request_value(self):
        """The value of one row in a request, in words."""
        features = ", edge features..." * bool(self.edge_features)
        return (
            f"array of rows of {self.raw_shape[1]} numbers, filled up with any: "
            f"`[0, features...]` for each node, `[1, source, target{features}]` "
            "for each edge, nodes counted from 0; `[NaN, ...]` is padding"
        )

    def describe(self):
        """A one-line description."""
        edges = f", {self.edge_features} per edge" if self.edge_features else ""
        directed = "directed, " if self.directed else ""
        return (
            f"Graph, {directed}up to {self.num_nodes} nodes, {self.node_features} "
            f"feature{'s' * (self.node_features > 1)} per node{edges}"
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            "num_nodes": self.num_nodes,
            "node_features": self.node_features,
            "edge_features": self.edge_features,
            "directed": self.directed,
            "mean": self.mean,
            "std": self.std,
        }


def is_graph(cell):
    """Whether a cell is a dict that holds a graph."""
    return isinstance(cell, dict) and "nodes" in cell and "edges" in cell


def infer_graph(cells, room=1.0):
    """A `Graph` with the sizes that a column's dicts have.

    Args:
        cells: the column's cells.
        room: float, factor from the largest graph's nodes to `num_nodes`.

    Raises:
        ValueError: if no graph has nodes, or a dense adjacency is too large.
    """
    sizes = [_size(cell) for cell in cells if is_graph(cell)]
    nodes, node_features, edge_features = np.max(sizes, axis=0).tolist()
    return Graph(math.ceil(room * nodes), node_features, edge_features)


def _size(cell):
    """`(nodes, node_features, edge_features)` of a dict; 0 where it has none."""
    size, width = {}, {}
    for key in ("nodes", "edge_features"):
        rows = cell.get(key)
        try:
            size[key] = 0 if rows is None else len(rows)
            width[key] = len(rows[0]) if size[key] else 0
        except TypeError:
            # Refused, with its row, when the table is read.
            size[key] = width[key] = 0
    return size["nodes"], width["nodes"], width["edge_features"]


def _is_list(value):
    return isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) > 0


def _matrix(values, width, name, dtype):
    """Rows of numbers, in lists or arrays of arrays -> array `(rows, width)`."""
    if values is None or not width:
        return np.empty((0, width), dtype)
    try:
        if not len(values):
            return np.empty((0, width), dtype)
        # Parquet gives an array of arrays.
        matrix = np.stack([np.asarray(row, "float64") for row in values])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} that are not rows of {width} numbers") from error
    if matrix.shape[1:] != (width,):
        shape = " x ".join(map(str, matrix.shape))
        raise ValueError(f"{name} of shape {shape} instead of n x {width}")
    # NaN is unknown.
    if (np.abs(matrix) > LARGEST).any():
        raise ValueError(f"infinite numbers among the {name}")
    return matrix.astype(dtype)
