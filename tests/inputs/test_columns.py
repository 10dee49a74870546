"""Numbers, categories, class labels and labels: cells in, tensors out."""

import decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import keras_mm
from keras_mm.inputs.cells import is_missing, to_name, to_text


def column(*cells):
    return pd.Series(list(cells), dtype=object)


# --- cells ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        None,
        float("nan"),
        np.float32("nan"),
        pd.NA,
        pd.NaT,
        "",
        b"",
        bytearray(),
        [],
        (),
        np.array([]),
    ],
)
def test_missing(cell):
    assert is_missing(cell)


@pytest.mark.parametrize(
    "cell", [0, 0.0, False, " ", b"\0", [None], np.array(0), np.array([0]), {}]
)
def test_not_missing(cell):
    assert not is_missing(cell)


@given(st.integers(-(2**53), 2**53))
def test_whole_floats_and_integers_have_one_name(value):
    assert (
        to_text(value)
        == to_text(float(value))
        == to_text(np.int64(value))
        == str(value)
    )


# --- numbers -------------------------------------------------------------------


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_numbers_are_read_from_text_too(values):
    number = keras_mm.Number()
    plain = number.to_raw(column(*values))
    texts = number.to_raw(column(*[None if v is None else f" {v!r} " for v in values]))
    encoded = number.to_raw(
        column(*[None if v is None else repr(v).encode() for v in values])
    )
    np.testing.assert_array_equal(plain, np.array(values, "float64"))
    np.testing.assert_array_equal(plain, texts)
    np.testing.assert_array_equal(plain, encoded)


@given(st.lists(st.integers(1, 50), min_size=2, max_size=20), st.integers(1, 50))
def test_standardisation(values, new):
    number = keras_mm.Number().adapt(pd.Series(values))
    assert number.mean == pytest.approx(np.mean(values))
    if len(set(values)) > 1:
        assert number.std == pytest.approx(np.std(values))
    got = number.preprocess([new, float("nan"), float("inf"), 1.1e30]).numpy()
    assert got.shape == (4, 1)
    assert np.isnan(got[1:]).all()
    z = (new - number.mean) / number.std
    near = np.sign(z) * (min(abs(z), 10) + np.log1p(max(abs(z) - 10, 0)))
    np.testing.assert_allclose(got[0, 0], near, rtol=1e-5, atol=1e-6)


def test_large_numbers_that_differ_little_differ():
    values = 1e9 + np.arange(20) / 1e3
    expected = (values - values.mean()) / values.std()
    number = keras_mm.Number().adapt(pd.Series(values))
    got = number.preprocess(number.to_raw(pd.Series(values))).numpy()[:, 0]
    np.testing.assert_allclose(got, expected, atol=1e-3)
    for value, cells in (
        (keras_mm.Vector(2), [[v, v] for v in values]),
        (keras_mm.Sequence(1), [[v] for v in values]),
    ):
        raw = value.adapt(column(*cells)).to_raw(column(*cells))
        got = value.preprocess(raw).numpy().reshape(20, -1)[:, 0]
        np.testing.assert_allclose(got, expected, atol=1e-3)


def test_an_outlier_does_not_spoil_its_column():
    good = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    plain = keras_mm.Number().adapt(pd.Series(good))
    number = keras_mm.Number().adapt(pd.Series([*good, 1e12]))
    assert (number.mean, number.std) == (plain.mean, plain.std)
    got = number.preprocess([3.0, 1e12, 1e13, -1e12]).numpy()[:, 0]
    assert got[0] == plain.preprocess([3.0]).numpy()[0, 0]
    assert 10 < got[1] < got[2] < 50 and -50 < got[3] < -10
    sequence = keras_mm.Sequence(9).adapt(column([*good, 1e12]))
    assert sequence.mean == [plain.mean] and sequence.std == [plain.std]
    dates = [f"2024-01-{day:02}" for day in range(1, 28)]
    assert keras_mm.Date().adapt(column(*dates, "9999-12-31")).std < 10
    # A rare value is no outlier, and a target keeps all of its rows.
    assert keras_mm.Number().adapt(pd.Series([0.0] * 99 + [1.0])).mean == 0.01
    table = pd.DataFrame({"x": range(7), "y": [*good, 1e12]})
    schema = keras_mm.Schema({"x": keras_mm.Number()}, {"y": keras_mm.Number()})
    assert schema.adapt(table).target.mean > 1e11


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=400),
    st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=20),
)
def test_normal_scores_keep_the_order_and_stay_in_the_range(values, more):
    number = keras_mm.Number(scale="quantile").adapt(pd.Series(values))
    everything = np.array(sorted([*values, *more]))
    scores = number.decode(everything).numpy()[:, 0]
    assert np.isfinite(scores).all() and (np.diff(scores) >= 0).all()
    seen = number.decode(np.array(values)).numpy()[:, 0]
    assert scores.min() == seen.min() and scores.max() == seen.max()
    edges = number.bin_edges(8)
    assert 2 <= len(edges) <= 9 and (np.diff(edges) > 0).all()


