"""What fusions give to heads: `Fused`, the same vector as calling, and tokens."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_mm import fusion as room

SMALL = {
    "attention": {"num_heads": 2},
    "co_attention": {"num_heads": 2},
    "transformer": {"num_heads": 2},
    "mult": {"num_heads": 2},
    # Its first layer hands nothing to the other modalities' tokens yet.
    "bottleneck": {"num_heads": 2, "num_layers": 2},
    "perceiver": {"num_heads": 2, "num_layers": 1},
}
# One with attention maps, one with latents, one with experts: jax compiles each
# operation by itself.
ON_BACKENDS = {"attention", "perceiver", "late_weighted"}
TOKENS_DIM = {"mult": 2 * 6}
LENGTHS = (3, 2, 2)


def example():
    """Tokens and masks of three modalities; the last row has none of them."""
    random = np.random.default_rng(0)
    tokens = [
        random.normal(size=(5, length, dim)).astype("float32")
        for length, dim in zip(LENGTHS, (4, 5, 3))
    ]
    masks = [random.random(token.shape[:2]) < 0.7 for token in tokens]
    for mask in masks:
        mask[0], mask[4] = True, False
    masks[0][1] = masks[2][2] = False
    return tokens, masks


def make(name):
    layer = room.FUSIONS[name](units=6, **SMALL.get(name, {}))
    return layer.with_head(6, "softmax") if layer.has_experts else layer


def tensors(parts):
    return [ops.convert_to_tensor(part) for part in parts]


def arrays(results):
    return keras.tree.map_structure(
        lambda x: None if x is None else ops.convert_to_numpy(x), results
    )


def fused_of(fusion, tokens, masks, **options):
    return arrays(room.fuse(fusion, tensors(tokens), tensors(masks), **options))


@functools.cache
def made(name):
    """A layer of random weights."""
    tokens, masks = example()
    layer = make(name)
    layer(tensors(tokens), tensors(masks))
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def named(names):
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=[pytest.mark.backends] * (name in ON_BACKENDS))
            for name in names
        ],
    )


@named(room.FUSIONS)
def test_fuse_gives_what_calling_gives_and_what_was_announced(name):
    tokens, masks = example()
    layer = made(name)
    fused = fused_of(layer, tokens, masks)
    called = arrays(layer(tensors(tokens), tensors(masks)))
    np.testing.assert_allclose(fused.vector, called, atol=1e-5)
    symbolic = make(name).fuse(
        [keras.KerasTensor((None, *t.shape[1:])) for t in tokens],
        [keras.KerasTensor((None, *m.shape[1:]), "bool") for m in masks],
    )
    for field, spec, value in zip(room.Fused._fields, symbolic, fused):
        specs, values = keras.tree.flatten(spec), keras.tree.flatten(value)
        assert len(specs) == len(values), field
        for one, two in zip(specs, values):
            if one is not None:
                assert one.shape == (None, *two.shape[1:]), field
                assert str(one.dtype) == str(two.dtype), field
    assert (fused.weights is None) == (layer.weights_kind is None)
    assert (fused.tokens is None) == (fused.mask is None) == (layer.tokens_kind is None)
    assert (fused.experts is None) == (not layer.has_experts)
    if layer.tokens_kind == "inputs":
        assert fused.tokens.shape == (5, sum(LENGTHS), TOKENS_DIM.get(name, 6))
        np.testing.assert_array_equal(fused.mask, np.concatenate(masks, axis=1))
    if layer.tokens_kind == "latents":
        expected = np.repeat([[True]] * 4 + [[False]], layer.num_queries, axis=1)
        np.testing.assert_array_equal(fused.mask, expected)
    if layer.has_experts:
        logits, present = fused.experts
        assert logits.shape[:2] == present.shape and not present[4].any()
    bare = fused_of(layer, tokens, masks, return_weights=False, return_tokens=False)
    assert bare.weights is None and bare.tokens is None


@named([name for name, fusion in room.FUSIONS.items() if fusion.tokens_kind])
def test_fused_tokens_read_other_modalities_but_nothing_masked(name):
    tokens, masks = example()
    layer = made(name)
    fused = fused_of(layer, tokens, masks)
    assert np.isfinite(fused.tokens).all()
    assert (fused.tokens[~fused.mask] == 0).all()
    noise = [
        np.where(mask[..., None], token, 1e4) for token, mask in zip(tokens, masks)
    ]
    changed = fused_of(layer, noise, masks)
    np.testing.assert_allclose(changed.tokens, fused.tokens, rtol=1e-4, atol=1e-4)
    # More padding behind the last modality.
    pad = [*tokens[:2], np.pad(tokens[2], ((0, 0), (0, 2), (0, 0)), mode="edge")]
    padded = fused_of(layer, pad, [*masks[:2], np.pad(masks[2], ((0, 0), (0, 2)))])
    length = fused.tokens.shape[1]
    assert not padded.mask[:, length:].any()
    got = padded.tokens[:, :length]
    np.testing.assert_allclose(got, fused.tokens, rtol=1e-4, atol=1e-4)
    # The first modality's tokens hold something of the last one's.
    other = fused_of(layer, [*tokens[:2], tokens[2] + 1], masks)
    assert np.abs(other.tokens - fused.tokens)[0, 0].max() > 1e-3
    if name == "transformer":
        for row, mask, vector in zip(fused.tokens, fused.mask, fused.vector):
            mean = row[mask].mean(axis=0) if mask.any() else 0 * vector
            np.testing.assert_allclose(mean, vector, atol=1e-5)


@pytest.mark.backends
def test_hybrid_gives_the_tokens_of_its_early_fusion():
    """Of one whose vector is longer than its `units`, too."""
    tokens, masks = example()
    early = room.Attention(units=6, num_heads=2)
    layer = room.Hybrid(early).with_head(2, "softmax")
    fused = fused_of(layer, tokens, masks)
    expected = fused_of(layer.early, tokens, masks)
    np.testing.assert_allclose(fused.tokens, expected.tokens, atol=1e-5)
    np.testing.assert_array_equal(fused.mask, expected.mask)
    assert fused.weights is None
    assert fused.vector.shape == (5, 2) and fused.experts[0].shape == (5, 4, 2)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.backends
def test_a_model_of_tokens_is_the_same_from_its_file(tmp_path):
    tokens, masks = example()
    inputs = [keras.Input(t.shape[1:]) for t in tokens]
    given = [keras.Input(m.shape[1:], dtype="bool") for m in masks]
    outputs = {}
    for name in ("attention", "mult", "perceiver", "hybrid"):
        fusion = make(name)
        if name == "hybrid":
            fusion = room.Hybrid(make("transformer")).with_head(2, "softmax")
        fused = room.fuse(fusion, inputs, given)
        outputs |= {f"{name}_tokens": fused.tokens, f"{name}_mask": fused.mask}
        outputs[name] = fused.vector
    model = keras.Model([*inputs, *given], outputs)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict([*tokens, *masks], verbose=0)
    got = again.predict([*tokens, *masks], verbose=0)
    assert got.keys() == expected.keys()
    for name in got:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6, err_msg=name)


class Listing(keras.layers.Layer):
    """A user's layer that is no `Fusion`: a list, whose first entry is the vector."""

    def call(self, tokens, masks):
        return [ops.mean(tokens[0], axis=1), tokens[0]]


class Broken(room.Fusion):
    """Announces weights, and has none."""

    weights_kind = "modalities"

    def call(self, tokens, masks, return_weights=False):
        return ops.mean(tokens[0], axis=1)


def test_layers_and_functions_of_ones_own():
    tokens, masks = example()
    mean = tokens[0].mean(axis=1)
    for fusion in (Listing(), lambda t, m: ops.mean(t[0], axis=1)):
        fused = fused_of(fusion, tokens, masks)
        np.testing.assert_allclose(fused.vector, mean, atol=1e-6)
        assert fused[1:] == (None, None, None, None)
    whole = fused_of(lambda t, m: room.Fused(t[0][:, 0], t[0], m[0]), tokens, masks)
    np.testing.assert_array_equal(whole.tokens, tokens[0])
    with pytest.raises(ValueError, match=r"return 2 results.*Received: results=1"):
        fused_of(Broken(units=4), tokens, masks)
