"""Columns may be called like any layer."""

import numpy as np
import pandas as pd
import pytest

import keras_mm

ROWS = 6
NUMBERS = ["fusion", "hidden", "tabular", "dense", "price_standardized"]
TEXTS = ["a", "a_encoder", "embedding"]


@pytest.mark.usefixtures("eagerly")
def test_columns_called_like_layers():
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            **{name: random.normal(size=ROWS) for name in [*NUMBERS, "target"]},
            **{name: ["x y", "z", "y"] * 2 for name in TEXTS},
            "modality_dropout": ["u", "v"] * 3,
            "categories": list(random.normal(size=(ROWS, 2))),
        }
    )
    schema = keras_mm.Schema(
        {
            **{name: keras_mm.Number() for name in NUMBERS},
            **{name: keras_mm.Text(3) for name in TEXTS},
            "modality_dropout": keras_mm.Category(),
            "categories": keras_mm.Vector(2),
        },
        {"target": keras_mm.Number()},
    ).adapt(table)
    own = {"dense": "dense", "fusion": "feature_transformer", "embedding": "lstm"}
    model = keras_mm.build_regressor(
        schema, encoders=own, missing_token=True, hidden_units=4, dropout=0.1, seed=0
    )
    # The column called like the group keeps its name, the group gives way.
    assert model.schema.modalities(own=own)["all-tabular"] == [
        "hidden", "tabular", "price_standardized", "modality_dropout",
    ]  # fmt: skip
    assert set(model.encoders) == {
        "all-tabular", *own, "a", "a_encoder", "categories",
    }  # fmt: skip
    model.fit(table, verbose=0)
    again = keras_mm.MultimodalModel.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(
        again.predict(table, verbose=0), model.predict(table, verbose=0), atol=1e-5
    )


def test_columns_that_are_served_as_a_group_is_called():
    names = ["tabular!", "all tabular", "p", "q"]
    table = pd.DataFrame({name: np.arange(6.0) for name in ["p", "q"]})
    table[names[:2]] = "a word"
    inputs = {
        n: (keras_mm.Text if " " in n or "!" in n else keras_mm.Number)() for n in names
    }
    schema = keras_mm.Schema(inputs, {"y": keras_mm.Number()})
    schema.adapt(table.assign(y=table["p"]))
    own = dict.fromkeys(names[:2], "average")
    model = keras_mm.build_regressor(schema, encoders=own, fusion="gated")
    assert set(model.encoders) == {*names[:2], "all-all-tabular"}
    towers = {"a b": names[:2], "a-b": ["p", "q"]}
    with pytest.raises(
        ValueError, match="towers .* would both be 'a_b' in an exported"
    ):
        keras_mm.build_retriever(schema, towers=towers)


def test_a_target_and_its_scaled_neighbour():
    table = pd.DataFrame({"x": np.arange(6.0), "p": np.arange(6.0)})
    table["p_standardized"] = table["p"]
    targets = {name: keras_mm.Number() for name in ("p", "p_standardized")}
    schema = keras_mm.Schema({"x": keras_mm.Number()}, targets).adapt(table)
    answers = keras_mm.build_multitask(schema).predict(table, verbose=0)
    assert set(answers) == set(targets)


def test_an_autoencoder_of_any_column():
    for name in ("flatten", "multiply", "sequence_encoder"):
        table = pd.DataFrame({name: list(np.eye(4))})
        schema = keras_mm.Schema({name: keras_mm.Vector(4)}).adapt(table)
        model = keras_mm.build_autoencoder(schema, units=2, noise=0.1)
        assert model.predict(table, verbose=0).shape == (4, 4)
