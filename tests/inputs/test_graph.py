"""Graphs: cells in, dense tensors out."""

import jsonschema
import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keras_mm
from keras_mm.serving.requests import raw_numbers

PATH = {"nodes": [[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]], "edges": [[0, 1], [1, 2]]}


def column(*cells):
    return pd.Series(list(cells), dtype=object)


def tensor(graph, *cells):
    return graph.preprocess(graph.to_raw(column(*cells))).numpy()


@st.composite
def graphs(draw, features=0):
    """A cell for `Graph(6, 2, features)`."""
    count = draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    edges = random.integers(0, count, (draw(st.integers(0, 8)), 2))
    cell = {"nodes": random.normal(size=(count, 2)), "edges": edges}
    if features:
        cell["edge_features"] = random.normal(size=(len(edges), features))
    return cell


def dense(cell, size, edge_features, directed):
    """The tensor of one cell, by loops."""
    there = np.zeros((size, size))
    total = np.zeros((size, size, edge_features))
    count = np.zeros((size, size))
    for row, (source, target) in enumerate(cell["edges"]):
        ways = [(target, source)] + [(source, target)] * (not directed)
        for place in ways:
            there[place] = 1
            count[place] += 1
            if edge_features:
                total[place] += cell["edge_features"][row]
    features = total / np.maximum(count, 1)[..., None]
    nodes = np.full((size, 2), np.nan)
    nodes[: len(cell["nodes"])] = cell["nodes"]
    found = np.concatenate([nodes, there, features.reshape(size, -1)], axis=1)
    found[len(cell["nodes"]) :] = np.nan
    return found


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("edge_features", [0, 3])
def test_tensor_is_the_dense_graph(edge_features, directed):
    @given(graphs(edge_features))
    def check(cell):
        graph = keras_mm.Graph(6, 2, edge_features, directed)
        got = tensor(graph, cell, None)
        assert got.shape == (2, *graph.shape) and got.dtype == "float32"
        want = dense(cell, 6, edge_features, directed)
        np.testing.assert_allclose(got[0], want, atol=1e-6)
        assert np.isnan(got[1]).all()
        # The raw form is a cell, too; padding changes nothing.
        raw = graph.to_raw(column(cell))
        again = graph.to_raw(column(raw[0], None))
        np.testing.assert_array_equal(again[:1], raw)
        padded = np.pad(raw, ((0, 0), (2, 3), (0, 0)), constant_values=np.nan)
        np.testing.assert_array_equal(graph.preprocess(padded)[0], got[0])

    check()