def test_normal_scores_are_those_of_the_levels_of_the_rows():
    random = np.random.default_rng(0)
    # Five decades, a spike at 0 in four of ten rows, and holes.
    values = np.exp(random.normal(size=2000) * 3)
    values[:800], values[800:900] = 0.0, np.nan
    number = keras_mm.Number(scale="quantile").adapt(pd.Series(values))
    scores = number.decode(values).numpy()[:, 0]
    assert (np.isnan(scores) == np.isnan(values)).all()
    present = ~np.isnan(values)
    assert abs(scores[present].mean()) < 0.02 and abs(scores[present].std() - 1) < 0.02
    levels = stats.rankdata(values[present]) / (present.sum() + 1)
    expected = stats.norm.ppf(levels)
    expected = (expected - expected.mean()) / expected.std()
    # It is a line between the quantiles that are kept: less exact at the tails and
    # right above the spike.
    apart = np.abs(scores[present] - expected)
    assert np.quantile(apart, 0.9) < 0.02
    assert apart[(levels > 0.01) & (levels < 0.99)].max() < 0.2
    # A file of before, without quantiles.
    old = keras_mm.Number.from_config({"mean": 1.0, "std": 2.0})
    assert old.decode(np.array([5.0])).numpy() == 2.0 and len(old.bin_edges(4)) == 5
    with pytest.raises(ValueError, match="Received: scale='cube'"):
        keras_mm.Number(scale="cube")
    log = keras_mm.Number(scale="log").adapt(pd.Series([1.0, 100.0]))
    got = log.decode(np.array([1.0, 10.0, 100.0, -3.0, np.nan])).numpy()[:, 0]
    np.testing.assert_allclose(got[:4], [-1, 0, 1, -1], atol=0.01)
    assert np.isnan(got[4])
    with pytest.raises(ValueError, match="Received: price with a minimum of 0"):
        keras_mm.Number(scale="log").adapt(pd.Series([0.0, 1.0]), "price")


@pytest.mark.parametrize("value", [0.0, 5.0, 0.1, -1e6, 1e-20])
def test_constant_column(value):
    number = keras_mm.Number().adapt(pd.Series([value] * 7))
    assert number.std == 1.0
    assert np.isfinite(number.preprocess([value, value + 1]).numpy()).all()


@pytest.mark.parametrize(
    "cell",
    [
        "many",
        "1,5",
        "inf",
        "-Infinity",
        float("inf"),
        1e300,
        10**400,
        [1.0, 2.0],
        {},
        b"\xff",
    ],
)
def test_no_number(cell):
    cells = column(1.0, cell, None)
    with pytest.raises(
        ValueError, match=r"Column 'age': no finite number in row 1 .*Received: age="
    ):
        keras_mm.Number().to_raw(cells, "age")
    got = keras_mm.Number().to_raw(cells, "age", on_unreadable="missing")
    np.testing.assert_array_equal(got, [1, np.nan, np.nan])


def test_numbers_of_other_types():
    cells = column(True, np.int8(3), decimal.Decimal("2.5"), "1e3", "nan", pd.NA)
    np.testing.assert_array_equal(
        keras_mm.Number().to_raw(cells),
        np.array([1, 3, 2.5, 1000, np.nan, np.nan], "float32"),
    )


def test_number_as_target_keeps_its_unit():
    number = keras_mm.targets.NumberTarget().adapt(pd.Series([10.0, 30.0]))
    assert number.encode(pd.Series([10, 30])).tolist() == [[10.0], [30.0]]
    with pytest.raises(ValueError, match=r"rows 1, 2 .*Received: price=None"):
        number.encode(column(1, None, float("nan")), "price")


def test_a_target_whose_differences_float32_loses_is_refused():
    cells = pd.Series(1e9 + np.arange(10.0))
    with pytest.raises(ValueError, match="size is 64. .*Received: y with a standard"):
        keras_mm.targets.NumberTarget().adapt(cells, "y")
    target = keras_mm.targets.NumberTarget().adapt(cells - 1e9, "y")
    assert target.mean == 4.5
    # Nothing is lost of seconds since 1970, and of a constant.
    assert (
        keras_mm.targets.NumberTarget().adapt(1.7e9 + 1e5 * (cells - 1e9), "y").std
        > 1e5
    )
    assert keras_mm.targets.NumberTarget().adapt(cells * 0 + 1e9, "y").std == 1.0


