"""Clusters of rows, against formulas in NumPy and what the rows were made of."""

import keras
import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm
from keras_mm import fusion as room
from keras_mm.evaluation import Clusters, cluster
from keras_mm.evaluation.cluster import _partition
from keras_mm.evaluation.embedder import Embedder

from ..helpers import dense_model, dense_table, make_table, small_encoders


def far_apart(rows=60):
    """Three classes far from each other; two rows miss a column, two miss both."""
    table = dense_table(rows)
    random = np.random.default_rng(0)
    for name, size in (("good", 3), ("bad", 8)):
        points = np.eye(3, size)[np.arange(rows) % 3]
        table[name] = list(points + random.normal(0, 0.03, (rows, size)))
    for row in (5, 17):
        table.at[row, "good"] = table.at[row, "bad"] = None
    table.at[7, "bad"] = table.at[20, "good"] = None
    return table


def agreement(labels, clusters):
    """Normalised mutual information and adjusted Rand index, by their formulas."""
    table = np.array(
        [
            [np.sum((labels == a) & (clusters == b)) for b in set(clusters)]
            for a in set(labels)
        ]
    )
    share = table / table.sum()
    row, column = share.sum(1), share.sum(0)
    terms = share * np.log(np.where(share > 0, share / np.outer(row, column), 1))
    entropies = [-np.sum(part * np.log(part)) for part in (row, column)]
    pairs = np.sum(table * (table - 1) / 2)
    rows, columns = (
        np.sum(table.sum(axis) * (table.sum(axis) - 1) / 2) for axis in (1, 0)
    )
    chance = rows * columns / (table.sum() * (table.sum() - 1) / 2)
    return (
        terms.sum() / np.mean(entropies),
        (pairs - chance) / ((rows + columns) / 2 - chance),
    )


def same_partition(one, other):
    return np.array_equal(one[:, None] == one[None], other[:, None] == other[None])


@pytest.fixture(scope="module")
def table():
    return far_apart()


@pytest.fixture(scope="module")
def model(table):
    model = dense_model(table, fusion="mean")
    model.optimizer.learning_rate = 0.03
    model.fit(table, epochs=20, verbose=0)
    return model


