"""Embeddings a second, and the speed, recall and size of search.

    python benchmarks/search_speed.py emoji.parquet [--rows 10000 100000 1000000]
        [--graphs 10000 100000]

Embeddings: pictures of 32 pixels and texts of emoji through the default encoders of
a retriever that was not trained, at once (`embed`) and in chunks into a file
(`embed_to_parquet`).

Search: made-up unit vectors of 128 numbers, spread as real ones are: around one
centre for each hundred rows, some centres with many rows and most with few, and
with more of their length in some directions than in others. Queries are either
drawn like the rows, or as another tower would embed them (`across`): further from
their centre, and all of them shifted alike.

Exact and approximate search, and with `--graphs` the graphs of usearch and of faiss,
take turns with NumPy (`argpartition` of all products) on the same queries: one at a
time, and 256 at once. Ratios are the median of pairs with the lowest and the
highest; below 1 is quicker than NumPy. Embedding the queries is not in them. Graphs
have 16 links and 64 candidates in building, and float16 in usearch, float32 in faiss.
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 in front of it makes it take one thread.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import tempfile
import time

import faiss
import keras
import numpy as np
import pandas as pd
from retrieval_quality import emoji_rows

import keras_mm
from keras_mm.models.unit import unit
from keras_mm.serving import neighbors

UNITS, K, BATCH, SINGLE, PAIRS = 128, 10, 256, 32, 5


def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def ratio(function, rival):
    """Median, lowest and highest of pairs, as text."""
    pairs = [seconds(function) / seconds(rival) for _ in range(PAIRS)]
    return f"{np.median(pairs):.3f} ({min(pairs):.3f} to {max(pairs):.3f})"


def embeddings(table, rows):
    """Prints how fast towers are."""
    table = emoji_rows(table, ["en"]).head(rows)
    table["id"] = [f"row {row}" for row in range(len(table))]
    inputs = {"image": keras_mm.Image((32, 32)), "text": keras_mm.Text()}
    schema = keras_mm.Schema(inputs).adapt(table)
    model = keras_mm.build_retriever(schema, units=UNITS, seed=0)
    print(
        "| tower | embeddings/s | `embed_to_parquet` / `embed`, time |\n|---|---|---|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vectors.parquet")
        for tower in inputs:

            def at_once(tower=tower):
                model.embed(table, tower)

            def in_chunks(tower=tower):
                keras_mm.serving.embed_to_parquet(
                    model, table, tower, path, "id", rows=1000
                )

            at_once(), in_chunks()
            times = [seconds(at_once) for _ in range(PAIRS)]
            fastest, slowest = len(table) / min(times), len(table) / max(times)
            print(
                f"| {tower} | {len(table) / np.median(times):,.0f} "
                f"({slowest:,.0f} to {fastest:,.0f}) | {ratio(in_chunks, at_once)} |",
                flush=True,
            )
        index = keras_mm.SearchIndex.load(path, model)
        query = {"text": ["a red bird"]}
        index.search(query)
        took = np.median([seconds(lambda: index.search(query)) for _ in range(20)])
        print(f"\nOne query, embedding included: {took * 1000:.1f} ms\n", flush=True)


def vectors_of(rows):
    """Rows, and queries like them and like another tower's."""
    random = np.random.default_rng(0)
    scale = (np.arange(1, UNITS + 1) ** -0.5).astype("float32")
    turn = np.linalg.qr(random.normal(size=(UNITS, UNITS)))[0].astype("float32")

    def draw(count):
        return random.standard_normal((count, UNITS), "float32") * scale

    centres = draw(rows // 100)
    share = np.arange(1, len(centres) + 1) ** -0.5
    share /= share.sum()

    def around(count, noise, shift=0.0):
        chosen = centres[random.choice(len(centres), count, p=share)]
        return unit((chosen + noise * draw(count) + shift) @ turn)

    vectors, shift = around(rows, 0.7), draw(1)
    return vectors, around(BATCH, 0.7), around(BATCH, 1.0, shift)


def numpy_search(vectors, queries):
    """Brute force, as one writes it; queries in parts that fit into memory."""
    part = max(2**25 // len(vectors), 1)
    found = []
    for start in range(0, len(queries), part):
        scores = queries[start : start + part] @ vectors.T
        found.append(np.argpartition(scores, -K, axis=1)[:, -K:])
    return np.concatenate(found)


def one_by_one(search, queries):
    for query in queries[:SINGLE]:
        search(query[None])


def line(rows, name, vectors, sets, truth, search, build="", size=""):
    """One row of the table."""
    recalls = [
        np.mean([len(set(a) & set(b)) / K for a, b in zip(search(queries), right)])
        for queries, right in zip(sets, truth)
    ]
    queries = sets[1]
    single = ratio(
        lambda: one_by_one(search, queries),
        lambda: one_by_one(lambda query: numpy_search(vectors, query), queries),
    )
    batch = ratio(lambda: search(queries), lambda: numpy_search(vectors, queries))
    print(
        f"| {rows:,} | {name} | {build} | {size} | {recalls[0]:.3f} | {recalls[1]:.3f} "
        f"| {single} | {batch} |",
        flush=True,
    )


def approximate(rows, vectors, sets, truth):
    """Ours, with several shares of the lists."""
    keys, found = np.arange(rows), neighbors.Neighbors()
    build = seconds(lambda: found.follow(vectors, keys))
    if found._lists is None:
        return
    size = faiss.serialize_index(found._lists).nbytes
    usual = neighbors._SHARE
    for share in (1 / 32, 1 / 16, 1 / 8, 1 / 4):
        neighbors._SHARE = share
        line(
            *(
                rows,
                f"approximate, 1/{1 / share:.0f} of the lists",
                vectors,
                sets,
                truth,
            ),
            lambda queries: found.search(queries, K)[0],
            *(f"{build:.1f}", f"{size / 2**20:.0f}"),
        )
    neighbors._SHARE = usual


def graphs(rows, vectors, sets, truth):
    """The rivals: usearch, and faiss's graph."""
    from usearch.index import Index

    graph = Index(
        ndim=UNITS, metric="ip", dtype="f16", connectivity=16, expansion_add=64
    )
    threads = faiss.omp_get_max_threads()
    build = seconds(lambda: graph.add(np.arange(rows), vectors, threads=threads))
    size = graph.serialized_length

    def search(queries):
        found = graph.search(queries, 2 * K, threads=threads)
        found = np.atleast_2d(found.keys).astype("int64")
        scores = np.einsum("qu,qcu->qc", queries, vectors[found])
        best = np.argsort(-scores, axis=1)[:, :K]
        return np.take_along_axis(found, best, axis=1)

    for candidates in (64, 128, 256):
        graph.expansion_search = candidates
        name = f"usearch, {candidates} candidates"
        texts = f"{build:.1f}", f"{size / 2**20:.0f}"
        line(rows, name, vectors, sets, truth, search, *texts)
    graph = faiss.IndexHNSWFlat(UNITS, 16, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = 64
    build = seconds(lambda: graph.add(vectors))
    size = faiss.serialize_index(graph).nbytes
    for candidates in (64, 128, 256):
        graph.hnsw.efSearch = candidates
        name = f"faiss's graph, {candidates} candidates"
        texts = f"{build:.1f}", f"{size / 2**20:.0f}"
        line(
            *(rows, name, vectors, sets, truth),
            lambda queries: graph.search(queries, K)[1],
            *texts,
        )


def search(rows, with_graphs):
    """Prints the lines of one size."""
    vectors, *sets = vectors_of(rows)
    truth = [numpy_search(vectors, queries) for queries in sets]

    def brute_force(queries):
        return numpy_search(vectors, queries)

    def exact(queries):
        return neighbors.exact(vectors, queries, K)[0]

    single = seconds(lambda: one_by_one(brute_force, sets[1])) / SINGLE
    batch = seconds(lambda: brute_force(sets[1]))
    print(
        f"| {rows:,} | NumPy | | {vectors.nbytes / 2**20:.0f} | 1.000 | 1.000 "
        f"| {single * 1000:.2f} ms | {batch * 1000:.0f} ms |",
        flush=True,
    )
    line(rows, "exact", vectors, sets, truth, exact)
    approximate(rows, vectors, sets, truth)
    if with_graphs:
        graphs(rows, vectors, sets, truth)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("table", help="Parquet file of emoji")
    parser.add_argument("--rows", nargs="*", type=int, default=[10**4, 10**5, 10**6])
    parser.add_argument("--graphs", nargs="*", type=int, default=[])
    parser.add_argument("--embed", type=int, default=2000, help="rows to embed")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    if options.embed:
        embeddings(pd.read_parquet(options.table), options.embed)
    print(
        "| rows | search | build, s | MB | recall at 10 | across "
        "| one query / NumPy | 256 queries / NumPy |\n" + "|---" * 8 + "|",
        flush=True,
    )
    for rows in options.rows:
        search(rows, rows in options.graphs)


if __name__ == "__main__":
    main()
