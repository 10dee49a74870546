"""What the encoders of graphs and of columns add, on data they have not seen.

    python benchmarks/graph_quality.py [--seeds 5] [--folds 5]

Graphs: two tasks in which the nodes alone tell nothing.

- adjacent: random graphs with two marked nodes; does an edge join them?
- regular: every node has four neighbours, or the edges are drawn at random; all
  graphs have equally many nodes and edges, and all nodes are alike.

`bag of nodes` is a mean over encoded nodes, without edges. Accuracy on unseen graphs, mean and
standard deviation over seeds.

Columns: `feature_transformer` against `dense` on tables that come with
scikit-learn, disjoint folds. Accuracy, or the share of the variance explained.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time

import keras
import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

import keras_mm
from keras_mm.encoders import GAT, GCN, Dense, FeatureTransformer


def bag_of_nodes():
    """Two dense layers on each node; the mean over nodes is the builder's."""
    dense = [keras.layers.Dense(64, activation="relu") for _ in range(2)]
    return lambda x: dense[1](dense[0](x[:, :, :1]))


GRAPH_ENCODERS = {
    "bag of nodes": bag_of_nodes,
    "gcn": GCN,
    "gat": GAT,
}
COLUMN_ENCODERS = {"dense": Dense, "feature_transformer": FeatureTransformer}
TABLES = {
    "breast cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
}


def adjacent(random):
    """A random graph of 8 to 16 nodes, two of them marked."""
    nodes = random.integers(8, 17)
    pairs = np.array([(i, j) for i in range(nodes) for j in range(i)])
    joined = random.random(len(pairs)) < 0.3
    joined[:2] = [True, False]
    label = random.random() < 0.5
    marked = random.choice(pairs[joined == label])
    features = np.isin(np.arange(nodes), marked).astype("float32")[:, None]
    return relabelled(features, pairs[joined], random), ["no", "yes"][int(label)]


def regular(random):
    """12 nodes and 24 edges: a ring with chords, rewired, or drawn at random."""
    nodes = 12
    edges = {tuple(sorted((i, (i + k) % nodes))) for i in range(nodes) for k in (1, 2)}
    label = random.random() < 0.5
    if label:
        # Swaps of ends keep the neighbours of each node as many.
        for _ in range(100):
            (a, b), (c, d) = random.permutation(sorted(edges))[:2]
            swapped = {tuple(sorted((a, d))), tuple(sorted((c, b)))}
            if len({a, b, c, d}) == 4 and not swapped & edges:
                edges = edges - {(a, b), (c, d)} | swapped
    else:
        pairs = np.array([(i, j) for i in range(nodes) for j in range(i)])
        edges = random.permutation(pairs)[: len(edges)]
    edges = np.array([list(edge) for edge in edges])
    features = np.ones((nodes, 1), "float32")
    return relabelled(features, edges, random), ["no", "yes"][int(label)]


def relabelled(features, edges, random):
    """The same graph with its nodes and edges in another order."""
    order = random.permutation(len(features))
    edges = np.argsort(order)[random.permutation(edges)]
    return {"nodes": features[order], "edges": edges}


def graph_table(make, rows, seed):
    """A table of graphs and their classes."""
    random = np.random.default_rng(seed)
    return pd.DataFrame([make(random) for _ in range(rows)], columns=["graph", "label"])


def measure_graphs(seeds, epochs):
    print(f"{'graphs':<12} {'encoder':<20} accuracy       weights  ms a step")
    for make in (adjacent, regular):
        for name, encoder in GRAPH_ENCODERS.items():
            scores = []
            for seed in range(seeds):
                train = graph_table(make, 1000, seed)
                test = graph_table(make, 500, 1000 + seed)
                schema = keras_mm.infer_schema(train, "label", verbose=False)
                model = keras_mm.build_classifier(
                    schema, encoders={"graph": encoder()}, seed=seed
                )
                started = time.time()
                model.fit(train, epochs=epochs, verbose=0)
                step = (time.time() - started) / (epochs * np.ceil(1000 / 32))
                names = np.array(schema.target.names)
                predicted = names[model.predict(test, verbose=0).argmax(axis=1)]
                scores.append(np.mean(predicted == test.label))
            print(
                f"{make.__name__:<12} {name:<20} {np.mean(scores):.3f} +- "
                f"{np.std(scores):.3f} {model.count_params():>8} {1000 * step:>9.1f}",
                flush=True,
            )


def measure_columns(folds, epochs):
    print(f"{'table':<14} {'encoder':<20} score")
    for title, load in TABLES.items():
        data = load(as_frame=True)
        table = data.data.add_prefix("x").rename(columns=lambda c: c.replace(" ", "_"))
        table.columns = [column.replace("/", "_") for column in table.columns]
        classify = hasattr(data, "target_names")
        table["label"] = data.target.map(str) if classify else data.target * 1.0
        target = keras_mm.ClassLabel if classify else keras_mm.Number
        build = keras_mm.build_classifier if classify else keras_mm.build_regressor
        for name, encoder in COLUMN_ENCODERS.items():
            scores = []
            splitter = KFold(5, shuffle=True, random_state=0)
            for number, (rows, others) in enumerate(splitter.split(table)):
                if number == folds:
                    break
                train, test = (
                    table.iloc[part].reset_index(drop=True) for part in (rows, others)
                )
                inputs = {c: keras_mm.Number() for c in table.columns if c != "label"}
                schema = keras_mm.Schema(inputs, {"label": target()}).adapt(train)
                keras.utils.set_random_seed(number)
                model = build(schema, encoders={"numbers": encoder()}, seed=number)
                model.fit(train, epochs=epochs, verbose=0)
                predicted = model.predict(test, verbose=0)
                if classify:
                    names = np.array(schema.target.names)
                    hits = names[predicted.argmax(axis=1)] == test.label
                    scores.append(np.mean(hits))
                else:
                    scores.append(r2_score(test.label, predicted[:, 0]))
            print(
                f"{title:<14} {name:<20} {np.mean(scores):.3f} +- {np.std(scores):.3f}",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args()
    measure_graphs(options.seeds, epochs=15)
    measure_columns(options.folds, epochs=30)


if __name__ == "__main__":
    main()