def test_directed_edges_lead_to_the_row_of_their_target():
    got = tensor(keras_mm.Graph(3, 1, directed=True), ([[1], [2], [3]], [[0, 2]]))
    np.testing.assert_array_equal(got[0, :, 1:], [[0, 0, 0], [0, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    "cell",
    [
        PATH,
        (PATH["nodes"], PATH["edges"]),
        [np.array(PATH["nodes"]), np.array(PATH["edges"]), None],
        {"nodes": np.array(PATH["nodes"]), "edges": np.array([[0.0, 1.0], [2, 1]])},
        {**PATH, "edges": [[0, 1], [1, 2], [1, 0], [2, 1]]},
        # As Parquet and JSON give them.
        {
            "nodes": np.array([np.array(v) for v in PATH["nodes"]] + [0], object)[:3],
            "edges": np.array([np.array(v) for v in PATH["edges"]] + [0], object)[:2],
            "edge_features": None,
        },
    ],
)
def test_forms_of_a_cell(cell):
    graph = keras_mm.Graph(4, 2)
    want = dense(PATH, 4, 0, False)
    np.testing.assert_array_equal(tensor(graph, cell)[0], want)


def test_parquet(tmp_path):
    graph = keras_mm.Graph(4, 2, edge_features=1)
    cells = [{**PATH, "edge_features": [[0.5], [0.25]]}, None]
    table = pd.DataFrame({"graph": cells})
    table.to_parquet(tmp_path / "table.parquet")
    read = keras_mm.data.to_table(tmp_path / "table.parquet")
    want = graph.to_raw(table.graph)
    np.testing.assert_array_equal(graph.to_raw(read.graph), want)


@pytest.mark.parametrize(
    "cell",
    [
        None,
        float("nan"),
        pd.NA,
        [],
        {"nodes": [], "edges": []},
        {"nodes": None, "edges": None},
        np.full((3, 3), np.nan),
    ],
)
def test_missing(cell):
    graph = keras_mm.Graph(4, 1)
    raw = graph.to_raw(column(cell))
    assert raw.shape == (1, 1, 3) and np.isnan(raw).all()
    assert np.isnan(graph.preprocess(raw)).all()


def test_graphs_at_the_borders():
    """One node, no edges, self loops, unknown features."""
    graph = keras_mm.Graph(2, 2)
    cells = [
        {"nodes": [[1, 2]], "edges": []},
        {"nodes": [[1, 2]]},
        {"nodes": [[1, np.nan]], "edges": [[0, 0], [0, 0]]},
        {"nodes": [[np.nan, np.nan], [3, 4]], "edges": None},
    ]
    got = tensor(graph, *cells)
    nan = np.nan
    np.testing.assert_array_equal(got[0], [[1, 2, 0, 0], [nan] * 4])
    np.testing.assert_array_equal(got[1], got[0])
    np.testing.assert_array_equal(got[2], [[1, nan, 1, 0], [nan] * 4])
    # A node of which nothing is known is there.
    np.testing.assert_array_equal(got[3], [[nan, nan, 0, 0], [3, 4, 0, 0]])


BAD = {
    "an edge [0.0, 3.0], nodes are 0 to 2": {**PATH, "edges": [[0, 3]]},
    "an edge [-1.0, 0.0], nodes": {**PATH, "edges": [[-1, 0]]},
    "an edge [0.0, 0.5], nodes": {**PATH, "edges": [[0, 0.5]]},
    "an edge [nan, 0.0], nodes": {**PATH, "edges": [[np.nan, 0]]},
    "nodes are 0 to -1": {"nodes": [], "edges": [[0, 0]]},
    "5 nodes, num_nodes=4; a graph is not cut": {"nodes": [[1, 2]] * 5, "edges": []},
    "nodes of shape 1 x 3 instead of n x 2": {"nodes": [[1, 2, 3]], "edges": []},
    "nodes of shape 2 instead of n x 2": {"nodes": [1, 2], "edges": []},
    "edges of shape 1 x 3 instead of n x 2": {**PATH, "edges": [[0, 1, 2]]},
    "infinite numbers among the nodes": {"nodes": [[1, np.inf]], "edges": []},
    "nodes that are not rows of 2 numbers": {"nodes": [[1, 2], [3]], "edges": []},
    "edges that are not rows of 2 numbers": {**PATH, "edges": [["a", "b"]]},
    "the keys ['edges', 'vertices']": {"vertices": [], "edges": []},
    "a cell of type str": "0-1",
    "4 arrays instead of 2 or 3": ([[1, 2]], [], None, None),
    "nodes that are not rows": {"nodes": 3, "edges": []},
    "edges that are not rows": ([[1, 2]], 3),
    "1 arrays instead": [3],
    "a cell of type ndarray": np.array(3.0),
    "an edge [5.0, 0.0]": [[0, 1, 2], [1, 5, 0]],
    "the raw form of shape 2 x 2 instead of n x 3": [[0, 1], [0, 2]],
}


@pytest.mark.parametrize("message", BAD)
def test_bad_cells(message):
    graph, cell = keras_mm.Graph(4, 2), BAD[message]
    with pytest.raises(ValueError) as error:
        graph.to_raw(column(PATH, cell, None, cell), "molecule")
    text = str(error.value)
    assert "Column 'molecule': no readable graph" in text
    assert "rows 1, 3 (2 in all" in text and "Received: molecule=" in text
    assert message in text
    raw = graph.to_raw(column(PATH, cell), "molecule", on_unreadable="missing")
    assert not np.isnan(raw[0]).all() and np.isnan(raw[1]).all()


def test_edge_features_belong_to_edges():
    graph = keras_mm.Graph(4, 2, edge_features=2)
    for features, message in (
        (None, "2 edges, 0 edge_features"),
        ([[1, 2]], "2 edges, 1 edge_features"),
        ([[1], [2]], "edge_features of shape 2 x 1 instead of n x 2"),
    ):
        with pytest.raises(ValueError, match=message):
            graph.to_raw(column({**PATH, "edge_features": features}))


def test_a_request_that_is_no_graph_costs_only_its_own_row():
    graph = keras_mm.Graph(3, 1)
    good = [[0, 7, 0], [0, 8, 0], [1, 0, 1], [-1, 0, 0], [np.nan, 9, 9]]
    bad = {
        "edge to nowhere": [[0, 7, 0], [1, 0, 1]],
        "half a node": [[0, 7, 0], [0, 7, 0], [1, 0, 0.5]],
        "below 0": [[0, 7, 0], [1, 0, -1]],
        "huge": [[0, 7, 0], [1, 0, 3e9]],
        "infinite": [[0, 7, 0], [1, 0, np.inf]],
        "no number": [[0, 7, 0], [1, 0, np.nan]],
        "no nodes": [[1, 0, 0]],
        "too many": [[0, 7, 0]] * 4,
    }
    raw = graph.raw_array([np.array(v) for v in [good, *bad.values()]])
    got = graph.preprocess(raw).numpy()
    np.testing.assert_array_equal(got[0, :2], [[7, 0, 1, 0], [8, 1, 0, 0]])
    assert np.isnan(got[0, 2]).all()
    assert np.isnan(got[1:]).all()
    # An infinite feature is unknown, as an infinite number is.
    got = graph.preprocess([[[0, np.inf, 0]]]).numpy()
    np.testing.assert_array_equal(got[0, 0], [np.nan, 0, 0, 0])


def test_empty_batches():
    graph = keras_mm.Graph(3, 1)
    assert graph.preprocess(np.zeros((0, 4, 3), "float32")).shape == (0, 3, 4)
    assert np.isnan(graph.preprocess(np.zeros((2, 0, 3), "float32"))).all()


def test_adapt():
    graph = keras_mm.Graph(4, 2, edge_features=1)
    cells = [
        {**PATH, "edge_features": [[2.0], [6.0]]},
        None,
        {"nodes": [[np.nan, 5.0], [6.0, 5.0]]},
    ]
    graph.adapt(column(*cells), "molecule")
    # Over nodes, not over graphs; the second feature is constant.
    assert graph.mean == pytest.approx([3.0, 5.0, 4.0])
    assert graph.std == pytest.approx([np.std([1, 2, 3, 6]), 1.0, 2.0])
    got = tensor(graph, *cells)
    np.testing.assert_allclose(
        got[0, :3, 0], (np.array([1, 2, 3]) - 3) / graph.std[0], rtol=1e-6
    )
    assert (got[0, :3, 1] == 0).all()
    # Only edges have features; no edge is 0.
    want = [[0, -1, 0, 0], [-1, 0, 1, 0], [0, 1, 0, 0]]
    np.testing.assert_allclose(got[0, :3, 6:], want, atol=1e-6)
    same = keras_mm.Graph.from_config(graph.get_config())
    assert same.get_config() == graph.get_config() and same.is_adapted
    np.testing.assert_array_equal(tensor(same, *cells), got)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(graph)
    )
    assert again.get_config() == graph.get_config()
    with pytest.raises(ValueError, match="Column 'molecule' has no graph in it"):
        graph.adapt(column(None, None), "molecule")


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="64 MB are allowed.*num_nodes=5000"):
        keras_mm.Graph(5000, 1)
    with pytest.raises(ValueError, match="edge_features=20"):
        keras_mm.Graph(1000, 1, edge_features=20)
    for arguments in ((0, 1), (3, 0), (3, 1, -1), (2.5, 1), (True, 1)):
        with pytest.raises(ValueError, match="must be an int of at least"):
            keras_mm.Graph(*arguments)


