"""Columns of any name, and which cannot be told apart in an exported model."""

import pandas as pd
import pytest

import keras_mm
from keras_mm import ClassLabel, Date, Image, MultiLabel, Number
from keras_mm.names import served_name


@pytest.mark.parametrize(
    "column, served",
    [
        ("price", "price"),
        ("x_", "x_"),
        ("unit price (EUR)", "unit_price_EUR"),
        ("2nd", "column_2nd"),
        ("Größe", "Grosse"),
        ("naïve", "naive"),
        ("温度", "u6e29_u5ea6"),
        ("Sepal.Length", "Sepal_Length"),
        ("e-mail", "e_mail"),
        ("Unnamed: 0", "Unnamed_0"),
        ("_id", "id"),
        ("%", "column"),
        ("self", "column_self"),
        ("class", "column_class"),
        ("None", "column_None"),
    ],
)
def test_served_names(column, served):
    schema = keras_mm.Schema({column: Number(0.0, 1.0)}, {"y": ClassLabel(2)})
    assert schema.served_names == {column: served, "y": "y"}
    # What is a name already stays, so that a client may use either.
    assert served_name(served) == served
    assert (f"served as {served}" in schema.describe()) == (served != column)


def test_a_target_may_be_called_class():
    schema = keras_mm.Schema({"x": Number(0.0, 1.0)}, {"class": ClassLabel(2)})
    assert schema.served_names == {"x": "x", "class": "class"}


def test_all_that_cannot_be_named_comes_in_one_message():
    table = pd.DataFrame(
        {"km/h": range(6), "text-encoder": range(6), "x": range(6), "y": ["a", "b"] * 3}
    )
    with pytest.raises(
        ValueError, match="km_h.*text_encoder.*Received: names="
    ) as info:
        keras_mm.infer_schema(table, "y", verbose=False)
    # The call in the message mends it.
    call = str(info.value).partition("table.rename(columns=")[2].partition(")")[0]
    table = table.rename(columns=eval(call))
    schema = keras_mm.infer_schema(table, "y", verbose=False)
    assert list(schema.inputs) == ["km_h", "text_encoder", "x"]


@pytest.mark.parametrize("name", ["", " ", 3, "a/b", "fusion-input", "modality-fusion"])
def test_names_that_keras_cannot_have(name):
    with pytest.raises(ValueError, match="Rename the column.*Received: names="):
        keras_mm.Schema({name: Number()})


@pytest.mark.parametrize(
    "inputs, targets, match",
    [
        ({"a b": Number(), "a-b": Number()}, {}, "would both be 'a_b'"),
        ({"a b": Number()}, {"a_b": Number()}, "would both be 'a_b'"),
        ({"image": Image()}, {"image_ok": ClassLabel()}, "'image_ok', of the columns"),
        ({"an image": Image()}, {"an image ok": Number()}, "'an_image_ok', of"),
        ({"d": Date()}, {"d_is_date": ClassLabel()}, "'d_is_date', of the columns"),
        ({"x": Number()}, {"y": ClassLabel(), "y_classes": Number()}, "'y_classes'"),
        (
            {"x": Number()},
            {"y_probabilities": Number(), "y": MultiLabel()},
            "'y_probabilities'",
        ),
        ({"x": Number()}, {"raw_bytes": ClassLabel()}, "binary"),
        ({"x": Number()}, {"raw bytes": Number()}, "binary"),
    ],
)
def test_answers_that_would_be_lost(inputs, targets, match):
    with pytest.raises(ValueError, match=f"{match}.*Rename.*Received: "):
        keras_mm.Schema(inputs, targets)


def test_names_that_only_look_alike():
    """Inputs and outputs are apart, and a number that goes in answers nothing."""
    inputs = {"image": Image(), "y_classes": Number(), "photo_ok": Number()}
    schema = keras_mm.Schema(inputs, {"y": ClassLabel(), "photo": Number()})
    assert schema.targets["y"].answers("y").keys() == {
        "y",
        "y_classes",
        "y_probabilities",
    }
    assert schema.inputs["image"].answers("image").keys() == {"image_ok"}
