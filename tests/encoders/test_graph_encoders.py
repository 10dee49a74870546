"""Encoders of graphs: formulas, and what must not change the result."""

import functools

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import keras_mm
from keras_mm import encoders as room
from keras_mm.encoders.graphs import propagate

ENCODERS = {
    "gcn": lambda: room.GCN(8, num_layers=2),
    "gat": lambda: room.GAT(8, num_layers=2, num_heads=2),
}


def numpy(result):
    return [ops.convert_to_numpy(value) for value in result]


def run(model, *tensors, training=False):
    tensors = [ops.convert_to_tensor(tensor) for tensor in tensors]
    return numpy(model(tensors, training=training))


def tensor(graph, *cells):
    raw = graph.to_raw(pd.Series(list(cells), dtype=object))
    return graph.preprocess(raw).numpy()


@functools.cache
def built(name, sequences=False, size=6, directed=False, edge_features=2):
    """An encoder with weights that are all at work, and its graph."""
    keras.utils.set_random_seed(1)
    graph = keras_mm.Graph(size, 2, edge_features, directed)
    model = ENCODERS[name]().build({"graph": graph}, "graph-encoder", sequences)
    random = np.random.default_rng(1)
    weights = [
        value + 0.3 * random.normal(size=value.shape) for value in model.get_weights()
    ]
    model.set_weights(weights)
    return model, graph


def cell(random, count, edges=None, edge_features=2):
    edges = random.integers(0, count, (2 * count, 2)) if edges is None else edges
    return {
        "nodes": random.normal(size=(count, 2)),
        "edges": edges,
        "edge_features": random.normal(size=(len(edges), edge_features)),
    }


def test_propagation_is_the_formula():
    """D^-1/2 (A + I) D^-1/2 X W, with matrices."""
    random = np.random.default_rng(0)
    adjacency = np.triu(random.integers(0, 2, (5, 5)), 1)
    adjacency = (adjacency + adjacency.T).astype("float32")
    adjacency[2] = adjacency[:, 2] = 0  # alone
    adjacency[3, 3] = 1  # its own neighbour
    x = random.normal(size=(5, 3)).astype("float32")
    kernel = random.normal(size=(3, 4)).astype("float32")
    loops = adjacency + np.eye(5)
    root = np.diag(loops.sum(axis=1) ** -0.5)
    want = root @ loops @ root @ x @ kernel
    (got,) = numpy(
        [propagate(*map(ops.convert_to_tensor, (adjacency[None], (x @ kernel)[None])))]
    )
    np.testing.assert_allclose(got[0], want, atol=1e-5)


def layer_norm(x, gamma, beta):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3) * gamma + beta


def inputs_of(x, width=2):
    """Features with the degree, adjacency and edge features of one graph."""
    x = np.nan_to_num(x[~np.isnan(x).all(axis=1)])
    count, size = len(x), 6
    adjacency = x[:, width : width + size][:, :count]
    edges = x[:, width + size :].reshape(count, size, -1)[:, :count]
    degree = np.log1p(adjacency.sum(axis=1, keepdims=True))
    return np.concatenate([x[:, :width], degree], axis=1), adjacency, edges


def test_gcn_by_hand():
    model, graph = built("gcn", True)
    x = tensor(graph, cell(np.random.default_rng(0), 4))
    weights = iter(model.get_weights())
    h, adjacency, _ = inputs_of(x[0])
    loops = adjacency + np.eye(4)
    root = np.diag(loops.sum(axis=1) ** -0.5)
    h = h @ next(weights) + next(weights)
    for _ in range(2):
        y = layer_norm(h, next(weights), next(weights))
        y = y @ next(weights) + next(weights)
        h = h + np.maximum(root @ loops @ root @ y, 0)
    h = np.maximum(layer_norm(h, next(weights), next(weights)), 0)
    assert next(weights, None) is None
    tokens, mask = run(model, x)
    assert mask.tolist() == [[True] * 4 + [False] * 2]
    np.testing.assert_allclose(tokens[0, :4], h, atol=1e-4)
    model, _ = built("gcn")
    tokens, _ = run(model, x)
    want = np.concatenate([h.mean(axis=0), np.arcsinh(h.sum(axis=0))])
    np.testing.assert_allclose(tokens[0, 0], want, atol=1e-4)