def test_requests():
    graph = keras_mm.Graph(4, 2, edge_features=2)
    random = np.random.default_rng(0)
    schema = graph.json_schema()
    for _ in range(5):
        value = graph.sample(random)
        jsonschema.validate(graph.to_json(value), schema)
        assert not np.isnan(graph.preprocess(value[None])).all()
        bad = graph.sample(random, bad=True)
        assert np.isnan(graph.preprocess(bad[None])).all()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([[0, 1]], schema)
    assert graph.serving_spec("g").shape.as_list() == [None, None, 5]
    assert graph.missing.shape == (1, 5)
    assert "[1, source, target, edge features...]" in graph.request_value()
    assert repr(graph) == "Graph, up to 4 nodes, 2 features per node, 2 per edge"


def test_client_sends_dicts_as_lists():
    """Without a schema, as the client has none."""
    cells = column(PATH, None, {"nodes": [[9.0, 9.0]], "edges": []})
    want = keras_mm.Graph(3, 2).to_raw(cells)
    np.testing.assert_array_equal(raw_numbers(cells, "molecule"), want)
    np.testing.assert_array_equal(raw_numbers(column(*want), "molecule"), want)
    with pytest.raises(ValueError, match="Column 'molecule': no readable graph"):
        raw_numbers(column({**PATH, "edges": [[0, 7]]}), "molecule")


