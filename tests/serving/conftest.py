"""A retriever that takes no time, and rows for it."""

import pytest

import keras_mm

from ..helpers import make_table, small_encoders


@pytest.fixture(scope="module")
def retriever():
    table = make_table(30, missing=False)
    schema = keras_mm.Schema(
        {
            "image": keras_mm.Image((12, 12), augmentation=None),
            "text": keras_mm.Text(sequence_length=6),
        }
    ).adapt(table)
    encoders = {name: small_encoders()[name] for name in ("image", "text")}
    return keras_mm.build_retriever(schema, encoders=encoders, units=8, seed=0)


@pytest.fixture(scope="module")
def rows():
    """Two of twelve have no picture."""
    table = make_table(12)
    table["id"] = [f"number {row}" for row in range(12)]
    return table
