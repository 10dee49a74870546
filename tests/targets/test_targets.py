"""What every target promises: a new one joins by its row."""

import keras
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import keras_mm
from keras_mm.targets import as_target

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"

# A target that has not learned yet, cells of a column, predictions for them, and the
# score that is the share of right rows, if a row can be right.
SHARES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5], [0.4, 0.5, 0.1]], "float32"
)
TARGETS = {
    "classes": (keras_mm.ClassLabel, ["a", "b", "c", "a"], SHARES, "accuracy"),
    "labels": (
        keras_mm.MultiLabel,
        [["a"], ["b", "c"], [], ["c"]],
        SHARES,
        "exact_match",
    ),
    "number": (keras_mm.Number, [1.5, -2.0, 4.0, 0.5], SHARES[:, :1] * 9 - 3, None),
}


@pytest.fixture(params=TARGETS)
def case(request):
    kind, cells, predictions, _ = TARGETS[request.param]
    column = pd.Series(cells, dtype=object)
    target = as_target(kind()).adapt(column, "y")
    return target, column, target.encode(column, "y"), predictions


def test_labels_of_cells(case):
    target, column, labels, predictions = case
    assert target.is_adapted and predictions.shape == (len(column), target.units)
    target.check(labels)
    assert target.is_known(labels).all()
    gaps = column.copy()
    gaps[1] = None
    with pytest.raises(ValueError, match="row 1 .*Received: y="):
        target.encode(gaps, "y")
    partly = target.encode(gaps, "y", allow_missing=True)
    assert target.is_known(partly).tolist() == [True, False, True, True]
    np.testing.assert_array_equal(np.delete(partly, 1, 0), np.delete(labels, 1, 0))
    target.check(partly, allow_missing=True)
    for wrong in (labels.astype(str), np.full((4, 7), 0.5), np.full(4, np.inf)):
        with pytest.raises(ValueError, match="Received: y"):
            target.check(wrong)
    for cell in column:
        assert target.names_in(cell) <= set(getattr(target, "names", ()))


def test_its_config_holds_all(case):
    target, column, labels, _ = case
    schema = keras_mm.Schema({"x": keras_mm.Number()}, {"y": target})
    again = keras_mm.Schema.from_config(schema.get_config()).target
    assert again.describe() == target.describe() == repr(target)
    np.testing.assert_array_equal(again.encode(column), labels)
    again.is_in_use = True
    with pytest.raises(ValueError, match="whose weights depend on"):
        again.adapt(column)


def test_scores_of_rows_and_of_drawn_rows(case):
    target, _, labels, predictions = case
    scores = target.score(labels, predictions)
    assert set(scores) == set(target.metrics)
    assert set(target.lower_is_better) <= set(scores)
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 1, 1]])
    drawn = target.score(labels, predictions, weights)
    rows = [0, 0, 2, 3]
    again = target.score(labels[rows], predictions[rows])
    for name in target.metrics:
        expected = scores[name], again[name]
        np.testing.assert_allclose(drawn[name], expected, atol=1e-12)


def test_no_other_constant_is_better(case):
    target, _, labels, predictions = case
    best = target.constant(labels)
    assert best.shape == (target.units,)
    one_hot = np.eye(target.units)[labels] if labels.ndim == 1 else labels
    errors = [
        np.square(one_hot - constant).sum()
        for constant in (best, *(best + step for step in np.eye(target.units) / 9))
    ]
    assert min(errors) == errors[0]


def test_adding_and_the_way_back(case):
    target, _, _, predictions = case
    back = target.from_additive(target.to_additive(predictions))
    np.testing.assert_allclose(back, predictions, atol=1e-5)


def test_columns_for_people(case, request):
    target, column, labels, predictions = case
    columns = pd.DataFrame(target.to_columns(predictions, "y"))
    assert columns.columns[0] == "y" and len(columns) == len(column)
    numbers = columns.select_dtypes("number")
    if len(numbers.columns):
        np.testing.assert_allclose(numbers.to_numpy("float32"), predictions, rtol=1e-6)
    right = [
        target.is_right(label, prediction)
        for label, prediction in zip(labels, predictions)
    ]
    metric = TARGETS[request.node.callspec.params["case"]][3]
    if metric is None:
        assert right == [None] * 4
    else:
        assert np.mean(right) == target.score(labels, predictions)[metric]
    assert all(target.caption(prediction) for prediction in predictions[:2])
    axes = Figure().subplots()
    target.draw(axes, labels, predictions)
    assert axes.get_xlabel() and axes.has_data()


@pytest.mark.skipif(not ON_TENSORFLOW, reason="exports are written by TensorFlow")
def test_answers_of_a_server_are_what_is_expected(case):
    import tensorflow as tf

    target, _, _, predictions = case
    served = target.to_answers(tf.constant(predictions), "y")
    served = {name: values.numpy() for name, values in served.items()}
    expected = target.expected_answers(predictions, "y", served)
    assert set(served) == set(expected) == set(target.answers("y"))
    for name, values in expected.items():
        got = served[name]
        if got.dtype == object:
            got = np.char.decode(got.astype(bytes)).tolist()
            assert got == [list(v) if isinstance(v, list) else v for v in values]
        else:
            np.testing.assert_allclose(got, values)


def test_what_is_no_target():
    for value in (keras_mm.Text(), keras_mm.ClassLabel, "y", None):
        with pytest.raises(ValueError, match=r"Received: targets\['y'\]="):
            keras_mm.Schema({"x": keras_mm.Number()}, {"y": value})
    target = keras_mm.Schema(
        {"x": keras_mm.Number()}, {"y": keras_mm.Number(2.0, 3.0)}
    ).target
    assert (target.mean, target.std) == (2.0, 3.0)