def test_no_numbers_at_all():
    with pytest.raises(ValueError, match="Received: column with 2 missing"):
        keras_mm.Number().adapt(column(None, None))


# --- categories ----------------------------------------------------------------


@given(
    st.lists(
        st.sampled_from(["red", "blue", "", None, "שלום", "a\0b", "😀"]), min_size=1
    )
)
def test_category_ids(values):
    if not any(values):
        with pytest.raises(ValueError, match="Received: column with"):
            keras_mm.Category().adapt(column(*values))
        return
    category = keras_mm.Category().adapt(column(*values))
    counts = {v: values.count(v) for v in values if v}
    assert category.vocabulary == sorted(counts, key=lambda v: (-counts[v], v))
    ids = category.preprocess(category.to_raw(column(*values, "never seen"))).numpy()
    expected = [category.vocabulary.index(v) + 2 if v else 0 for v in values] + [1]
    assert ids.tolist() == [[i] for i in expected]


def test_category_size_and_round_trip():
    category = keras_mm.Category(vocabulary_size=2).adapt(column(*"aaabbc"))
    assert category.vocabulary == ["a", "b"] and category.num_ids == 4
    again = keras_mm.Category.from_config(category.get_config())
    assert again.preprocess(["c", "b", ""]).numpy().tolist() == [[1], [3], [0]]


def test_numbers_as_categories_survive_a_missing_cell():
    category = keras_mm.Category().adapt(pd.Series([3, 3, 4]))
    raw = category.to_raw(pd.Series([3, None, 4]))
    assert category.preprocess(raw).numpy().tolist() == [[2], [0], [3]]


def test_category_that_is_no_utf8():
    with pytest.raises(ValueError, match="not UTF-8 in row 0"):
        keras_mm.Category().to_raw(column(b"\xff"))
    category = keras_mm.Category(["a"])
    assert category.preprocess([b"\xff", b"a"]).numpy().tolist() == [[0], [2]]


# --- class labels --------------------------------------------------------------


@given(st.lists(st.sampled_from("abcd"), min_size=2).filter(lambda v: len(set(v)) > 1))
def test_labels(values):
    label = keras_mm.ClassLabel().adapt(column(*values))
    assert label.class_names == sorted(set(values))
    codes = label.encode(column(*values))
    assert codes.dtype == "int32"
    assert [label.names[code] for code in codes] == values


def test_labels_that_are_numbers_are_ordered_as_numbers():
    assert keras_mm.ClassLabel().adapt(column(10, 9, 2)).class_names == ["2", "9", "10"]
    label = keras_mm.ClassLabel().adapt(pd.Series([True, False]))
    assert label.class_names == ["False", "True"]
    assert label.encode(pd.Series([True, False])).tolist() == [1, 0]
    assert keras_mm.ClassLabel().adapt(pd.Series([1.0, 2.0])).encode(
        column(2, "1")
    ).tolist() == [1, 0]


def test_labels_that_are_wrong():
    label = keras_mm.ClassLabel().adapt(column("a", "b"))
    with pytest.raises(
        ValueError, match=r"not made for in rows 1, 3 .*Received: y='c'$"
    ):
        label.encode(column("a", "c", "b", "d"), "y")
    with pytest.raises(ValueError, match=r"no label in rows 0, 2 .*Received: y=nan$"):
        label.encode(column(float("nan"), "a", None), "y")
    for use in (label.encode, keras_mm.ClassLabel().adapt):
        with pytest.raises(ValueError, match="not UTF-8 in row 1 .*Received: y=b'"):
            use(column("a", b"\xff"), "y")
    for cells in (column("a", "a"), column(None, float("nan")), column("a", None)):
        with pytest.raises(ValueError, match="at least two classes.*Received: y="):
            keras_mm.ClassLabel().adapt(cells, "y")
    with pytest.raises(ValueError, match="Received: num_classes=2"):
        keras_mm.ClassLabel(num_classes=2).adapt(column("a", "b", "c"))
    with pytest.raises(ValueError, match="Received: num_classes=1"):
        keras_mm.ClassLabel(num_classes=1)