def test_gat_by_hand():
    """Equations 1 to 6 of the paper, one pair of nodes after the other."""
    model, graph = built("gat", True)
    edges = [[0, 1], [0, 2], [2, 3], [3, 3]]
    x = tensor(graph, cell(np.random.default_rng(0), 5, edges))
    h, adjacency, features = inputs_of(x[0])
    weights = iter(model.get_weights())
    h = h @ next(weights) + next(weights)
    for _ in range(2):
        y = layer_norm(h, next(weights), next(weights))
        y = (y @ next(weights)).reshape(5, 2, 4)
        target, source, of_edges = (next(weights) for _ in range(3))
        z = np.zeros((5, 2, 4))
        for head in range(2):
            for i in range(5):
                others = [
                    (j, features[i, j] @ of_edges[:, head])
                    for j in range(5)
                    if adjacency[i, j]
                ] + [(i, 0.0)]
                logits = np.array(
                    [
                        target[head] @ y[i, head] + source[head] @ y[j, head] + edge
                        for j, edge in others
                    ]
                )
                logits = np.where(logits > 0, logits, 0.2 * logits)
                shares = np.exp(logits) / np.exp(logits).sum()
                z[i, head] = sum(
                    share * y[j, head] for share, (j, _) in zip(shares, others)
                )
        z = z.reshape(5, 8)
        h = h + np.where(z > 0, z, np.expm1(z))
    h = np.maximum(layer_norm(h, next(weights), next(weights)), 0)
    assert next(weights, None) is None
    tokens, _ = run(model, x)
    np.testing.assert_allclose(tokens[0, :5], h, atol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("directed", [False, True])
def test_order_of_nodes_does_not_matter(name, directed):
    pooled, graph = built(name, directed=directed)
    single, _ = built(name, True, directed=directed)
    single.set_weights(pooled.get_weights())

    @settings(max_examples=15)
    @given(st.integers(0, 2**16), st.integers(1, 6))
    def check(seed, count):
        random = np.random.default_rng(seed)
        one = cell(random, count)
        order, edges = random.permutation(count), random.permutation(2 * count)
        other = {
            "nodes": one["nodes"][order],
            "edges": np.argsort(order)[one["edges"]][edges],
            "edge_features": one["edge_features"][edges],
        }
        x = tensor(graph, one, other)
        tokens, _ = run(pooled, x)
        np.testing.assert_allclose(tokens[1], tokens[0], atol=1e-5)
        tokens, mask = run(single, x)
        np.testing.assert_allclose(tokens[1, :count], tokens[0, order], atol=1e-5)
        assert mask.sum(axis=1).tolist() == [count, count]

    check()


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("name", ENCODERS)
def test_padding_and_other_rows_change_nothing(name, sequences):
    small, graph = built(name, sequences)
    large, wide = built(name, sequences, size=9)
    large.set_weights(small.get_weights())
    random = np.random.default_rng(0)
    alone = [{"nodes": [[1.0, 2.0]], "edges": []}, cell(random, 3, np.zeros((0, 2)))]
    cells = [cell(random, 4), None, *alone, cell(random, 6)]
    tokens, mask = run(small, tensor(graph, *cells))
    assert mask.dtype == bool and mask.shape == tokens.shape[:2]
    assert np.isfinite(tokens).all()
    assert mask.any(axis=1).tolist() == [True, False, True, True, True]
    more, more_mask = run(large, tensor(wide, *cells))
    assert not more_mask[:, mask.shape[1] :].any()
    length = mask.shape[1]
    np.testing.assert_allclose(more[:, :length][mask], tokens[mask], atol=1e-5)
    for row in (0, 2, 3, 4):
        single, _ = run(small, tensor(graph, cells[row]))
        np.testing.assert_allclose(
            single[0][mask[row]], tokens[row][mask[row]], atol=1e-5
        )
    tokens, mask = run(small, np.full((3, *graph.shape), np.nan, "float32"))
    assert np.isfinite(tokens).all() and not mask.any()


@pytest.mark.parametrize("name", ENCODERS)
def test_edges_matter(name):
    """Nodes alike, edges not: a triangle and a star of as many nodes."""
    model, graph = built(name, edge_features=0)
    nodes = np.zeros((4, 2))
    cells = [
        {"nodes": nodes, "edges": edges}
        for edges in ([[0, 1], [1, 2], [2, 0]], [[0, 1], [0, 2], [0, 3]], [])
    ]
    tokens, _ = run(model, tensor(graph, *cells, {**cells[2], "nodes": nodes[:3]}))
    for one in range(4):
        for other in range(one):
            assert np.abs(tokens[one] - tokens[other]).max() > 1e-3


def test_gat_reads_edge_features():
    model, graph = built("gat")
    one = cell(np.random.default_rng(0), 4)
    other = {**one, "edge_features": one["edge_features"] + [1.0, 0.0]}
    tokens, _ = run(model, tensor(graph, one, other))
    assert np.abs(tokens[0] - tokens[1]).max() > 1e-3


def test_number_of_parameters():
    """Whatever the number of nodes."""
    for size in (3, 30):
        graph = keras_mm.Graph(size, 5, edge_features=2)
        units, width = 8, 5 + 1
        ends = width * units + units + 2 * units
        model = room.GCN(units, num_layers=3).build({"graph": graph}, "e")
        assert model.count_params() == ends + 3 * (2 * units + units**2 + units)
        model = room.GAT(units, num_layers=3, num_heads=4).build({"graph": graph}, "e")
        # The heads' halves of `a`, and theirs for edges.
        attention = 2 * units + 2 * 4
        assert model.count_params() == ends + 3 * (2 * units + units**2 + attention)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="takes TensorFlow's gradients"
)
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("name", ENCODERS)
def test_gradients_reach_every_weight(name, sequences):
    import tensorflow as tf

    model, graph = built(name, sequences)
    random = np.random.default_rng(0)
    x = tf.constant(tensor(graph, *[cell(random, 5) for _ in range(8)], None))
    with tf.GradientTape() as tape:
        tokens, _ = model([x], training=True)
        loss = tf.reduce_sum(tokens[..., ::2] ** 2)
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, model.trainable_weights)
    ):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all() and np.any(gradient != 0), weight.path


