"""Lists and dicts that text files spell, and what numbers they hold."""

import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm.inputs.cells import to_number
from keras_mm.inputs.literals import from_text


@pytest.mark.parametrize(
    "cell",
    [
        [1, 2.5],
        ["a", "b, c's"],
        ("a", "b"),
        [["a"], []],
        np.array([0.5, 2, -1e30]),
        np.array(["v0.png", "v 1.png"]),
        np.array([[1.0, 2.0], [3.0, 4.0]]),
        [np.float64(0.5), None, True],
        [np.array([1.0]), np.array([2.0], "float32")],
        {"nodes": [[6.0], [8.0]], "edges": np.array([[0, 1]])},
    ],
)
def test_what_to_csv_writes_is_read(cell, tmp_path):
    pd.DataFrame({"cell": [cell]}).to_csv(tmp_path / "t.csv")
    read = from_text(keras_mm.data.to_table(tmp_path / "t.csv")["cell"][0])

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        if isinstance(value, (list, tuple, np.ndarray)):
            return [plain(part) for part in value]
        return value

    assert plain(read) == plain(cell)


@pytest.mark.parametrize(
    "cell",
    ["[sic]", "[1", "(1999)", "[1,,2]", "{a}", "['a'] and ['b']", "[1_0]", "[]]"]
    + ["{[1]: 2}", str(np.arange(2000)), "[" * 4000 + "]" * 4000, "b[1]", ""],
)
def test_other_text_stays_text(cell):
    assert from_text(cell) is cell


@pytest.mark.parametrize(
    "text, number",
    [("1.5", 1.5), (" 2e3 ", 2000), (b"-.5", -0.5), ("007", 7), ("True", 1)]
    + [("false", 0), ("NA", None), ("nan", None), ("N/A", None), ("null", None)],
)
def test_numbers_in_text(text, number):
    assert np.array_equal(
        to_number(text), number or 0 if number is not None else np.nan, True
    )


@pytest.mark.parametrize("text", ["18_19", "1,5", "one", "0x10", "１"])
def test_text_that_is_no_number(text):
    with pytest.raises(ValueError):
        to_number(text)


def test_cells_of_a_csv_file_give_the_same_raw_values(tmp_path):
    table = pd.DataFrame(
        {
            "vector": [[0.1, 0.2], None, np.array([1.0, 2.0])],
            "sequence": [[1, 2, 3], [np.nan, 4.0], []],
            "graph": [{"nodes": [[1.0]], "edges": [[0, 0]]}, None, None],
            "number": [True, 1.5, None],
            "date": pd.Series(["2024-05-01", None, "NaT"]),
            "texts": [["a", None], ("b",), "c"],
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    read = keras_mm.data.to_table(tmp_path / "t.csv")
    inputs = {
        "vector": keras_mm.Vector(2),
        "sequence": keras_mm.Sequence(3),
        "graph": keras_mm.Graph(1, 1),
        "number": keras_mm.Number(),
        "date": keras_mm.Date(),
        "texts": keras_mm.Text(num_texts=2),
    }
    for name, value in inputs.items():
        raw, again = (value.to_raw(source[name]) for source in (table, read))
        if raw.dtype == object:
            assert raw.tolist() == again.tolist(), name
        else:
            np.testing.assert_array_equal(raw, again, name)


def test_lists_of_labels():
    target = keras_mm.MultiLabel(class_names=["blue", "red", "round"])
    forms = (["red", "round"], "['red', 'round']", '["red", "round"]', "red|round")
    forms += ([0, 1, 1], "[0, 1, 1]", np.array([0.0, 1.0, 1.0]), "[False, True, True]")
    codes = target.encode(pd.Series([*forms, [], "[]"], dtype=object))
    assert codes[:-2].tolist() == [[0, 1, 1]] * len(forms) and not codes[-2:].any()
    learned = keras_mm.MultiLabel().adapt(pd.Series(["[0, 1, 1]", "[1, 0, 0]"]))
    assert learned.class_names == ["0", "1", "2"]
    assert learned.encode(pd.Series(["[1, 0, 1]"])).tolist() == [[1, 0, 1]]
    # Labels that are called 0 and 1 stay labels.
    ids = keras_mm.MultiLabel().adapt(pd.Series([[0, 1], [1], [2]]))
    assert ids.encode(pd.Series([[0, 1], [2]])).tolist() == [[1, 1, 0], [0, 0, 1]]
    with pytest.raises(ValueError, match="Name the labels.*Received: y="):
        keras_mm.MultiLabel().adapt(pd.Series([[0, 1], [1, 1]]), "y")