def test_mixture_of_long_vectors():
    """Of a unit that is far from 0 and never changes, too."""
    vectors = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
    vectors[:, 0] = 25.3
    vectors[:100, 1] += 40
    found = _partition(vectors, 2, "gaussian", 0)
    assert same_partition(found, np.arange(200) // 100)


@pytest.mark.parametrize("method", ["kmeans", "agglomerative", "gaussian"])
def test_finds_what_is_apart_and_leaves_out_what_is_not_there(model, table, method):
    found = cluster(model, table, labels="category", method=method)
    assert np.flatnonzero(found.clusters == -1).tolist() == [5, 17]
    assert found.missing == 2 and not found.vectors[[5, 17]].any()
    there = found.clusters >= 0
    assert same_partition(found.clusters[there], np.arange(60)[there] % 3)
    assert found.scores["adjusted_rand_index"] == pytest.approx(1)
    assert found.sizes["rows"].tolist() == [20, 20, 18]
    assert (found.sizes["purity"] == 1).all()
    assert "2 rows have no inputs" in str(found)


def test_scores_by_their_formulas():
    """Random clusters, a fifth of the labels unknown, some rows in no cluster."""
    random = np.random.default_rng(0)
    labels = random.choice(["a", "b", "c", None], 80, p=[0.4, 0.3, 0.1, 0.2])
    clusters = np.where(
        random.random(80) < 0.3, labels == "a", random.integers(0, 4, 80)
    )
    clusters[:6] = -1
    found = Clusters(random.normal(size=(80, 3)), clusters, labels, "label")
    known = (clusters >= 0) & (labels != None)  # noqa: E711
    information, index = agreement(labels[known], clusters[known])
    assert found.scores["normalized_mutual_information"] == pytest.approx(information)
    assert found.scores["adjusted_rand_index"] == pytest.approx(index)
    for number, row in found.sizes.iterrows():
        inside = pd.Series(labels[clusters == number])
        counts = inside.value_counts()
        assert row["rows"] == len(inside) and row["labelled"] == counts.sum()
        assert counts[row["majority"]] == counts.max()
        assert row["purity"] == counts.max() / counts.sum()


def test_the_order_of_rows_and_batches_does_not_matter(model, table):
    order = np.random.default_rng(1).permutation(len(table))
    one = cluster(model, table, 3)
    other = cluster(model, table.iloc[order], 3, batch_size=7)
    np.testing.assert_allclose(other.vectors, one.vectors[order], atol=1e-5)
    assert same_partition(one.clusters[order], other.clusters)
    again = cluster(model, table, 3)
    assert np.array_equal(one.clusters, again.clusters)
    # The largest is number 0.
    assert one.sizes["rows"].is_monotonic_decreasing


def test_the_number_of_clusters_is_chosen_and_said(model, table, capsys):
    found = cluster(model, table)
    assert len(found.sizes) == 3
    assert capsys.readouterr().out.startswith("3 clusters, by the largest silhouette")
    assert list(found.scores) == ["silhouette"] and found.labels is None
    some = table.assign(category=table["category"].where(table["category"] != "x"))
    found = cluster(model, some, labels="category")
    assert len(found.sizes) == 2
    assert "as many as classes in column 'category'" in capsys.readouterr().out
    assert found.sizes["labelled"].sum() == 38 and found.sizes["rows"].sum() == 58


def test_vectors_of_fusions(table):
    """What each kind of model gives, beside the layers asked one by one."""
    rows = table.drop(index=[5, 17]).reset_index(drop=True)

    def means(model):
        dataset = keras_mm.data.to_dataset(rows, model.schema, 100, with_target=False)
        (tensors,) = next(iter(dataset))
        outputs = [
            model.get_layer(f"{name}-encoder")(tensors[name])
            for name in ("good", "bad")
        ]
        arrays = keras.tree.map_structure(ops.convert_to_numpy, outputs)
        return [np.where(mask, token[:, 0], 0) for token, mask in arrays], outputs

    def unit(x):
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)

    model = dense_model(table, fusion="late_mean")
    vectors, there = Embedder(model)(rows)
    parts, _ = means(model)
    expected = unit(np.concatenate([unit(part) for part in parts], axis=1))
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert there.all()

    model = dense_model(table, fusion=room.Hybrid(room.Sum(units=5)))
    vectors, _ = Embedder(model)(rows)
    _, outputs = means(model)
    early = model.get_layer("modality-fusion").early(*map(list, zip(*outputs)))
    np.testing.assert_allclose(vectors, unit(ops.convert_to_numpy(early)), atol=1e-5)

    # The length belongs to the answer where that is a number.
    model = dense_model(table, {"price": keras_mm.Number()}, fusion=room.Sum(units=5))
    vectors, _ = Embedder(model)(rows)
    behind = keras.Model(model.get_layer("modality-fusion").output, model.output)
    expected = model.predict(rows, verbose=0)
    np.testing.assert_allclose(behind.predict(vectors, verbose=0), expected, rtol=1e-4)


def test_a_loaded_model_gives_the_same(table, tmp_path):
    model = dense_model(table)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        Embedder(again)(table)[0], Embedder(model)(table)[0], atol=1e-6
    )


def test_a_retriever_by_one_tower_and_by_all():
    table = make_table(24)
    schema = keras_mm.Schema(
        {
            "image": keras_mm.Image((12, 12), augmentation=None),
            "text": keras_mm.Text(sequence_length=6),
        }
    ).adapt(table)
    encoders = {name: small_encoders()[name] for name in schema.inputs}
    model = keras_mm.build_retriever(schema, encoders=encoders, units=8, seed=0)
    # Row 0 has no picture, row 1 no text, row 2 neither.
    found = cluster(model, table, 3)
    image, text = (model.embed(table, name) for name in ("image", "text"))
    assert found.missing == 1 and found.clusters[2] == -1
    np.testing.assert_allclose(found.vectors[0], text[0], atol=1e-6)
    np.testing.assert_allclose(found.vectors[1], image[1], atol=1e-6)
    both = image[3:] + text[3:]
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    np.testing.assert_allclose(found.vectors[3:], both, atol=1e-5)
    found = cluster(model, table.drop(columns="text"), 3, tower="image")
    assert np.flatnonzero(found.clusters < 0).tolist() == [0, 2]
    np.testing.assert_allclose(found.vectors, image, atol=1e-6)
    with pytest.raises(ValueError, match="The towers are"):
        cluster(model, table, 3, tower="sound")
    with pytest.raises(ValueError, match="pass the retriever and tower="):
        cluster(model.tower("image"), table, 3)