def test_dropout_in_training_only():
    graph = keras_mm.Graph(6, 2)
    x = tensor(graph, cell(np.random.default_rng(0), 5))
    for encoder in (room.GCN(8, dropout=0.5), room.GAT(8, dropout=0.5)):
        model = encoder.build({"graph": graph}, "e")
        same = [run(model, x)[0] for _ in range(2)]
        np.testing.assert_array_equal(*same)
        other = [run(model, x, training=True)[0] for _ in range(2)]
        assert not np.allclose(*other)


def test_choice_of_an_encoder():
    graph = keras_mm.Graph(6, 2)
    assert isinstance(room.get(None, [graph]), room.GAT)
    assert isinstance(room.get("gcn", [graph]), room.GCN)
    with pytest.raises(ValueError, match=r"Graph must be one of \['gat', 'gcn'\]"):
        room.get("cnn", [graph])
    with pytest.raises(ValueError, match="must divide `units`.*units=6"):
        room.GAT(6, num_heads=4)


def test_function_of_the_users_gets_nodes():
    graph = keras_mm.Graph(6, 2)
    encoder = room.get(lambda x: keras.layers.Dense(3)(x[:, :, :2]), [graph])
    model = encoder.build({"graph": graph}, "e")
    _, mask = run(model, tensor(graph, cell(np.random.default_rng(0), 4), None))
    assert mask.sum(axis=1).tolist() == [4, 0]
