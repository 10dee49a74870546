"""What columns are, by their cells: stored in whatever way, the same."""

import decimal
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

import keras_mm
from keras_mm.data.column_kinds import present_cells
from keras_mm.data.infer_target import target_for
from keras_mm.data.raw import read_files
from keras_mm.serving.requests import raw_strings
from keras_mm.train_command import _labels

from ..helpers import encode_picture, random_pixels

ROWS = 24


def kinds(table, **kwargs):
    """Names of the inputs' types; a column that tells nothing keeps the table whole."""
    table = pd.DataFrame(table).assign(filler=[1.0, 2.5] * (ROWS // 2))
    schema = keras_mm.infer_schema(
        table.assign(label=["a", "b"] * (ROWS // 2)), "label", image_size=8, **kwargs
    )
    found = {name: type(value).__name__ for name, value in schema.inputs.items()}
    assert found.pop("filler") == "Number"
    return found


def test_float32_labels_are_those_of_a_file():
    column = pd.Series([0.1, 0.2, 0.1], dtype="float32")
    kinds = {"y": keras_mm.ClassLabel()}
    assert _labels(column.to_frame("y"), ["y"], kinds)[0] == {("y", "0.1")}
    assert list(map(str, present_cells(column))) == ["0.1", "0.2", "0.1"]


def test_the_same_from_a_frame_and_a_csv_file(tmp_path):
    numbers = np.random.default_rng(0).normal(size=ROWS).round(2)
    table = pd.DataFrame(
        {
            "price": numbers,
            "count": np.arange(ROWS),
            "gap": [None, *map(int, numbers[1:] * 100)],
            "exact": [decimal.Decimal(row) / 7 for row in range(ROWS)],
            "flag": [True, False] * (ROWS // 2),
            "zip": ["01234", "00501"] * (ROWS // 2),
            "country": ["NA", "DE"] * (ROWS // 2),
            "day": pd.date_range("2024-01-01", periods=ROWS),
            "vector": [[row, 0.5] for row in range(ROWS)],
            "array": [np.array([row, 0.5]) for row in range(ROWS)],
            "steps": [list(range(row + 1)) for row in range(ROWS)],
            "words": [["red", "round"], ["blue"]] * (ROWS // 2),
            "graph": [
                {"nodes": [[1.0]] * (row + 1), "edges": []} for row in range(ROWS)
            ],
            "file": [["a.png", "b.png"], ["c.png"]] * (ROWS // 2),
            "text": [f"some words and {row}" for row in range(ROWS)],
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    found = kinds(table, verbose=False)
    assert found == {
        "price": "Number", "count": "Number", "gap": "Number", "exact": "Number", "flag": "Category",
        "zip": "Category", "country": "Category", "day": "Date", "vector": "Vector", "array": "Vector",
        "steps": "Sequence", "words": "Text", "graph": "Graph", "file": "Image", "text": "Text",
    }  # fmt: skip
    assert kinds(keras_mm.data.to_table(tmp_path / "t.csv"), verbose=False) == found


def test_bytes_of_text_are_text():
    table = {
        "name": [b"red", b"blue"] * (ROWS // 2),
        "price": [f"{row}.5".encode() for row in range(ROWS)],
        "file": [f"{row}.png".encode() for row in range(ROWS)],
    }
    found = kinds(table, verbose=False)
    assert found == {"name": "Category", "price": "Number", "file": "Image"}


def test_odd_cells_are_said(capsys):
    table = {
        "price": ["?", *map(str, range(1, ROWS))],
        "country": ["NA", "DE"] * (ROWS // 2),
        "comma": [f"{row},5" for row in range(ROWS)],
        "long": [str(np.arange(2000) + row) for row in range(ROWS)],
        "thing": [object() for _ in range(ROWS)],
    }
    table["vector"] = [[1.0, 2.0], "?", *[[row, 0.5] for row in range(2, ROWS)]]
    found = kinds(table)
    assert found == {"price": "Number", "country": "Category", "vector": "Vector"}
    said = capsys.readouterr().out
    assert "price: '?' in row 0 cannot be read" in said
    assert "country: ['NA'] are taken for names" in said
    assert "comma left out: numbers with a decimal comma" in said
    assert "thing left out: " in said
    assert "long left out: NumPy has cut it short with '...'" in said
    with pytest.raises(ValueError, match="tolist.*in rows 0, 1"):
        keras_mm.Vector(2000).to_raw(pd.Series(table["long"]))


def test_digits_infinities_and_spaces(tmp_path, capsys):
    numbers = np.random.default_rng(0).normal(size=ROWS).round(2)
    table = pd.DataFrame(
        {
            "long": 10**17 + np.arange(ROWS) ** 2,
            "outlier": [12345678901234567, *range(1, ROWS)],
            "inf": np.where(np.arange(ROWS) % 6 == 0, np.inf, numbers),
            "odd": [
                "n.a." if row % 6 == 0 else str(numbers[row]) for row in range(ROWS)
            ],
            "spaces": [" " if row % 3 == 0 else str(row) for row in range(ROWS)],
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    for source in (table, keras_mm.data.to_table(tmp_path / "t.csv")):
        found = kinds(source)
        assert found.pop("odd") in ("Text", "Category")
        assert found == dict.fromkeys(("outlier", "inf", "spaces"), "Number")
        said = capsys.readouterr().out
        assert "'n.a.' in rows 0, 6, 12, 18 is not a number, and most" in said
        assert "long left out: a different code in every row\n" in said
        assert "inf" in said and "in rows 0, 6, 12, 18 cannot be read" in said
    for cells in (table["long"], table["long"].astype(str)):
        assert isinstance(target_for(cells, "y"), keras_mm.Number)


def test_an_index_is_no_input(tmp_path, capsys):
    path = tmp_path / "t.csv"
    pd.DataFrame({"n": np.random.default_rng(0).normal(size=ROWS)}).to_csv(path)
    for source in (keras_mm.data.to_table(path), pd.read_csv(path)):
        assert kinds(source) == {"n": "Number"}
        assert "Unnamed: 0 left out: the rows' numbers" in capsys.readouterr().out
        given = {"Unnamed: 0": keras_mm.Number()}
        assert kinds(source, types=given) == {"n": "Number", "Unnamed: 0": "Number"}


def test_pictures_and_sounds_in_any_form(tmp_path):
    encoded = encode_picture(random_pixels(0))
    picture = Pillow.open(io.BytesIO(encoded))
    for ending, kind in (
        ("jfif", "JPEG"),
        ("dib", "BMP"),
        ("webp", "WEBP"),
        ("tif", "TIFF"),
    ):
        picture.save(tmp_path / f"p.{ending}", kind)
    picture.save(tmp_path / "nameless", "PNG")
    (tmp_path / "notes.md").write_text("no picture")
    cells = {
        "pillow": picture, "pixels": random_pixels(0), "floats": random_pixels(0) / 255.0,
        "hub": {"bytes": encoded, "path": "x"}, "hub_path": {"bytes": None, "path": "x.png"},
        "jfif": "p.jfif", "dib": "p.dib", "webp": "p.webp", "tif": "p.tif", "nameless": "nameless", "heic": "not_there.heic",
    }  # fmt: skip
    sound = {"array": np.zeros(800), "sampling_rate": 8000}
    table = {name: [cell] * ROWS for name, cell in cells.items()}
    table |= {"sound": [sound] * ROWS, "notes": ["notes.md"] * ROWS}
    found = kinds(table, base_dir=tmp_path, verbose=False)
    assert found == {**dict.fromkeys(cells, "Image"), "sound": "Audio"}
    # What is inferred is read, in a table and to be sent to a server.
    audio, image = keras_mm.Audio(1, 8000), keras_mm.Image(8)
    wav = audio.to_raw(pd.Series([sound]))
    assert wav.tolist() == raw_strings([sound], "sound", is_file=True)
    del cells["heic"], cells["hub_path"]
    raw = read_files(image.to_raw(pd.Series(list(cells.values())), base_dir=tmp_path))
    sent = raw_strings(cells.values(), "picture", is_file=True, base_dir=tmp_path)
    pixels = [
        image.decode_array(np.array(each, object))[0].numpy() for each in (raw, sent)
    ]
    np.testing.assert_array_equal(*pixels)
    assert pixels[0].any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("cells, kind", [
    (["0", "1"] * 12, "ClassLabel"), (list(map(str, range(24))), "Number"), (["0.5", "1"] * 12, "Number"),
    (["01", "1"] * 12, "ClassLabel"), (["true", "false"] * 12, "ClassLabel"), (["['a', 'b']", "[]"] * 12, "MultiLabel"),
    (pd.Series(range(24), dtype="category"), "ClassLabel"), ([1, None, 2.0] * 8, "ClassLabel"),
])  # fmt: skip
def test_targets(cells, kind):
    assert type(target_for(pd.Series(cells), "y")).__name__ == kind


def test_types_are_what_they_are_said_to_be(capsys):
    table = {"zip": range(ROWS), "x": [0.5, 1.5] * (ROWS // 2), "y": range(ROWS)}
    schema = keras_mm.infer_schema(table, "y")
    assert schema.target.kind == "number"
    assert (
        "24 whole numbers are taken for numbers; if they are classes: types={'y'"
        in (capsys.readouterr().out)
    )
    types = {"y": keras_mm.ClassLabel(), "zip": keras_mm.Category()}
    schema = keras_mm.infer_schema(table, "y", types=types)
    assert (
        schema.target.num_classes == ROWS and schema.inputs["zip"].num_ids == ROWS + 2
    )
    assert "taken for" not in capsys.readouterr().out
    with pytest.raises(ValueError, match="no column 'zipp'. Did you mean 'zip'"):
        keras_mm.infer_schema(table, "y", types={"zipp": keras_mm.Category()})
