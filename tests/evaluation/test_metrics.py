"""Weighted scores against scikit-learn, draws of rows, and the formulas."""

import itertools

import numpy as np
import pytest
from sklearn import metrics

import keras_mm
from keras_mm.evaluation import interactions
from keras_mm.evaluation.bootstrap import Bootstrap
from keras_mm.evaluation.metrics import metric_of
from keras_mm.targets import NumberTarget


def _drawn(rows=60, seed=0):
    """How often rows count, and the same as a list of rows."""
    counts = np.random.default_rng(seed).integers(0, 4, rows)
    return counts[None].astype(float), np.repeat(np.arange(rows), counts)


def test_class_scores_of_drawn_rows():
    random = np.random.default_rng(1)
    truth, predicted = random.integers(0, 4, 60), random.random((60, 5))
    weights, rows = _drawn()
    got = keras_mm.ClassLabel(5).score(truth, predicted, weights)
    best = predicted.argmax(axis=1)[rows]
    how = {"average": "macro", "zero_division": 0, "labels": np.unique(truth[rows])}
    assert got["accuracy"][0] == pytest.approx(np.mean(best == truth[rows]))
    assert got["macro_recall"][0] == pytest.approx(
        metrics.recall_score(truth[rows], best, **how)
    )
    assert got["macro_f1"][0] == pytest.approx(
        metrics.f1_score(truth[rows], best, **how)
    )


def test_label_and_number_scores_of_drawn_rows():
    random = np.random.default_rng(2)
    weights, rows = _drawn()
    truth = (random.random((60, 3)) < 0.4).astype("float32")
    predicted = random.random((60, 3))
    target = keras_mm.MultiLabel(["a", "b", "c"], threshold=0.4)
    got = target.score(truth, predicted, weights)
    chosen = predicted[rows] >= 0.4
    for average in ("macro", "micro"):
        expected = metrics.f1_score(truth[rows], chosen, average=average)
        assert got[f"{average}_f1"][0] == pytest.approx(expected)
    exact = metrics.accuracy_score(truth[rows], chosen)
    assert got["exact_match"][0] == pytest.approx(exact)

    truth = random.normal(50, 3, (60, 1)).astype("float32")
    predicted = truth + random.normal(size=(60, 1))
    got = NumberTarget().score(truth, predicted, weights)
    pair = truth[rows], predicted[rows]
    assert got["r2"][0] == pytest.approx(metrics.r2_score(*pair), rel=1e-5)
    assert got["mean_absolute_error"][0] == pytest.approx(
        metrics.mean_absolute_error(*pair), rel=1e-5
    )
    assert got["root_mean_squared_error"][0] == pytest.approx(
        metrics.root_mean_squared_error(*pair), rel=1e-5
    )


def test_unknown_metric():
    assert metric_of(NumberTarget()) == "r2"
    with pytest.raises(ValueError, match="must be one of .*Received: metric='f2'"):
        metric_of(keras_mm.ClassLabel(2), "f2")


def test_intervals_hold_95_of_100():
    np.testing.assert_allclose(Bootstrap.interval(np.arange(1001.0)), [25, 975])


def test_interval_of_accuracy():
    rows, target = 400, keras_mm.ClassLabel(2)
    truth = np.zeros(rows, int)
    predicted = np.eye(2)[(np.arange(rows) < 100).astype(int)]
    scores = Bootstrap(rows).scores(target, "accuracy", truth, predicted)
    # The standard error of a share.
    half = 1.96 * np.sqrt(0.75 * 0.25 / rows)
    np.testing.assert_allclose(
        Bootstrap.interval(scores), [0.75 - half, 0.75 + half], atol=0.006
    )


def test_groups_are_drawn_together():
    target, truth = keras_mm.ClassLabel(2), np.zeros(40, int)
    groups = np.repeat(["a", "b", "c", "d"], 10)
    predicted = np.eye(2)[(groups == "a").astype(int)]
    draws = Bootstrap(40, groups, resamples=300)
    scores = draws.scores(target, "accuracy", truth, predicted)
    # Whole groups are right or wrong: quarters only.
    assert set(np.round(scores * 4, 6)) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    np.testing.assert_array_equal(
        scores, draws.scores(target, "accuracy", truth, predicted)
    )
    alone = draws.part(np.arange(10, 20))
    assert set(alone.scores(target, "accuracy", truth[:10], predicted[10:20])) == {1.0}


def test_draws_in_pieces(monkeypatch):
    """A large table is drawn piece by piece; what is drawn stays the same."""
    from keras_mm.evaluation import bootstrap

    target, truth = keras_mm.ClassLabel(2), np.zeros(50, int)
    predicted = np.random.default_rng(0).random((50, 2))
    whole = Bootstrap(50).scores(target, "accuracy", truth, predicted)
    monkeypatch.setattr(bootstrap, "_MOST", 50 * 7)
    pieces = Bootstrap(50).scores(target, "accuracy", truth, predicted)
    np.testing.assert_array_equal(pieces, whole)


def test_shapley_is_the_mean_over_orders():
    names = ["a", "b", "c", "d"]
    random = np.random.default_rng(0)
    scores = {s: random.normal(size=3) for s in interactions.all_subsets(names)}
    values = interactions.shapley_values(names, scores)
    added = {name: [] for name in names}
    for order in itertools.permutations(names):
        for place, name in enumerate(order):
            before = tuple(n for n in names if n in order[:place])
            after = tuple(n for n in names if n in order[: place + 1])
            added[name].append(scores[after] - scores[before])
    for name in names:
        np.testing.assert_allclose(values[name], np.mean(added[name], axis=0))
    total = scores[tuple(names)] - scores[()]
    np.testing.assert_allclose(sum(values.values()), total)


@pytest.mark.parametrize("count", [2, 3])
def test_what_is_additive_stays(count):
    random = np.random.default_rng(0)
    names = ["a", "b", "c"][:count]
    tensors = {name: random.normal(size=(9, 2)) for name in names}
    rows = np.array([0, 2, 3, 5, 8])

    def additive(tensors):
        return sum(np.sin((i + 1) * tensors[n]) for i, n in enumerate(names)) + 1

    def mixed(tensors):
        return additive(tensors) + tensors["a"] * tensors["b"]

    modalities = {name: [name] for name in names}
    got = interactions.additive_projection(additive, tensors, modalities, rows, batch=4)
    expected = additive(tensors)[rows]
    np.testing.assert_allclose(got, expected, atol=1e-12)
    # By hand, for pairs of rows.
    got = interactions.additive_projection(mixed, tensors, modalities, rows)
    means = []
    for name in names:
        mean = np.zeros((5, 2))
        for place, row in enumerate(rows):
            for other in rows:
                one = {n: tensors[n][row if n == name else other] for n in names}
                mean[place] += mixed(one) / 5
        means.append(mean)
    overall = np.mean(means, axis=(0, 1))
    np.testing.assert_allclose(got, sum(means) - (count - 1) * overall, atol=1e-12)


def test_logits_and_back():
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(3), 20)
    label = keras_mm.ClassLabel(3)
    back = label.from_additive(label.to_additive(shares))
    np.testing.assert_allclose(back, shares, atol=1e-4)
    labels = keras_mm.MultiLabel(["a", "b", "c"])
    back = labels.from_additive(labels.to_additive(shares))
    np.testing.assert_allclose(back, shares, atol=1e-4)