def test_an_autoencoder_by_its_code():
    table = make_table(18, missing=False)
    table.at[4, "image"] = b"no picture"
    schema = keras_mm.Schema({"image": keras_mm.Image((12, 12))}).adapt(table.drop(4))
    model = keras_mm.build_autoencoder(
        schema, encoder=keras_mm.encoders.CNN(4), units=6, seed=0
    )
    found = cluster(model, table, labels="category", on_unreadable="missing")
    # One colour a class.
    assert found.clusters[4] == -1 and found.missing == 1
    assert found.scores["adjusted_rand_index"] == pytest.approx(1)
    code = keras.Model(model.inputs, model.get_layer("image-bottleneck").output)
    dataset = keras_mm.data.to_dataset(table.drop(4), model.schema)
    np.testing.assert_allclose(
        found.vectors[found.clusters >= 0],
        code.predict(dataset, verbose=0),
        atol=1e-5,
    )


def test_the_map_has_a_point_for_each_row(model, table):
    pictures = make_table(60, missing=False)["image"].astype(object)
    pictures[3] = None
    found = cluster(model, table, labels="category")
    for options in ({"map": "pca"}, {"map": "tsne", "pictures": pictures}):
        figure = found.plot(**options)
        assert isinstance(figure, matplotlib.figure.Figure)
        maps = [axes for axes in figure.axes if axes.collections]
        assert [axes.get_title() for axes in maps] == [
            "3 clusters (2 rows have no inputs)",
            "category",
        ]
        for axes in maps:
            (points,) = axes.collections
            assert len(points.get_offsets()) == 58
            places = [image.get_extent() for image in axes.images]
            assert bool(places) == ("pictures" in options)
            # No picture lies on another one.
            middles = np.array([[(a + b) / 2, (c + d) / 2] for a, b, c, d in places])
            for index, middle in enumerate(middles):
                distances = np.abs(middles[:index] - middle).max(axis=1)
                assert (distances > 0.05).all()
        # A cluster and its label have one colour.
        one, other = (axes.collections[0].get_facecolor() for axes in maps)
        np.testing.assert_allclose(one, other)
    # Vectors of one number, and without labels.
    numbers = np.array([0, 0, 1, 1])
    small = Clusters(np.arange(4.0)[:, np.newaxis], numbers)
    for map in ("pca", "tsne"):
        (axes,) = [a for a in small.plot(map).axes if a.collections]
        assert len(axes.collections[0].get_offsets()) == 4
    with pytest.raises(ValueError, match="`map` must be"):
        found.plot("umap")
    with pytest.raises(ValueError, match="pictures of 59 rows"):
        found.plot(pictures=pictures[1:])


def test_errors_come_before_the_model_runs(model, table, monkeypatch):
    monkeypatch.setattr(Embedder, "__call__", None)
    for clusters in (1, 0, 2.5, "3", 61):
        with pytest.raises(ValueError, match="an int from 2 to the number of rows: 60"):
            cluster(model, table, clusters)
    with pytest.raises(ValueError, match="Did you mean 'category'"):
        cluster(model, table, labels="categry")
    with pytest.raises(ValueError, match="two classes or more"):
        cluster(model, table.assign(category="x"), labels="category")
    with pytest.raises(ValueError, match="`method` must be one of"):
        cluster(model, table, 3, method="dbscan")
    with pytest.raises(ValueError, match="Only a retriever has towers"):
        cluster(model, table, 3, tower="good")
    with pytest.raises(ValueError, match="made by a builder"):
        cluster(keras.Sequential(), table, 3)


def test_fewer_rows_that_have_anything_than_clusters(model, table):
    with pytest.raises(ValueError, match="3 have any inputs"):
        cluster(model, table.iloc[[4, 5, 6, 17, 18]], 4)
    with pytest.raises(ValueError, match="2 have any inputs"):
        cluster(model, table.iloc[[4, 5, 6, 17]])