def test_given_class_names_stay():
    label = keras_mm.ClassLabel(class_names=["dog", "cat", "owl"])
    assert label.adapt(column("cat", "dog")).class_names == ["dog", "cat", "owl"]
    # Indices, as TensorFlow Datasets gives them, mean the same everywhere.
    assert label.adapt(column(0, 2, 1)).class_names == ["dog", "cat", "owl"]
    assert label.encode(column(0, "2", 1.0, "owl")).tolist() == [0, 2, 1, 2]
    for wrong in (column("cat", "fox"), column(1, 2, 3)):
        with pytest.raises(ValueError, match="not among the given class_names.*Recei"):
            label.adapt(wrong)
    for wrong in (3, -1, True, "00"):
        with pytest.raises(ValueError, match=r"not made for in row 1 .*Received: y="):
            label.encode(column(1, wrong), "y")
    # Names win.
    label = keras_mm.ClassLabel(class_names=["2", "1", "0"])
    assert label.encode(column(0, "1", 2.0)).tolist() == [2, 1, 0]
    # Learned names are no list that anybody has numbered.
    fresh = keras_mm.ClassLabel().adapt(column("a", "b"))
    for label in (fresh, keras_mm.ClassLabel.from_config(fresh.get_config())):
        with pytest.raises(ValueError, match="not made for in row 0 .*Received: y=1"):
            label.encode(column(1, "a"), "y")
    # A table with other classes is learned anew.
    assert fresh.adapt(column("b", "c")).class_names == ["b", "c"]


def test_given_names_are_read_as_cells_are():
    label = keras_mm.ClassLabel(class_names=[1, 2.0, True])
    assert label.names == ["1", "2", "True"]
    assert label.encode(column(2, "1", True)).tolist() == [1, 0, 2]
    assert keras_mm.MultiLabel([3, 4]).encode(column([4], "3")).tolist() == [
        [0, 1],
        [1, 0],
    ]
    category = keras_mm.Category([10, 20])
    assert category.preprocess(category.to_raw(column(20, "10"))).numpy().tolist() == [
        [3],
        [2],
    ]
    for make in (keras_mm.ClassLabel, keras_mm.MultiLabel, keras_mm.Category):
        name = "vocabulary" if make is keras_mm.Category else "class_names"
        with pytest.raises(ValueError, match=f"same twice.*Received: {name}="):
            make(**{name: ["1", 1, 2]})


def test_outputs_without_a_name_are_numbered():
    label = keras_mm.ClassLabel(num_classes=4).adapt(column("a", "b"))
    assert label.num_classes == 4 and label.names == ["a", "b", "2", "3"]
    assert keras_mm.ClassLabel.from_config(label.get_config()).names == label.names


def test_numbered_classes_keep_their_numbers():
    label = keras_mm.ClassLabel(3).adapt(column(0, 2, 0))
    assert label.names == ["0", "1", "2"]
    assert label.encode(column(2, 0)).tolist() == [2, 0]
    # A name is one output's alone.
    label = keras_mm.ClassLabel(4, class_names=["2", "x"])
    assert label.names == ["2", "x", "3", "4"]
    # Python's float() reads "nan", and no order has a place for it.
    assert keras_mm.ClassLabel().adapt(column("nan", "2", "10")).names == [
        "10",
        "2",
        "nan",
    ]
    assert keras_mm.ClassLabel(class_names=["nan", "x"]).encode(column(1)) == [1]


def test_dates_are_names_without_midnight():
    days = pd.Series(pd.to_datetime(["2024-05-01", "1999-12-31"]))
    label = keras_mm.ClassLabel().adapt(days)
    assert label.names == ["1999-12-31", "2024-05-01"]
    for cells in (
        days.dt.date,
        days.astype(str),
        column("2024-05-01 00:00:00", "1999-12-31T00:00:00.000"),
        column(*days.to_numpy()),
    ):
        assert label.encode(cells).tolist() == [1, 0]
    assert to_text(pd.Timestamp("2024-05-01 13:30")) == "2024-05-01 13:30:00"


@pytest.mark.parametrize(
    "name, spellings",
    {
        "2024-05-01 10:30:00": ["2024-05-01T10:30:00.000", "2024-05-01 10:30:00"],
        "2024-05-01 10:30:00.5": ["2024-05-01T10:30:00.500", "2024-05-01 10:30:00.50"],
        "2024-05-01 00:00:00+00:00": ["2024-05-01T00:00:00.000Z"],
        "2024-05-01 10:30:00+02:00": ["2024-05-01T10:30:00.000+02:00"],
        "2024-05-01": ["2024-05-01T00:00:00"],
        "2024-05-01 10:3": ["2024-05-01 10:3"],
    }.items(),
)
def test_times_have_one_name(name, spellings):
    category = keras_mm.Category([name, "other"])
    for text in [name, *spellings]:
        assert to_name(text) == name
        # A request's string goes through the graph alone.
        assert category.preprocess([text.encode()]).numpy().tolist() == [[2]]
    if len(name) > 18:
        assert to_name(pd.Timestamp(name)) == name


