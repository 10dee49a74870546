"""Tables from everywhere, splits, schemas, and what is inferred."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import keras_mm
from keras_mm import data
from keras_mm.data.weights import row_weights

from ..helpers import encode_picture, make_table, random_pixels

# --- reading -------------------------------------------------------------------


def test_every_kind_of_source(tmp_path):
    frame = pd.DataFrame({"n": [1.5, None], "t": ["a", "ü"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    sources = [frame, {"n": [1.5, None], "t": ["a", "ü"]}, str(tmp_path / "t.csv")]
    sources += [tmp_path / name for name in ("t.csv", "t.tsv", "t.parquet", "t.jsonl")]
    for source in sources:
        table = data.to_table(source)
        assert list(table.columns) == ["n", "t"] and table["t"].tolist() == ["a", "ü"]
        # Text files hold text; a number reads it.
        assert table["n"][0] in (1.5, "1.5") and pd.isna(table["n"][1])
        numbers = keras_mm.Number().to_raw(table["n"])
        assert numbers[0] == 1.5 and np.isnan(numbers[1])


def test_arrays_become_cells():
    pictures = np.zeros((3, 4, 5, 3), "uint8")
    table = data.to_table({"image": pictures, "n": np.arange(3)})
    assert table["image"][2].shape == (4, 5, 3)


def test_duplicate_and_shuffled_index_are_dropped():
    frame = pd.DataFrame({"n": [1, 2, 3]}, index=[7, 7, 0])
    table = data.to_table(frame)
    assert table.index.tolist() == [0, 1, 2] and table["n"].tolist() == [1, 2, 3]
    assert frame.index.tolist() == [7, 7, 0]


def test_series_of_a_dict_go_by_place():
    n = pd.Series([1, 2, 3], index=[5, 6, 7])
    t = pd.Series(list("abc"), index=[7, 6, 5])
    for source in ({"n": n, "t": t}, {"n": n, "t": ["a", "b", "c"]}):
        assert data.to_table(source).values.tolist() == [[1, "a"], [2, "b"], [3, "c"]]
    with pytest.raises(ValueError, match="list or array.*Received: n="):
        data.to_table({"n": {7: 1}, "t": {8: 2}})


@pytest.mark.parametrize(
    "source, message",
    [
        (pd.DataFrame({"n": []}), r"no rows.*Received: columns=\['n'\]"),
        (
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            r"same name.*Received: columns=\['a'\]",
        ),
        ({"a": [1], "b": [1, 2]}, "same length.*Received: lengths="),
        ({"a": "text"}, "Received: a='text'"),
        ({"a": 3}, "Received: a=3"),
        (7, "Received: table of type int"),
        ("no/such.csv", "no such file.*Received: table='no/such.csv'"),
    ],
)
def test_no_table(source, message):
    with pytest.raises(ValueError, match=message):
        data.to_table(source)


def test_files_that_are_no_table(tmp_path):
    for name, content in {
        "a.parquet": b"junk",
        "a.csv": b"",
        "a.jsonl": b"{",
        "a.xml": b"<a/>",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"Received: table='.*{name}'$"):
            data.to_table(tmp_path / name)
    (tmp_path / "latin.csv").write_bytes(b"t,n\ncaf\xe9,1\n")
    with pytest.raises(ValueError, match="UTF-8.*encoding='cp1252'.*Received: table="):
        data.to_table(tmp_path / "latin.csv")


def test_clipart():
    table = data.clipart()
    assert len(table) == 1409 and table["category"].nunique() == 9
    assert table.groupby("group")["split"].nunique().max() == 1
    train, validation, test = data.split(table, by="split")
    assert len(train) + len(validation) + len(test) == 1409
    assert data.overlap(train, test, "image") == 0


def test_folder(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for i in range(2):
            (tmp_path / label / f"{i}.PNG").write_bytes(
                encode_picture(random_pixels(i))
            )
        (tmp_path / label / "notes.md").write_text("no picture")
    (tmp_path / "cat" / "0.txt").write_text(" a cät \n", encoding="utf-8")
    # What computers put into folders by themselves.
    (tmp_path / ".ipynb_checkpoints").mkdir()
    for name in (".ipynb_checkpoints/0.png", "cat/._0.png"):
        (tmp_path / name).write_bytes(encode_picture(random_pixels(1)))
    with pytest.warns(UserWarning, match=": 2 files .md, 2 hidden.$"):
        table = data.from_folder(tmp_path)
    assert table["label"].tolist() == ["cat", "cat", "dog", "dog"]
    assert table["text"][0] == "a cät" and table["text"].isna().sum() == 3
    schema = keras_mm.Schema(
        {"image": keras_mm.Image(8)}, {"label": keras_mm.ClassLabel()}
    )
    inputs, labels = next(iter(data.to_dataset(table, schema.adapt(table))))
    assert np.isfinite(inputs["image"]).all() and labels.numpy().tolist() == [
        0,
        0,
        1,
        1,
    ]
    (tmp_path / "cat" / "0.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match="not UTF-8.*Received: path='.*0.txt'"):
        data.from_folder(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        data.from_folder(tmp_path / "none")
    with pytest.raises(ValueError, match="one sub-folder of images"):
        data.from_folder(tmp_path / "cat")


# --- splits --------------------------------------------------------------------


@given(
    rows=st.integers(6, 60),
    groups=st.integers(3, 12),
    classes=st.integers(2, 4),
    seed=st.integers(0, 99),
    use_groups=st.booleans(),
    use_classes=st.booleans(),
    two=st.booleans(),
)
def test_split_is_a_partition(
    rows, groups, classes, seed, use_groups, use_classes, two
):
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "row": range(rows),
            "group": random.integers(0, groups, rows),
            "class": random.integers(0, classes, rows),
        }
    )
    assume(table["group"].nunique() >= 3)
    kwargs = {
        "fractions": (0.7, 0.3) if two else (0.6, 0.2, 0.2),
        "groups": "group" if use_groups else None,
        "stratify": "class" if use_classes else None,
        "seed": seed,
    }
    try:
        parts = data.split(table, **kwargs)
    except ValueError as error:
        assert "fewer groups than parts" in str(error)
        # Too few rows of a class, or groups, for three folds.
        assert table["class"].value_counts().max() < 3 or use_groups
        return
    assert len(parts) == (2 if two else 3) and all(len(part) for part in parts)
    assert sorted(pd.concat(parts)["row"]) == list(range(rows))
    if use_groups:
        seen = [set(part["group"]) for part in parts]
        assert sum(map(len, seen)) == len(set.union(*seen))
    for part, again in zip(parts, data.split(table, **kwargs)):
        pd.testing.assert_frame_equal(part, again)


def test_split_sizes_and_classes():
    table = pd.DataFrame({"class": [0, 1] * 100, "row": range(200)})
    parts = data.split(table, stratify="class", seed=3)
    assert [len(part) for part in parts] == [120, 40, 40]
    assert [part["class"].mean() for part in parts] == [0.5, 0.5, 0.5]
    other = data.split(table, stratify="class", seed=4)
    assert set(parts[0]["row"]) != set(other[0]["row"])


def test_split_with_missing_groups_and_labels():
    table = {"g": ["a", None, "b", "c", float("nan")] * 4, "y": ["u", None] * 10}
    parts = data.split(table, groups="g", fractions=(0.5, 0.5))
    assert sum(part["g"].isna().any() for part in parts) == 1
    parts = data.split(table, stratify="y")
    assert sum(map(len, parts)) == 20 and all(part["y"].isna().any() for part in parts)


def test_split_by():
    table = pd.DataFrame({"s": ["train", "VAL", "test", "Train"], "n": range(4)})
    train, validation, test = data.split(table, by="s")
    assert train["n"].tolist() == [0, 3] and validation["n"].tolist() == [1]
    assert len(data.split(table[table["s"] != "test"], by="s")) == 2
    for wrong in ("holdout", None):
        with pytest.raises(ValueError, match="Received: s="):
            data.split({"s": ["train", wrong, "x"]}, by="s")


@pytest.mark.parametrize("kwargs, message", [
    ({"fractions": (0.5, 0.4)}, "Received: fractions="),
    ({"fractions": (1.2, -0.2)}, "Received: fractions="),
    ({"groups": "nn"}, r"no column 'nn'. Did you mean 'n'\?"),
    ({"groups": "one"}, "cannot be split. Received: 1 groups"),
    ({"groups": "two"}, "fewer groups than parts"),
])  # fmt: skip
def test_split_errors(kwargs, message):
    table = {"n": list(range(10)), "one": ["a"] * 10, "two": ["a", "b"] * 5}
    with pytest.raises(ValueError, match=message):
        data.split(table, **kwargs)


def test_overlap_counts_rows_of_the_second():
    first, second = random_pixels(1), random_pixels(2)
    train = {"image": [first, None, encode_picture(first), "a.png"]}
    test = {
        "image": [first, first, second, None, encode_picture(first), "a.png", "b.png"]
    }
    assert data.overlap(train, test, "image") == 4


# --- schemas -------------------------------------------------------------------


def test_schema_errors():
    text, label = keras_mm.Text(), keras_mm.ClassLabel()
    for inputs, targets, message in (
        ({}, {"y": label}, "at least one input"),
        ({"y": text}, {"y": label}, "both an input and a target.*Received: inputs="),
        ({"a": text}, {"y": label, "y_classes": label}, "Rename one of them"),
        ({"a": keras_mm.Text}, {"y": label}, r"Received: inputs\['a'\]="),
        ({"a": text}, {"y": text}, r"Received: targets\['y'\]="),
        ({"a/b": text, 3: text}, {"y": label}, r"Received: names=\['a/b', 3\]"),
    ):
        with pytest.raises(ValueError, match=message):
            keras_mm.Schema(inputs, targets)


def test_several_targets_are_inferred_and_kept(table):
    table.loc[[1, 4], "category"] = None
    table.loc[2, "price"] = np.nan
    schema = keras_mm.infer_schema(
        table, ["category", "price"], inputs=["text"], verbose=False
    )
    again = keras_mm.Schema.from_config(schema.get_config())
    for found in (schema, again):
        assert list(found.targets) == ["category", "price"]
        assert found.targets["category"].class_names == ["apple", "basil", "cloud"]
        np.testing.assert_allclose(found.targets["price"].mean, table.price.mean())
        with pytest.raises(
            ValueError, match=r"no single target.*Received: targets=\['category', 'pri"
        ):
            assert found.target_name
    with pytest.raises(ValueError, match="Received: target=.*inputs="):
        keras_mm.infer_schema(table, ["category", "price"], inputs=["price"])


def test_schema_round_trip_and_modalities(table):
    schema = keras_mm.infer_schema(table, "category", image_size=8, verbose=False)
    again = keras_mm.Schema.from_config(schema.get_config())
    assert again.describe() == schema.describe()
    assert list(again.inputs) == list(schema.inputs)
    others = {"image": ["image"], "text": ["text"]}
    numbers, table_columns = ["price", "weight"], ["price", "weight", "shop"]
    assert schema.modalities() == {**others, "tabular": table_columns}
    # A column alone keeps its name, unless the name of its group is asked for.
    two = schema.modalities(own=["numbers"])
    assert two == {**others, "numbers": numbers, "shop": ["shop"]}
    two = schema.modalities(own=["categories"])
    assert two == {**others, "numbers": numbers, "categories": ["shop"]}
    own = schema.modalities(own=["price", "weight"])
    assert own == {**others, "price": ["price"], "weight": ["weight"], "shop": ["shop"]}


def test_absent_column_is_named():
    schema = keras_mm.Schema(
        {"txet": keras_mm.Text()}, {"category": keras_mm.ClassLabel()}
    )
    with pytest.raises(
        ValueError, match=r"no column 'txet'. Did you mean 'text'\? Received: columns="
    ):
        schema.adapt(make_table())


def test_infer(table, capsys):
    table = table.assign(
        empty=None, same="x", code=[f"id{i:03}" for i in range(24)], flag=[True, False] * 12,
        sound=[b"RIFF"] * 24,
    )  # fmt: skip
    schema = keras_mm.infer_schema(table, "category", exclude=["weight"], image_size=8)
    kinds = {name: type(value).__name__ for name, value in schema.inputs.items()}
    assert kinds == {
        "image": "Image", "text": "Text", "price": "Number", "shop": "Category", "flag": "Category",
    }  # fmt: skip
    assert schema.is_adapted and schema.target.class_names == [
        "apple",
        "basil",
        "cloud",
    ]
    printed = capsys.readouterr().out
    for name in ("empty", "same", "code", "sound"):
        assert f"{name} left out: " in printed
    with pytest.raises(
        ValueError, match="empty: every cell is missing.*Received: inputs="
    ):
        keras_mm.infer_schema(table, "category", inputs=["text", "empty"])
    with pytest.raises(
        ValueError, match="target cannot be an input.*Received: target="
    ):
        keras_mm.infer_schema(table, "category", inputs=["text", "category"])


@pytest.mark.parametrize("target, kind", [
    (["a", "b"] * 12, "ClassLabel"), ([0, 1, 2] * 8, "ClassLabel"), ([True, False] * 12, "ClassLabel"),
    (np.linspace(0, 1, 24), "NumberTarget"), (list(range(24)), "NumberTarget"), ([0.0, 1.0] * 12, "ClassLabel"),
    ([["a"], ["a", "b"]] * 12, "MultiLabel"),
])  # fmt: skip
def test_infer_targets(table, target, kind):
    table = table.assign(y=target)
    schema = keras_mm.infer_schema(table, "y", inputs=["text"], verbose=False)
    assert type(schema.target).__name__ == kind


@pytest.mark.parametrize("target, message", [
    ([None] * 24, "is empty. Received: target='y'"),
    (["a"] * 24, r"at least two classes.*Received: y=\['a'\]"),
    ([f"t{i}" for i in range(24)], "different text in most rows"),
])  # fmt: skip
def test_infer_refuses_targets(table, target, message):
    with pytest.raises(ValueError, match=message):
        keras_mm.infer_schema(
            table.assign(y=target), "y", inputs=["text"], verbose=False
        )


def test_one_broken_picture_does_not_hide_the_column(table):
    table.loc[3, "image"] = table.loc[4, "image"][:30]
    schema = keras_mm.infer_schema(table, "category", verbose=False)
    assert isinstance(schema.inputs["image"], keras_mm.Image)
    with pytest.raises(ValueError, match=r"Column 'image'.* in row 3 "):
        data.to_dataset(table, schema)


def test_numbers_as_text_can_be_numbers():
    table = {"n": ["1.5", "2", None], "y": ["a", "b", "a"]}
    schema = keras_mm.Schema(
        {"n": keras_mm.Number()}, {"y": keras_mm.ClassLabel()}
    ).adapt(table)
    assert schema.inputs["n"].mean == 1.75


def test_stratifying_by_numbers_is_refused():
    table = pd.DataFrame({"price": np.arange(20.0)})
    with pytest.raises(ValueError, match="Received: stratify='price'"):
        keras_mm.data.split(table, stratify="price")


def test_columns_called_by_numbers():
    frame = pd.DataFrame([[1.5, "a"], [2.5, "b"], [4.0, "a"]])
    assert list(data.to_table(frame)) == ["0", "1"]
    assert list(data.to_table({np.int64(3): [1]})) == ["3"]
    for kwargs in ({}, {"inputs": [0]}, {"types": {0: keras_mm.Number()}}):
        schema = keras_mm.infer_schema(frame, target=1, verbose=False, **kwargs)
        assert list(schema.inputs) == ["0"] and list(schema.targets) == ["1"]
    with pytest.raises(ValueError, match="at least one input"):
        keras_mm.infer_schema(frame, target=1, exclude=[0], verbose=False)
    train, test = data.split(frame, fractions=(0.6, 0.4), groups=1)
    assert not set(train["1"]) & set(test["1"])
    assert row_weights(data.to_table(frame), 0).tolist() == [1.5, 2.5, 4.0]
    with pytest.raises(ValueError, match="Tensors have no column.*sample_weight='0'"):
        row_weights(np.zeros(3), 0)
    (inputs, labels), *_ = data.to_dataset(frame, schema).as_numpy_iterator()
    assert inputs["0"].shape == (3, 1) and labels.tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="'_'.join.*Received: column \\('a', 'b'\\)"):
        data.to_table(pd.DataFrame({("a", "b"): [1]}))
    with pytest.raises(ValueError, match="same name.*Received: columns=\\['1'\\]"):
        data.to_table(pd.DataFrame({1: [1], "1": [2]}))
    assert list(frame) == [0, 1]