def test_infer_schema(capsys):
    edge = {"nodes": [[1.0, 2.0]] * 5, "edges": [[0, 1]], "edge_features": [[3.0]]}
    table = pd.DataFrame(
        {
            "molecule": [edge, None, {"nodes": [[1.0, 2.0]], "edges": []}, edge],
            "empty": [{"nodes": [], "edges": []}] * 4,
            "label": ["a", "b", "a", "b"],
        }
    )
    schema = keras_mm.infer_schema(table, "label")
    graph = schema.inputs["molecule"]
    assert isinstance(graph, keras_mm.Graph) and graph.is_adapted
    assert (graph.num_nodes, graph.node_features, graph.edge_features) == (7, 2, 1)
    assert "empty left out: graphs without nodes" in capsys.readouterr().out


def test_datasets_from_memory_and_row_by_row(monkeypatch):
    random = np.random.default_rng(0)
    graph = keras_mm.Graph(8, 2, edge_features=1)
    table = pd.DataFrame({"molecule": [graph.sample(random) for _ in range(7)]})
    schema = keras_mm.Schema({"molecule": graph}).adapt(table)
    found = []
    for limit in (2**20, 0):
        monkeypatch.setattr(keras_mm.data.dataset, "MEMORY_LIMIT", limit)
        dataset = keras_mm.data.to_dataset(table, schema, batch_size=4)
        batches = [inputs["molecule"].numpy() for (inputs,) in dataset]
        found.append(np.concatenate(batches))
    assert found[0].shape == (7, *graph.shape)
    np.testing.assert_array_equal(*found)


@pytest.mark.large
def test_model_saves_and_exports(tmp_path):
    random = np.random.default_rng(0)
    graph = keras_mm.Graph(6, 2, edge_features=1)
    cells = [graph.sample(random) for _ in range(11)] + [None]
    table = pd.DataFrame({"molecule": cells, "label": ["a", "b"] * 6})
    table["price"] = random.normal(size=12)
    inputs = {"molecule": graph, "price": keras_mm.Number()}
    schema = keras_mm.Schema(inputs, {"label": keras_mm.ClassLabel()}).adapt(table)
    encoder = keras_mm.encoders.GAT(4, num_layers=1, num_heads=2)
    model = keras_mm.build_classifier(schema, encoders={"molecule": encoder}, seed=0)
    model.fit(table, epochs=1, verbose=0)
    expected = model.predict(table, verbose=0)
    model.save(tmp_path / "model.keras")
    same = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(same.predict(table, verbose=0), expected, atol=1e-6)
    # Compares the answers, broken graphs among them.
    keras_mm.export(model, tmp_path / "model")
    exported = keras_mm.load_exported(tmp_path / "model")
    answer = exported(table)["label_probabilities"]
    np.testing.assert_allclose(np.stack(answer), expected, atol=1e-5)