@pytest.mark.parametrize("value", [keras_mm.Vector(2), keras_mm.Sequence(3, 2)])
def test_spaces_and_words_are_no_numbers(value):
    raw = value.to_raw(column([1.0, 2.0], "  ", "nan", b" ")[1:].reset_index(drop=True))
    assert raw.shape[0] == 3 and np.isnan(raw).all()
    assert keras_mm.Graph(3, 2).to_raw(column(" ")).shape[0] == 1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_of_any_width_are_names_as_they_are_written(dtype):
    narrow = pd.Series([0.1, None, 3.0], dtype=dtype)
    kinds = [str] if dtype == "float16" else [str, "category"]
    for cells in (narrow, *map(narrow.astype, kinds)):
        raw = keras_mm.Category().to_raw(cells[[0, 2]].reset_index(drop=True))
        assert raw.tolist() == [b"0.1", b"3"]
    tags = keras_mm.MultiLabel(["0.1", "3"])
    assert tags.encode(narrow[[0, 2]]).tolist() == [[1, 0], [0, 1]]


# --- one element, and several ---------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda c: [c], lambda c: np.array([[c]])])
def test_a_list_of_one_is_its_element(wrap):
    for value, cell, raw in (
        (keras_mm.Category(["x"]), "x", b"x"),
        (keras_mm.Text(), "x", b"x"),
        (keras_mm.Date(), "2024-05-01", b"2024-05-01"),
        (keras_mm.Number(), 0.125, 0.125),
    ):
        assert value.to_raw(column(wrap(cell), None)).tolist()[0] == raw
    label = keras_mm.ClassLabel(class_names=["x", "y"])
    assert label.encode(column(wrap("y"))).tolist() == [1]


@pytest.mark.parametrize(
    "cell",
    [["a", "b"], np.array(["a", "b"]), {"a": 1}, {"a", "b"}],
    ids=["list", "array", "dict", "set"],
)
def test_several_texts_are_no_name(cell):
    for value in (keras_mm.Category(["x"]), keras_mm.Text()):
        with pytest.raises(ValueError, match="no single text .* row 1 .*Received: c="):
            value.to_raw(column("x", cell), "c")
        assert value.to_raw(column("x", cell), on_unreadable="missing").tolist() == [
            b"x",
            b"",
        ]
    with pytest.raises(ValueError, match="no single text .* row 1 "):
        keras_mm.ClassLabel(class_names=["x", "y"]).encode(column("x", cell))


# --- several labels ------------------------------------------------------------


def test_multi_label():
    cells = column(
        "red|round", ["red"], "", [], "round | small", ("small",), np.array(["red"])
    )
    tags = keras_mm.MultiLabel().adapt(cells)
    assert tags.class_names == ["red", "round", "small"]
    assert tags.encode(cells).tolist() == [
        [1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0],
    ]  # fmt: skip


def test_labels_are_names_and_missing_ones_none():
    cells = column(["a", None], [1.0, float("nan")], "['a', None]", "1.0|b", [None])
    tags = keras_mm.MultiLabel().adapt(cells)
    assert tags.class_names == ["1", "a", "b"]
    assert tags.encode(cells).tolist() == [
        [0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 0]
    ]  # fmt: skip
    for cell in ({"a": 1}, [["a", "b"], "a"]):
        with pytest.raises(ValueError, match="a list of labels in row 1 "):
            tags.encode(column("a", cell))


def test_multi_label_that_is_wrong():
    tags = keras_mm.MultiLabel(["a", "b"])
    with pytest.raises(
        ValueError, match=r"no labels.*rows 1, 2 .*Received: tags=None$"
    ):
        tags.encode(column("a", None, float("nan")), "tags")
    with pytest.raises(
        ValueError, match=r"not made for in row 1 .*Received: tags='a\|z'$"
    ):
        tags.encode(column("a", "a|z"), "tags")
    with pytest.raises(ValueError, match="Received: tags with 2 empty"):
        keras_mm.MultiLabel().adapt(column(None, ""), "tags")
    assert keras_mm.MultiLabel(["b", "a"]).adapt(column("a")).class_names == ["b", "a"]
    again = keras_mm.MultiLabel.from_config(
        keras_mm.MultiLabel(["x"], ";", 0.3).get_config()
    )
    assert (again.names, again.separator, again.threshold) == (["x"], ";", 0.3)
