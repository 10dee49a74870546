"""Cells -> what a server gets: as they are trained on."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from keras_mm.inputs.sounds import array_samples, encode_samples
from keras_mm.serving.requests import (
    find_columns,
    raw_batches,
    raw_strings,
    replace_missing_cells,
)

from ..helpers import encode_picture, random_pixels


def test_words_of_a_table_are_those_of_each_input():
    inputs = {name: ("string", [None]) for name in ("day", "code")}
    inputs |= {"price": ("double", [None]), "series": ("double", [None, 1])}
    columns, outputs = {name: name for name in inputs}, {"day_is_date": "bool"}
    table = pd.DataFrame({name: ["-999.00", "-999", "?"] for name in inputs})
    table["series"] = [[-999.0], [1.0], "?"]
    found = replace_missing_cells(table, columns, inputs, outputs, ["-999", "?"])
    assert found["day"].tolist() == found["price"].tolist() == [None] * 3
    assert found["code"].tolist() == ["-999.00", None, None]
    assert found["series"].tolist() == [[-999.0], [1.0], None]


def test_pictures_and_sounds_of_any_form_are_sent(tmp_path):
    pixels = random_pixels()
    tiff = encode_picture(pixels, "TIFF")
    (tmp_path / "a.tif").write_bytes(tiff)
    samples = np.array([0.5, -0.5, 0.25])
    sound = encode_samples(array_samples(samples), 8000)
    cells = [
        tiff,
        "a.tif",
        {"bytes": tiff, "path": None},
        Pillow.fromarray(pixels),
        encode_picture(pixels),
        {"array": samples, "sampling_rate": 8000},
        {"bytes": sound, "path": "gone.wav"},
        tiff[:-50],
        {"bytes": None, "path": None},
    ]
    column = pd.Series(cells, dtype=object)
    *pictures, array, kept, broken, missing = raw_strings(
        column, "x", True, base_dir=tmp_path
    )
    for sent in pictures:
        np.testing.assert_array_equal(Pillow.open(io.BytesIO(sent)), pixels)
        assert sent.startswith(b"\x89PNG")
    assert array == kept == sound
    # Whether it can be read is the server's to say.
    assert broken == tiff[:-50] and missing == ""


def test_only_what_the_model_says_is_a_file():
    """A target may be called like the answer of a picture: it is no bool."""
    table = pd.DataFrame({"text": ["a.png"]})
    inputs = {"text": ("string", [None])}
    columns = {"text": "text"}
    (raw,) = raw_batches(table, columns, inputs, {"text_ok": "float32"})
    assert raw == {"text": ["a.png"]}
    with pytest.raises(ValueError, match="No such file"):
        list(raw_batches(table, columns, inputs, {"text_ok": "bool"}))


def test_a_column_that_is_only_called_alike_is_left_aside():
    names, trained = ["a", "b_c"], {"a": "a", "b_c": "b c"}
    columns = ["a", "a!", "b c", "b_c"]
    assert find_columns(columns, names, trained) == {"a": "a", "b_c": "b c"}
    assert find_columns(["a", "b_c", "b-c"], names, trained)["b_c"] == "b_c"
    with pytest.raises(ValueError, match="would both be read as 'a'"):
        find_columns(columns, names)
