"""What a builder chooses from the columns and the number of rows."""

import keras
import numpy as np
import pytest

import keras_mm
from keras_mm.training import training_settings

from ..helpers import make_table, small_schema


@pytest.fixture(scope="module")
def schema():
    return small_schema(make_table(24))


def of(schema, *names):
    part = keras_mm.Schema(
        {name: schema.inputs[name] for name in names}, schema.targets
    )
    return keras_mm.build_classifier(part, seed=0)


def fusion_of(model):
    return model.get_layer("modality-fusion")


def test_numbers_and_categories_have_experts_with_hidden_layers(schema):
    model = of(schema, "text", "price", "weight", "shop")
    layer = fusion_of(model)
    assert model.modalities == {
        "text": ["text"],
        "tabular": ["price", "weight", "shop"],
    }
    assert isinstance(layer, keras_mm.fusion.Hybrid)
    assert layer.hidden_units == [128, 128] and layer.members == 16
    # The expert of the text has no hidden layer; the joint one reads all of it.
    assert layer.linear == [0]
    names = {hidden.name for hidden in layer.hidden}
    assert names == {"hidden_1", "hidden_1_1", "hidden_2", "hidden_1_2"}
    # The encoder leaves the hidden layer to them.
    assert not model.encoders["tabular"].trainable_weights
    alone = of(schema, "price", "shop")
    assert type(fusion_of(alone)) is keras_mm.fusion.LateMean
    assert fusion_of(alone).linear == [] and fusion_of(alone).members == 16


def test_without_numbers_nothing_is_hidden(schema):
    layer = fusion_of(of(schema, "image", "text"))
    assert isinstance(layer, keras_mm.fusion.Hybrid)
    assert (layer.hidden_units, layer.members) == (None, 1)
    assert isinstance(fusion_of(of(schema, "text")), keras_mm.fusion.Concat)


def test_what_is_asked_for_comes_first(schema):
    build = keras_mm.build_classifier
    layer = fusion_of(build(schema, hidden_units=8, dropout=0.4))
    assert (layer.hidden_units, layer.dropout, layer.members) == (8, 0.4, 16)
    layer = fusion_of(build(schema, hidden_units=None))
    assert (layer.hidden_units, layer.members) == (None, 1)
    model = build(schema, fusion="gated")
    assert model.encoders["tabular"].output[0].shape == (None, 1, 64)
    assert type(fusion_of(model)) is keras_mm.fusion.Gated
    model = build(schema, encoders={"numbers": "dense"})
    assert {"numbers", "shop"} <= set(model.modalities)


@pytest.mark.parametrize(
    "rows, batch_size, epochs",
    [
        (None, 32, 100),
        (10, 32, 100),
        (2047, 32, 100),
        (4096, 64, 100),
        (8192, 128, 100),
        (16_384, 256, 50),
        (10_000_000, 256, 10),
    ],
)
def test_settings_by_the_number_of_rows(rows, batch_size, epochs):
    settings = training_settings(rows)
    assert settings[1:] == (batch_size, epochs)
    assert settings.learning_rate == 2e-3


def test_a_table_is_read_in_batches_of_its_size():
    """A schema keeps the number of rows that it has learned from."""
    table = make_table(12)
    schema = small_schema(table)
    schema = keras_mm.Schema.from_config(schema.get_config() | {"rows": 4096})
    inputs = {"price": schema.inputs["price"]}
    part = keras_mm.Schema(inputs, schema.targets)
    part.rows = schema.rows
    assert small_schema(table).rows == 12 and schema.rows == 4096
    model = keras_mm.build_classifier(part)
    steps = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    rows = table.iloc[np.arange(128) % 12]
    model.fit(rows, verbose=0, callbacks=[count])
    assert len(steps) == 2
    model.fit(rows, batch_size=16, verbose=0, callbacks=[count])
    assert len(steps) == 2 + 8
