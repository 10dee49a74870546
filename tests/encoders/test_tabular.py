"""Numbers, dates and categories as one modality: encodings, holes, outliers."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers, ops
from keras.src import testing
from scipy.stats import norm

import keras_mm
from keras_mm.encoders import PiecewiseLinear, Tabular

NORMAL = keras_mm.Number(0.0, 1.0)


def run(model, *tensors):
    tensors = [ops.convert_to_tensor(tensor) for tensor in tensors]
    return [ops.convert_to_numpy(value) for value in model(tensors)]


@pytest.mark.backends
def test_piecewise_linear_is_the_part_of_each_bin_below_the_number():
    edges = [[-1.0, 0.0, 2.0, 2.5], [3.0, 4.0]]
    x = np.array([[-5.0, 3.25], [-0.75, 9.0], [1.0, 2.0], [2.4, 4.0]], "float32")
    got = ops.convert_to_numpy(PiecewiseLinear(edges)(x))
    assert got.shape == (4, 2, 3)
    for row, column in np.ndindex(x.shape):
        for place, (low, high) in enumerate(zip(edges[column], edges[column][1:])):
            part = min(max((x[row, column] - low) / (high - low), 0), 1)
            assert got[row, column, place] == pytest.approx(part, abs=1e-6)
    assert (got[:, 1, 1:] == 0).all()
    with pytest.raises(ValueError, match=r"Received: edges=\[\[1.0\]\]"):
        PiecewiseLinear([[1.0]])


def test_keras_layer_harness():
    testing.TestCase().run_layer_test(
        PiecewiseLinear,
        {"edges": [[-1.0, 0.0, 2.0], [0.0, 1.0]]},
        input_shape=(3, 2),
        expected_output_shape=(3, 2, 2),
        expected_num_trainable_weights=0,
        run_mixed_precision_check=False,
    )


@pytest.mark.backends
def test_one_token_of_scores_bins_flags_and_names():
    inputs = {
        "a": NORMAL,
        "b": NORMAL,
        "c": keras_mm.Category(["x", "y", "z"]),
    }
    experts = keras_mm.fusion.LateMean(hidden_units=8)
    model = Tabular(bins=4).for_fusion(experts).build(inputs, "e")
    assert not model.weights
    a = np.array([[0.5], [np.nan], [np.nan]], "float32")
    b = np.array([[-9.0], [0.0], [np.nan]], "float32")
    ids = np.array([[3], [1], [0]], "int32")
    tokens, mask = run(model, a, b, ids)
    assert tokens.shape == (3, 1, 2 * (1 + 4 + 1) + 3)
    a_score, a_bins, a_flag = tokens[:, 0, 0], tokens[:, 0, 1:5], tokens[:, 0, 5]
    quarters = norm.ppf([0.25, 0.5, 0.75])
    part = (0.5 - quarters[1]) / (quarters[2] - quarters[1])
    np.testing.assert_allclose(a_bins[0], [1, 1, part, 0], atol=0.02)
    assert (a_score[0], a_flag[0]) == (0.5, 1)
    # Missing: all 0, which the mean of the column is not.
    assert (tokens[1, 0, :6] == 0).all() and tokens[1, 0, 7:12].sum() > 2
    assert (tokens[0, 0, 7:11] == 0).all() and tokens[0, 0, 11] == 1
    # A name that was not in the training rows, and no name.
    assert tokens[:, 0, 12:].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert mask.tolist() == [[True], [True], [False]]


@pytest.mark.backends
def test_a_token_for_each_column_where_the_fusion_reads_tokens():
    many = keras_mm.Category([str(name) for name in range(40)])
    inputs = {"c": many, "a": NORMAL, "d": keras_mm.Date(0.0, 1.0), "b": NORMAL}
    model = Tabular(units=5).build(inputs, "e", sequences=True)
    numbers = np.array([[0.5], [np.nan]], "float32")
    dates = np.array([[0.1] * 5, [np.nan] * 5], "float32")[:, : _width(inputs["d"])]
    tokens, mask = run(model, np.array([[7], [1]]), numbers, dates, numbers[::-1])
    assert tokens.shape == (2, 4, 5) and np.isfinite(tokens).all()
    # Numbers, dates, categories.
    assert mask.tolist() == [[True, False, True, True], [False, True, False, True]]
    (embedding,) = (x for x in model.layers if isinstance(x, layers.Embedding))
    assert embedding.input_dim == 42


def test_a_hidden_layer_where_the_fusion_has_none():
    inputs = {"a": NORMAL, "b": NORMAL}
    late, gated = keras_mm.fusion.LateMean(hidden_units=8), keras_mm.fusion.Gated()
    for encoder, fusion, width in (
        (Tabular(bins=4), gated, 64),
        (Tabular(bins=4), keras_mm.fusion.Hybrid(), 64),
        (Tabular(bins=4), late, 12),
        (Tabular(bins=4, hidden_units=7), late, 7),
        (Tabular(bins=4, hidden_units=None), gated, 12),
    ):
        model = encoder.for_fusion(fusion).build(inputs, "e")
        assert model.output[0].shape == (None, 1, width)


def _width(date):
    return date.keras_input("d").shape[1]


def make_rows(rows=120):
    random = np.random.default_rng(0)
    price = np.exp(random.normal(size=rows) * 3)
    kind = random.choice(["new", "old"], rows)
    table = pd.DataFrame(
        {"price": price, "kind": kind, "size": random.normal(size=rows)}
    )
    table["when"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows), "D")
    table["y"] = np.log(price) * np.where(kind == "new", 1.0, -1.0)
    table.loc[::7, "price"] = None
    return table


@pytest.fixture(scope="module")
def trained():
    table = make_rows()
    inputs = {
        "price": keras_mm.Number(),
        "kind": keras_mm.Category(),
        "size": keras_mm.Number(),
        "when": keras_mm.Date(),
    }
    schema = keras_mm.Schema(inputs, {"y": keras_mm.Number()}).adapt(table)
    fusion = keras_mm.fusion.LateMean(hidden_units=[16, 16], members=4)
    model = keras_mm.build_regressor(
        schema,
        encoders={"tabular": "tabular"},
        fusion=fusion,
        optimizer=keras.optimizers.Adam(0.01),
        seed=0,
    )
    model.fit(table, epochs=40, batch_size=30, verbose=0)
    return model, table


@pytest.mark.backends
def test_interactions_of_numbers_and_categories_are_learned(trained):
    model, table = trained
    assert model.modalities == {"tabular": ["price", "kind", "size", "when"]}
    rows = table.dropna()
    assert keras_mm.evaluation.score(model, rows)["r2"] > 0.9


def test_numbers_far_outside_the_training_rows_count_as_the_largest(trained):
    model, table = trained
    rows = table.dropna().iloc[[0] * 4].copy()
    rows["price"] = [table.price.max(), 1e12, table.price.min(), -1e12]
    largest, beyond, least, below = model.predict(rows, verbose=0)[:, 0]
    assert (largest, least) == (beyond, below) and largest != least


def test_of_a_keras_file_the_same_predictions(trained, tmp_path):
    model, table = trained
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        again.predict(table, verbose=0), model.predict(table, verbose=0)
    )
    assert again.schema.inputs["price"].scale == "quantile"


@pytest.mark.export
def test_an_export_of_members_answers_the_same(trained, tmp_path):
    model, table = trained
    keras_mm.export(model, tmp_path / "model", rows=table.iloc[:9], verbose=False)
    served = keras_mm.load_exported(tmp_path / "model")(table)
    np.testing.assert_allclose(
        served["y"], model.predict(table, verbose=0)[:, 0], atol=1e-4
    )


def test_a_column_of_that_name_and_columns_of_their_own():
    table = make_rows().rename(columns={"size": "tabular"})
    schema = keras_mm.Schema(
        {name: keras_mm.Number() for name in ("price", "tabular")}
    ).adapt(table)
    assert schema.modalities(own=["tabular"]) == {
        "price": ["price"],
        "tabular": ["tabular"],
    }
    schema = keras_mm.Schema({"price": keras_mm.Number(), "kind": keras_mm.Category()})
    assert schema.modalities(own=["tabular", "kind"]) == {
        "tabular": ["price"],
        "kind": ["kind"],
    }


def test_an_encoder_that_reads_only_some_of_the_columns_is_refused():
    schema = keras_mm.Schema(
        {"price": keras_mm.Number(), "kind": keras_mm.Category()},
        {"y": keras_mm.Number()},
    ).adapt(make_rows())
    with pytest.raises(ValueError, match="Received: encoder='dense'"):
        keras_mm.build_regressor(schema, encoders={"tabular": "dense"})
    with pytest.raises(ValueError, match="Received: bins=0, units=16"):
        Tabular(bins=0)
