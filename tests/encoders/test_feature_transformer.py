"""The Transformer over columns: tokens, masks, parameters."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_mm
from keras_mm.encoders import FeatureTransformer, get

from ..helpers import make_table, small_model, small_schema

NUMBERS = {name: keras_mm.Number(0.0, 1.0) for name in ("a", "b", "c")}
CATEGORIES = {
    "d": keras_mm.Category(["x", "y"]),
    "e": keras_mm.Category(["x", "y", "z"]),
}
GROUPS = {
    "numbers": NUMBERS,
    "categories": CATEGORIES,
    "both": {**NUMBERS, **CATEGORIES},
    "one number": {"a": NUMBERS["a"]},
    "one category": {"d": CATEGORIES["d"]},
}


def columns(inputs, rows=5, seed=0):
    random = np.random.default_rng(seed)
    return [
        random.integers(1, value.num_ids, (rows, 1)).astype("int32")
        if value.kind == "category"
        else random.normal(size=(rows, 1)).astype("float32")
        for value in inputs.values()
    ]


def missing(tensor, row):
    tensor = tensor.copy()
    tensor[row] = 0 if "int" in str(tensor.dtype) else np.nan
    return tensor


def run(model, tensors, training=False):
    tensors = [ops.convert_to_tensor(tensor) for tensor in tensors]
    return [ops.convert_to_numpy(x) for x in model(tensors, training=training)]


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("group", GROUPS)
def test_tokens_and_mask(group, sequences):
    inputs = GROUPS[group]
    model = FeatureTransformer(8, 2, 2).build(inputs, "e", sequences)
    tensors = [missing(x, 1) for x in columns(inputs)]
    tensors[0] = missing(tensors[0], 2)
    tokens, mask = run(model, tensors)
    count = len(inputs) if sequences else 1
    assert tokens.shape == (5, count, 8) and mask.shape == (5, count)
    assert np.isfinite(tokens).all() and mask.dtype == bool
    assert not mask[1].any() and mask[[0, 3, 4]].all()
    assert mask[2].sum() == (len(inputs) - 1 if sequences else len(inputs) > 1)
    # A row knows nothing of the others.
    alone, _ = run(model, [x[3:4] for x in tensors])
    np.testing.assert_allclose(alone[0], tokens[3], atol=1e-5)


def test_a_missing_column_is_as_no_column():
    """Without the third number, the model of two numbers answers the same."""
    encoder = FeatureTransformer(8, 2, 2)
    three = encoder.build(NUMBERS, "three")
    two = encoder.build({name: NUMBERS[name] for name in ("a", "b")}, "two")
    by_name = {weight.path: weight for weight in two.weights}
    assert len(by_name) == len(three.weights)
    for one, other in zip(two.weights, three.weights):
        value = ops.convert_to_numpy(other)
        one.assign(value[:2] if one.shape != other.shape else value)
    a, b, c = columns(NUMBERS)
    tokens, _ = run(three, [a, b, np.full_like(c, np.nan)])
    want, _ = run(two, [a, b])
    np.testing.assert_allclose(tokens, want, atol=1e-5)
    changed, _ = run(three, [a, b, c])
    assert np.abs(changed - want).max() > 1e-3


@pytest.mark.parametrize("group", GROUPS)
def test_number_of_parameters(group):
    inputs, units, width = GROUPS[group], 12, 16
    model = FeatureTransformer(units, num_layers=2, num_heads=3).build(inputs, "e")
    # A weight and a bias for each number, a vector for each id.
    tokens = sum(
        value.num_ids * units if value.kind == "category" else 2 * units
        for value in inputs.values()
    )
    attention = 4 * (units * units + units)
    feed_forward = 2 * (units * width + width) + width * units + units
    # Two normalisations a block, less the first, and the last.
    normalisation = 4 * 2 * units
    want = tokens + units + 2 * (attention + feed_forward) + normalisation
    assert model.count_params() == want


def test_number_tokens_by_hand():
    model = FeatureTransformer(4, num_layers=0, num_heads=1).build(NUMBERS, "e", True)
    kernel, bias = model.get_layer("number_tokens").get_weights()
    tensors = columns(NUMBERS)
    x = np.concatenate(tensors, axis=1)[..., None] * kernel + bias
    x = x - x.mean(axis=-1, keepdims=True)
    x = np.maximum(x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-3), 0)
    np.testing.assert_allclose(run(model, tensors)[0], x, atol=1e-5)


@pytest.mark.large
def test_in_a_model(tmp_path):
    table = make_table()
    inputs = {name: keras_mm.Number() for name in ("price", "weight")}
    schema = small_schema(table, **inputs, shop=keras_mm.Category())
    encoders = {
        "numbers": "feature_transformer",
        "shop": FeatureTransformer(8, 1, 2),
    }
    model = small_model(schema, encoders=encoders, fusion="attention")
    model.fit(table, epochs=1, verbose=0)
    expected = model.predict(table, verbose=0)
    assert np.isfinite(expected).all()
    model.save(tmp_path / "model.keras")
    same = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(same.predict(table, verbose=0), expected, atol=1e-6)


def test_choice():
    assert isinstance(get("feature_transformer", [NUMBERS["a"]]), FeatureTransformer)
    assert isinstance(get("feature_transformer", [CATEGORIES["d"]]), FeatureTransformer)
    with pytest.raises(ValueError, match="must divide `units`.*num_heads=3"):
        FeatureTransformer(8, num_heads=3)
