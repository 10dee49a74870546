"""Every fusion: numbers against NumPy, parameters, gradients, masks, files."""

import functools
import itertools
from unittest import mock

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from keras.src import testing
from keras.src.testing import test_case

import keras_mm
from keras_mm import fusion as room
from keras_mm.encoders.transformer_block import transformer_block
from keras_mm.fusion.fusion import masked_mean, masked_softmax, presence
from keras_mm.models.scored_fusion import ScoredFusion

ALL = {
    "concat": lambda: room.Concat(units=6),
    "concat_plain": lambda: room.Concat(),
    "sum": lambda: room.Sum(units=6),
    "mean": lambda: room.Mean(units=6),
    "max": lambda: room.Max(units=6),
    "attention_weights": lambda: room.AttentionWeights(units=6),
    "mlb": lambda: room.MLB(units=6, rank=4),
    "mfb": lambda: room.MFB(units=6, num_factors=2, dropout=0.0),
    "tensor": lambda: room.Tensor(units=6),
    "tensor_projected": lambda: room.Tensor(units=6, dim=2),
    "low_rank": lambda: room.LowRank(units=6, rank=3),
    "bilinear": lambda: room.Bilinear(units=6),
    "bilinear_projected": lambda: room.Bilinear(units=6, dim=2),
    "product_of_experts": lambda: room.ProductOfExperts(units=6),
    "transformer": lambda: room.Transformer(6, 2, num_heads=2, hidden_units=7),
    "bottleneck": lambda: room.Bottleneck(
        6, 2, num_layers=2, num_heads=2, hidden_units=7
    ),
    "perceiver": lambda: room.Perceiver(
        6, 2, num_layers=2, num_heads=2, hidden_units=7
    ),
    "co_attention": lambda: room.CoAttention(6, num_heads=2, hidden_units=7),
    "co_attention_tied": lambda: room.CoAttention(
        6, 2, tied=True, num_heads=2, hidden_units=7
    ),
    "mult": lambda: room.MulT(6, num_heads=2, hidden_units=7),
    "mixture_of_experts": lambda: room.MixtureOfExperts(units=6),
    "film": lambda: room.FiLM(units=6, condition=0),
    "weighted": lambda: room.Weighted(units=6),
    "gated": lambda: room.Gated(units=6),
    "attention": lambda: room.Attention(units=6, num_heads=2),
    "late_mean": lambda: room.LateMean(units=6, activation="softmax"),
    "late_mean_hidden": lambda: room.LateMean("logits", units=6, hidden_units=7),
    "late_mean_members": lambda: room.LateMean(
        units=6, activation="softmax", hidden_units=[7, 5], members=3
    ),
    "late_weighted": lambda: room.LateWeighted(units=6, activation="sigmoid"),
    "stacking": lambda: room.Stacking(units=6, activation="softmax"),
    "hybrid": lambda: room.Hybrid(room.Gated(5), units=6, activation="softmax"),
    "hybrid_members": lambda: room.Hybrid(
        room.Concat(), units=6, activation="sigmoid", hidden_units=7, members=2
    ),
    "hybrid_linear": lambda: room.Hybrid(
        room.Concat(), units=6, hidden_units=7, members=2, linear=[0]
    ),
}
# Two tokens at least: attention to a single one does not feel its query.
DIMS, LENGTHS = (4, 5, 3), (3, 2, 2)
fusions = pytest.mark.parametrize("name", ALL)


def example(count=2, rows=5, seed=0):
    random = np.random.default_rng(seed)
    tokens = [
        random.normal(size=(rows, LENGTHS[m], DIMS[m])).astype("float32")
        for m in range(count)
    ]
    masks = [random.random((rows, LENGTHS[m])) < 0.7 for m in range(count)]
    for mask in masks:
        mask[0] = True
    return tokens, masks


def randomise(layer, seed=1):
    """Random weights: zeros and ones hide mistakes."""
    random = np.random.default_rng(seed)
    layer.set_weights([random.normal(size=w.shape) for w in layer.get_weights()])


def call(layer, tokens, masks, **kwargs):
    result = layer(
        [ops.convert_to_tensor(t) for t in tokens],
        [ops.convert_to_tensor(m) for m in masks],
        **kwargs,
    )
    return keras.tree.map_structure(ops.convert_to_numpy, result)


def pooled(tokens, masks):
    """Masked means, the slow way."""
    result = []
    for token, mask in zip(tokens, masks):
        rows = [
            t[m].mean(0) if m.any() else np.zeros(t.shape[1])
            for t, m in zip(token, mask)
        ]
        result.append(np.stack(rows))
    return result


def weight(layer, *path):
    found = [w for w in layer.weights if all(part in w.path for part in path)]
    assert len(found) == 1, [w.path for w in layer.weights]
    return ops.convert_to_numpy(found[0])


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


# --- numbers -------------------------------------------------------------------


@pytest.mark.backends
def test_concat_is_a_matrix_times_the_means():
    tokens, masks = example()
    layer = room.Concat(units=6)
    call(layer, tokens, masks)
    randomise(layer)
    expected = np.concatenate(pooled(tokens, masks), -1) @ weight(layer, "projection")
    np.testing.assert_allclose(call(layer, tokens, masks), expected, atol=1e-5)
    plain = call(room.Concat(), tokens, masks)
    np.testing.assert_allclose(
        plain, np.concatenate(pooled(tokens, masks), -1), atol=1e-6
    )


@pytest.mark.backends
def test_mean_leaves_out_absent_modalities():
    tokens, masks = example(3)
    masks[1][2] = False
    layer = room.Mean(units=6)
    call(layer, tokens, masks)
    randomise(layer)
    expected = np.zeros((5, 6))
    for row in range(5):
        parts = [
            tokens[m][row][masks[m][row]].mean(0) @ weight(layer, f"projection_{m}")
            for m in range(3)
            if masks[m][row].any()
        ]
        expected[row] = np.mean(parts, axis=0)
    np.testing.assert_allclose(call(layer, tokens, masks), expected, atol=1e-5)


@pytest.mark.backends
def test_weighted_gives_the_weight_of_the_absent_to_the_others():
    tokens, masks = example(3)
    masks[0][1] = False
    layer = room.Weighted(units=6)
    call(layer, tokens, masks)
    randomise(layer)
    fused, weights = call(layer, tokens, masks, return_weights=True)
    logits = weight(layer, "logits")
    present = np.stack([mask.any(1) for mask in masks], 1)
    expected = np.exp(logits) * present
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    assert weights[1, 0] == 0
    parts = [
        p @ weight(layer, f"projection_{m}")
        for m, p in enumerate(pooled(tokens, masks))
    ]
    np.testing.assert_allclose(
        fused,
        sum(expected[:, m : m + 1] * part for m, part in enumerate(parts)),
        atol=1e-5,
    )


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.backends
def test_gated_follows_the_paper(count):
    tokens, masks = example(count)
    for mask in masks:
        mask[:] = True
    layer = room.Gated(units=6)
    call(layer, tokens, masks)
    randomise(layer)
    means = pooled(tokens, masks)
    hidden = [
        np.tanh(z @ weight(layer, f"projection_{m}")) for m, z in enumerate(means)
    ]
    logits = np.concatenate(means, -1) @ weight(layer, "/gate/")
    if count == 2:
        gate = 1 / (1 + np.exp(-logits))
        gates = [gate, 1 - gate]
    else:
        gates = np.moveaxis(softmax(logits.reshape(-1, count, 6), 1), 1, 0)
    fused, weights = call(layer, tokens, masks, return_weights=True)
    np.testing.assert_allclose(
        fused, sum(g * h for g, h in zip(gates, hidden)), atol=1e-5
    )
    np.testing.assert_allclose(
        weights, np.stack([g.mean(-1) for g in gates], 1), atol=1e-5
    )


@pytest.mark.backends
def test_gate_of_an_absent_modality_is_zero():
    tokens, masks = example()
    masks[0][3], masks[1][3] = False, True
    layer = room.Gated(units=6)
    call(layer, tokens, masks)
    randomise(layer)
    fused, weights = call(layer, tokens, masks, return_weights=True)
    np.testing.assert_allclose(weights[3], [0, 1], atol=1e-6)
    alone = np.tanh(tokens[1][3].mean(0) @ weight(layer, "projection_1"))
    np.testing.assert_allclose(fused[3], alone, atol=1e-5)


def made(name, count=3, rows=6):
    """A layer of random weights, tokens, and masks; some modalities are absent."""
    tokens, masks = example(count, rows)
    masks[0][1] = False
    masks[count - 1][2] = False
    for mask in masks:
        mask[3] = False
    layer = ALL[name]()
    call(layer, tokens, masks)
    randomise(layer)
    return layer, tokens, masks


@pytest.mark.backends
def test_sum_and_max():
    layer, tokens, masks = made("sum")
    weights = [weight(layer, f"projection_{m}/") for m in range(3)]
    parts = [z @ w for z, w in zip(pooled(tokens, masks), weights)]
    np.testing.assert_allclose(call(layer, tokens, masks), sum(parts), atol=1e-5)
    layer, tokens, masks = made("max")
    weights = [weight(layer, f"projection_{m}/") for m in range(3)]
    means = pooled(tokens, masks)
    got = call(layer, tokens, masks)
    for row in range(6):
        values = [means[m][row] @ weights[m] for m in range(3) if masks[m][row].any()]
        expected = np.max(values, axis=0) if values else np.zeros(6)
        np.testing.assert_allclose(got[row], expected, atol=1e-5)


@pytest.mark.backends
def test_attention_weights_are_of_each_row():
    layer, tokens, masks = made("attention_weights")
    means = pooled(tokens, masks)
    logits = np.concatenate(means, -1) @ weight(layer, "attention/")
    fused, weights = call(layer, tokens, masks, return_weights=True)
    for row in range(6):
        present = [m for m in range(3) if masks[m][row].any()]
        expected = np.zeros(3)
        if present:
            expected[present] = softmax(logits[row][present], 0)
        np.testing.assert_allclose(weights[row], expected, atol=1e-5)
        parts = [
            expected[m] * (means[m][row] @ weight(layer, f"projection_{m}/"))
            for m in range(3)
        ]
        np.testing.assert_allclose(fused[row], sum(parts), atol=1e-5)


@pytest.mark.parametrize("name", ["mlb", "mfb"])
@pytest.mark.backends
def test_products_leave_out_what_is_absent(name):
    layer, tokens, masks = made(name)
    means, got = pooled(tokens, masks), call(layer, tokens, masks)
    for row in range(6):
        factors = [
            means[m][row] @ weight(layer, f"projection_{m}/")
            for m in range(3)
            if masks[m][row].any()
        ]
        if name == "mlb":
            factors = [np.tanh(factor) for factor in factors]
        product = np.prod(factors, axis=0) if factors else np.zeros(len(got[0]))
        if not factors:
            expected = np.zeros(6)
        elif name == "mlb":
            expected = product @ weight(layer, "output/")
        else:
            summed = product[0::2] + product[1::2]
            expected = np.sign(summed) * np.sqrt(np.abs(summed))
            expected /= np.linalg.norm(expected)
        np.testing.assert_allclose(got[row], expected, atol=2e-3)


@pytest.mark.backends
def test_mfb_has_a_gradient_at_zero():
    """The square root's slope is infinite there."""
    layer = room.MFB(units=2, num_factors=1)
    zeros = [np.zeros((1, 1, 3), "float32")] * 2
    all_present = [np.ones((1, 1), bool)] * 2
    inputs = [keras.Input((1, 3)), keras.Input((1, 3))]
    masks = [keras.Input((1,), dtype="bool"), keras.Input((1,), dtype="bool")]
    model = keras.Model([*inputs, *masks], keras.layers.Dense(1)(layer(inputs, masks)))
    model.compile("sgd", "mse")
    model.fit([*zeros, *all_present], np.ones((1, 1)), verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.backends
def test_tensor_is_the_outer_product():
    layer, tokens, masks = made("tensor", count=2)
    one, two = [
        np.concatenate(
            [masks[0].any(1, keepdims=True) | masks[1].any(1, keepdims=True), z], 1
        )
        for z in pooled(tokens, masks)
    ]
    kernel = weight(layer, "output/").reshape(DIMS[0] + 1, DIMS[1] + 1, 6)
    expected = np.einsum("bi,bj,ijk->bk", one, two, kernel)
    np.testing.assert_allclose(call(layer, tokens, masks), expected, atol=1e-4)
    layer, tokens, masks = made("tensor_projected", count=3)
    parts = [
        z @ weight(layer, f"projection_{m}/")
        for m, z in enumerate(pooled(tokens, masks))
    ]
    parts = [np.concatenate([np.ones((6, 1)), part], 1) for part in parts]
    kernel = weight(layer, "output/").reshape(3, 3, 3, 6)
    expected = np.einsum("bi,bj,bl,ijlk->bk", *parts, kernel)
    expected[~np.stack([mask.any(1) for mask in masks]).any(0)] = 0
    np.testing.assert_allclose(call(layer, tokens, masks), expected, atol=1e-4)


def test_a_tensor_that_explodes_is_refused():
    tokens, masks = example(3)
    layer = room.Tensor(units=6, max_size=100)
    with pytest.raises(ValueError, match=r"has 120, with 720 weights.*dim=8.*=100"):
        call(layer, tokens, masks)


@pytest.mark.parametrize("name", ["bilinear", "bilinear_projected"])
@pytest.mark.backends
def test_bilinear_has_a_matrix_for_each_pair_and_unit(name):
    layer, tokens, masks = made(name)
    means, got = pooled(tokens, masks), call(layer, tokens, masks)
    if name == "bilinear_projected":
        means = [z @ weight(layer, f"projection_{m}/") for m, z in enumerate(means)]
    kernel = weight(layer, "output/")
    for row in range(6):
        expected, start = np.zeros(6), 0
        for pair in itertools.combinations(range(3), 2):
            present = [masks[m][row].any() for m in pair]
            one, two = (
                means[m][row] if is_present else np.ones(means[m].shape[1])
                for m, is_present in zip(pair, present)
            )
            part = kernel[start : start + len(one) * len(two)]
            start += len(part)
            for unit in range(6):
                matrix = part[:, unit].reshape(len(one), len(two))
                expected[unit] += any(present) * (one @ matrix @ two)
        np.testing.assert_allclose(got[row], expected, atol=1e-4)


def test_bilinear_refuses_one_modality_and_many_products():
    with pytest.raises(ValueError, match=r"two modalities.*Received: 1 modality$"):
        call(room.Bilinear(units=6), *example(1))
    with pytest.raises(ValueError, match=r"have 47 .*with 282 .*dim=8.*max_size=46"):
        call(room.Bilinear(units=6, max_size=46), *example(3))


@pytest.mark.backends
def test_low_rank_is_a_tensor_of_few_factors():
    layer, tokens, masks = made("low_rank", count=2)
    factors = []
    for m in range(2):
        kernel = weight(layer, f"projection_{m}/", "kernel")
        bias = weight(layer, f"projection_{m}/", "bias")
        factors.append(np.vstack([bias, kernel]).reshape(-1, 3, 6))
    rank = weight(layer, "rank_weights")
    full = np.einsum("r,iro,jro->ijo", rank, *factors)
    one, two = [np.c_[np.ones(6), z] for z in pooled(tokens, masks)]
    (bias,) = [w for w in layer.weights if w.shape == (6,)]
    expected = np.einsum("bi,bj,ijo->bo", one, two, full) + ops.convert_to_numpy(bias)
    expected[~np.stack([mask.any(1) for mask in masks]).any(0)] = 0
    np.testing.assert_allclose(call(layer, tokens, masks), expected, atol=2e-4)


@pytest.mark.backends
def test_product_of_experts_weighs_with_precision():
    layer, tokens, masks = made("product_of_experts")
    fused, shares = call(layer, tokens, masks, return_weights=True)
    means = pooled(tokens, masks)
    for row in range(6):
        precisions, weighted = np.zeros((3, 6)), np.zeros(6)
        for m in range(3):
            if masks[m][row].any():
                out = means[m][row] @ weight(layer, f"projection_{m}/", "kernel")
                out = out + weight(layer, f"projection_{m}/", "bias")
                precisions[m] = np.exp(6 * np.tanh(out[6:] / 6))
                weighted += precisions[m] * out[:6]
        total = precisions.sum(0)
        np.testing.assert_allclose(fused[row], weighted / (1 + total), atol=1e-4)
        expected = np.divide(precisions, total, where=total > 0, out=np.zeros((3, 6)))
        np.testing.assert_allclose(shares[row], expected.mean(1), atol=1e-5)


@pytest.mark.backends
def test_attention_in_numpy():
    tokens, masks = example(2)
    layer = room.Attention(units=6, num_heads=2)
    call(layer, tokens, masks)
    randomise(layer)
    fused, maps = call(layer, tokens, masks, return_weights=True)
    x = [t @ weight(layer, f"projection_{m}/") for m, t in enumerate(tokens)]
    out = []
    for a, b in [(0, 1), (1, 0)]:
        name = f"attention_{a}_{b}"

        def project(x, part, name=name):
            kernel = weight(layer, name, f"/{part}/", "kernel")
            bias = weight(layer, name, f"/{part}/", "bias")
            return np.einsum("bld,dhk->bhlk", x, kernel) + bias[:, None]

        q, k, v = project(x[a], "query"), project(x[b], "key"), project(x[b], "value")
        rows = []
        for row in range(len(q)):
            keys = masks[b][row]
            update = np.zeros_like(x[a][row])
            if keys.any():
                scores = softmax(
                    q[row] @ k[row][:, keys].transpose(0, 2, 1) / np.sqrt(3), -1
                )
                np.testing.assert_allclose(
                    maps[0 if a == 0 else 1][row][masks[a][row]][:, keys],
                    scores.mean(0)[masks[a][row]],
                    atol=1e-5,
                )
                mixed = scores @ v[row][:, keys]
                update = np.einsum(
                    "hlk,hkd->ld",
                    mixed,
                    weight(layer, name, "attention_output", "kernel"),
                ) + weight(layer, name, "attention_output", "bias")
            y = x[a][row] + update
            y = (y - y.mean(-1, keepdims=True)) / np.sqrt(
                y.var(-1, keepdims=True) + 1e-3
            )
            y = y * weight(layer, f"normalization_{a}", "gamma") + weight(
                layer, f"normalization_{a}", "beta"
            )
            mask = masks[a][row]
            rows.append(y[mask].mean(0) if mask.any() else np.zeros(6))
        out.append(np.stack(rows))
    np.testing.assert_allclose(fused, np.concatenate(out, -1), atol=2e-4)


@pytest.mark.backends
def test_transformer_is_the_encoders_block_over_all_tokens():
    """Stock layers, wired by the function that encoders use, give the same."""
    layer, tokens, masks = made("transformer", count=2)
    got = call(layer, tokens, masks)
    wide = [t @ weight(layer, f"projection_{m}/") for m, t in enumerate(tokens)]
    wide = [t + row for t, row in zip(wide, weight(layer, "modalities"))]
    x = np.concatenate(wide, 1).astype("float32")
    mask = np.concatenate(masks, 1)
    given = keras.Input(x.shape[1:])
    attended = keras.Input((1, x.shape[1]), dtype="bool")
    y = given
    for _ in range(2):
        y = transformer_block(y, 2, 7, mask=attended)
    model = keras.Model([given, attended], keras.layers.LayerNormalization()(y))
    model.set_weights(
        [
            weight(layer, f"/block_{block}/{name}/", *part)
            for block in range(2)
            for name, *part in [
                ("first_norm", "gamma"),
                ("first_norm", "beta"),
                *[
                    ("attention", f"/{part}/", kind)
                    for part in ("query", "key", "value", "attention_output")
                    for kind in ("kernel", "bias")
                ],
                ("second_norm", "gamma"),
                ("second_norm", "beta"),
                ("inner", "kernel"),
                ("inner", "bias"),
                ("outer", "kernel"),
                ("outer", "bias"),
            ]
        ]
        + [weight(layer, "last_norm", "gamma"), weight(layer, "last_norm", "beta")]
    )
    rows = mask.any(1)
    expected = model.predict([x[rows], mask[rows][:, None]], verbose=0)
    expected = [out[m].mean(0) for out, m in zip(expected, mask[rows])]
    np.testing.assert_allclose(got[rows], expected, atol=1e-4)
    assert (got[~rows] == 0).all() and not rows.all()


def normalised(layer, name, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    return x * weight(layer, name, "gamma") + weight(layer, name, "beta")


def block_in_numpy(layer, name, x, context=None):
    """One row's tokens, none of them masked."""
    y = normalised(layer, f"/{name}/first_norm/", x)
    attended = (
        y if context is None else normalised(layer, f"/{name}/first_norm/", context)
    )

    def project(x, part):
        path = f"/{name}/attention/", f"/{part}/"
        kernel, bias = (weight(layer, *path, kind) for kind in ("kernel", "bias"))
        return np.einsum("ld,dhk->hlk", x, kernel) + bias[:, None]

    query, key, value = (
        project(of, part)
        for of, part in ((y, "query"), (attended, "key"), (attended, "value"))
    )
    scores = softmax(query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1]), -1)
    path = f"/{name}/attention/", "/attention_output/"
    kernel, bias = (weight(layer, *path, kind) for kind in ("kernel", "bias"))
    x = x + np.einsum("hlk,hkd->ld", scores @ value, kernel) + bias
    y = normalised(layer, f"/{name}/second_norm/", x)
    y = y @ weight(layer, f"/{name}/inner/", "kernel") + weight(
        layer, f"/{name}/inner/", "bias"
    )
    y = y * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
    y = y @ weight(layer, f"/{name}/outer/", "kernel")
    return x + y + weight(layer, f"/{name}/outer/", "bias")


def seen_tokens(layer, tokens, masks, row):
    """dict from modality to its projected tokens that are present."""
    return {
        m: tokens[m][row][masks[m][row]] @ weight(layer, f"projection_{m}/")
        + weight(layer, "modalities")[m]
        for m in range(len(tokens))
        if masks[m][row].any()
    }


@pytest.mark.backends
def test_bottleneck_shares_a_few_tokens():
    layer, tokens, masks = made("bottleneck")
    got = call(layer, tokens, masks)
    for row in range(6):
        parts, shared = seen_tokens(layer, tokens, masks, row), weight(layer, "shared")
        if not parts:
            assert (got[row] == 0).all()
            continue
        for number in range(2):
            shared_after = []
            for m in parts:
                x = np.concatenate([parts[m], shared])
                x = block_in_numpy(layer, f"modality_{m}_{number}", x)
                parts[m] = x[:-2]
                shared_after.append(x[-2:])
            shared = np.mean(shared_after, axis=0)
        means = [
            normalised(layer, "last_norm", x).mean(0) for x in (shared, *parts.values())
        ]
        np.testing.assert_allclose(got[row], np.mean(means, axis=0), atol=1e-3)


@pytest.mark.backends
def test_perceiver_has_queries_that_look_at_everything():
    layer, tokens, masks = made("perceiver")
    got = call(layer, tokens, masks)
    for row in range(6):
        parts = list(seen_tokens(layer, tokens, masks, row).values())
        x = weight(layer, "queries")
        for number in range(2):
            context = np.concatenate([*parts, x])
            x = block_in_numpy(layer, f"block_{number}", x, context)
        expected = normalised(layer, "last_norm", x).mean(0) if parts else np.zeros(6)
        np.testing.assert_allclose(got[row], expected, atol=1e-3)


@pytest.mark.parametrize("name", ["co_attention", "co_attention_tied"])
@pytest.mark.backends
def test_co_attention_looks_at_all_others(name):
    layer, tokens, masks = made(name)
    got = call(layer, tokens, masks)
    for row in range(6):
        parts = seen_tokens(layer, tokens, masks, row)
        for number in range(2 if layer.tied else 1):
            if len(parts) > 1:
                parts = {
                    m: block_in_numpy(
                        layer,
                        f"block_{number}"
                        if "tied" in name
                        else f"modality_{m}_{number}",
                        parts[m],
                        np.concatenate([parts[other] for other in parts if other != m]),
                    )
                    for m in parts
                }
        means = [
            normalised(layer, "last_norm", parts[m]).mean(0)
            if m in parts
            else np.zeros(6)
            for m in range(3)
        ]
        np.testing.assert_allclose(got[row], np.concatenate(means), atol=1e-3)


@pytest.mark.parametrize("num_layers, num_self_layers", [(2, 0), (1, 1)])
@pytest.mark.backends
def test_mult_has_a_stack_for_each_ordered_pair(num_layers, num_self_layers):
    _, tokens, masks = made("mult")
    layer = room.MulT(6, num_layers, num_self_layers, num_heads=2, hidden_units=7)
    call(layer, tokens, masks)
    randomise(layer)
    got = call(layer, tokens, masks)
    for row in range(6):
        parts = seen_tokens(layer, tokens, masks, row)
        means = np.zeros((3, 12))
        for target, x in parts.items():
            results = []
            for source in {0, 1, 2} - {target}:
                y = x
                for number in range(num_layers):
                    if source in parts:
                        stack = f"stack_{target}_{source}_{number}"
                        y = block_in_numpy(layer, stack, y, parts[source])
                results.append(y)
            y = np.concatenate(results, axis=-1)
            if num_self_layers:
                y = block_in_numpy(layer, f"self_{target}_0", y)
            means[target] = normalised(layer, "last_norm", y).mean(0)
        expected = means.reshape(-1) @ weight(layer, "/output/")
        np.testing.assert_allclose(got[row], expected, atol=2e-3)


@pytest.mark.backends
def test_mixture_asks_an_expert_for_each_modality():
    layer, tokens, masks = made("mixture_of_experts")
    means = pooled(tokens, masks)
    logits = np.concatenate(means, -1) @ weight(layer, "gate/")
    fused, gates = call(layer, tokens, masks, return_weights=True)
    for row in range(6):
        present = [m for m in range(3) if masks[m][row].any()]
        expected = np.zeros(3)
        if present:
            expected[present] = softmax(logits[row][present], 0)
        np.testing.assert_allclose(gates[row], expected, atol=1e-5)
        total = np.zeros(6)
        for m in present:
            x = means[m][row]
            for name in ("hidden", "expert"):
                x = x @ weight(layer, f"{name}_{m}/", "kernel")
                x = x + weight(layer, f"{name}_{m}/", "bias")
                x = np.maximum(x, 0) if name == "hidden" else x
            total += expected[m] * x
        np.testing.assert_allclose(fused[row], total, atol=1e-4)


@pytest.mark.backends
def test_film_scales_and_shifts():
    layer, tokens, masks = made("film")
    condition, *others = pooled(tokens, masks)
    gamma, beta = np.split(condition @ weight(layer, "modulation_0/"), 2, axis=-1)
    content = sum(z @ weight(layer, f"projection_{m}/") for m, z in enumerate(others))
    expected = (1 + gamma) * content + beta
    np.testing.assert_allclose(call(layer, tokens, masks), expected, atol=1e-5)
    # Row 1 has no condition: nothing is changed.
    np.testing.assert_allclose(expected[1], content[1])
    with pytest.raises(ValueError, match="Received: condition=2 with 2 modalities"):
        call(room.FiLM(condition=2), *example(2))


def experts_in_numpy(layer, tokens, masks):
    """Log-probabilities `(rows, modalities, units)` and presence."""
    logits = [
        mean @ weight(layer, f"expert_{m}", "kernel")
        + weight(layer, f"expert_{m}", "bias")
        for m, mean in enumerate(pooled(tokens, masks))
    ]
    logits = np.stack(logits, axis=1)
    present = np.stack([mask.any(axis=1) for mask in masks], axis=1)
    return np.log(softmax(logits, -1)), present


@pytest.mark.backends
def test_late_mean_is_of_probabilities_or_logits():
    tokens, masks = example(3)
    for of in ("probabilities", "logits"):
        layer = room.LateMean(of, units=4, activation="softmax")
        call(layer, tokens, masks)
        randomise(layer)
        got = softmax(call(layer, tokens, masks), -1)
        scores, present = experts_in_numpy(layer, tokens, masks)
        for row in range(len(got)):
            values = scores[row][present[row]]
            values = values if of == "logits" else np.exp(values)
            expected = values.mean(axis=0)
            expected = np.exp(expected) if of == "logits" else expected
            np.testing.assert_allclose(
                got[row], expected / expected.sum(), atol=1e-5, err_msg=of
            )


@pytest.mark.backends
def test_late_mean_of_labels_is_a_mean_of_probabilities():
    tokens, masks = example(2)
    layer = room.LateMean(units=4, activation="sigmoid")
    _, logits, present = call(layer, tokens, masks, return_experts=True)
    fused = call(layer, tokens, masks)
    share = present / present.sum(axis=1, keepdims=True)
    expected = (share[..., None] / (1 + np.exp(-logits))).sum(axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-fused)), expected, atol=1e-5)


@pytest.mark.backends
def test_late_weighted_gives_the_weight_of_the_absent_to_the_others():
    tokens, masks = example(3)
    layer = room.LateWeighted(units=4, activation="softmax")
    call(layer, tokens, masks)
    randomise(layer)
    got, shares = call(layer, tokens, masks, return_weights=True)
    scores, present = experts_in_numpy(layer, tokens, masks)
    raw = np.exp(weight(layer, "weight_logits")) * present
    expected = raw / raw.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, expected, atol=1e-6)
    fused = weight(layer, "scale") * (expected[..., None] * scores).sum(axis=1)
    np.testing.assert_allclose(got, fused, rtol=1e-4, atol=1e-5)


@pytest.mark.backends
def test_stacking_is_a_linear_model_of_experts_logits():
    tokens, masks = example(3)
    layer = room.Stacking(units=4, activation="softmax")
    fresh = call(layer, tokens, masks)
    scores, present = experts_in_numpy(layer, tokens, masks)
    scores = (scores - scores.mean(axis=-1, keepdims=True)) * present[..., None]
    np.testing.assert_allclose(fresh, scores.sum(axis=1) / 3, atol=1e-5)
    randomise(layer)
    got = call(layer, tokens, masks)
    scores, present = experts_in_numpy(layer, tokens, masks)
    scores = (scores - scores.mean(axis=-1, keepdims=True)) * present[..., None]
    expected = np.tensordot(scores, ops.convert_to_numpy(layer.kernel), 2)
    expected = expected + ops.convert_to_numpy(layer.bias)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.backends
def test_hybrid_has_one_expert_more():
    tokens, masks = example(2)
    layer = room.Hybrid(room.Gated(5), units=4, activation="softmax")
    _, shares, logits, present = call(
        layer, tokens, masks, return_weights=True, return_experts=True
    )
    _, gates = call(layer.early, tokens, masks, return_weights=True)
    # Equal weights: a third, and the early fusion's third by its gates.
    equal = present / present.sum(axis=1, keepdims=True)
    expected = equal[:, :2] + equal[:, 2:] * gates
    np.testing.assert_allclose(shares, expected, atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), present.any(axis=1), atol=1e-6)
    assert logits.shape == (5, 3, 4) and present.shape == (5, 3)
    early = call(layer.early, tokens, masks)
    expected = early @ weight(layer, "expert_2", "kernel")
    np.testing.assert_allclose(
        logits[:, 2], expected + weight(layer, "expert_2", "bias"), atol=1e-5
    )
    assert (present[:, 2] == present[:, :2].any(axis=1)).all()
    with pytest.raises(ValueError, match="Received: early='gated'"):
        room.Hybrid("gated")


@pytest.mark.backends
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_members_share_kernels_and_average_their_predictions(activation):
    tokens, masks = example(1)
    layer = room.LateMean(
        units=4, activation=activation, hidden_units=[6, 5], members=3
    )
    call(layer, tokens, masks)
    # Signs at first, so that the members differ.
    assert set(np.unique(weight(layer, "hidden_0", "input_scales"))) == {-1, 1}
    randomise(layer)
    fused, logits, present = call(layer, tokens, masks, return_experts=True)
    assert logits.shape == (5, 3, 4) and present.shape == (5, 3)
    mean = ops.convert_to_numpy(masked_mean(tokens[0], masks[0]))
    for member in range(3):
        x = mean
        for name in ("hidden_0", "hidden_1_0"):
            x = (x * weight(layer, name, "input_scales")[member]) @ weight(
                layer, name, "kernel"
            )
            x = x * weight(layer, name, "output_scales")[member]
            x = np.maximum(x + weight(layer, name, "bias")[member], 0)
        x = x @ weight(layer, "expert_0", "kernel")[member]
        x = x + weight(layer, "expert_0", "bias")[member]
        np.testing.assert_allclose(logits[:, member], x, rtol=1e-4, atol=1e-4)
    rows = present[:, 0]
    if activation == "softmax":
        got, each = softmax(fused, -1), softmax(logits, -1)
    elif activation == "sigmoid":
        got, each = 1 / (1 + np.exp(-fused)), 1 / (1 + np.exp(-logits))
    else:
        got, each = fused, logits
    np.testing.assert_allclose(got[rows], each[rows].mean(axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.backends
def test_a_linear_expert_beside_members_is_one_network():
    tokens, masks = example(2)
    layer = room.LateMean(units=4, hidden_units=[6], members=3, linear=[1])
    call(layer, tokens, masks)
    randomise(layer)
    _, logits, _ = call(layer, tokens, masks, return_experts=True)
    mean = ops.convert_to_numpy(masked_mean(tokens[1], masks[1]))
    x = mean @ weight(layer, "expert_1", "kernel") + weight(layer, "expert_1", "bias")
    assert not np.allclose(logits[:, 0], logits[:, 1])
    for member in range(3, 6):
        np.testing.assert_allclose(logits[:, member], x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 5)])
def test_ensemble_dense_in_keras_layer_harness(shape):
    testing.TestCase().run_layer_test(
        room.EnsembleDense,
        {"units": 4, "members": 3, "activation": "relu", "random_signs": True},
        input_shape=shape,
        expected_output_shape=(2, 3, 4),
        expected_num_trainable_weights=4,
    )


def test_members_without_a_hidden_layer_are_refused():
    with pytest.raises(ValueError, match="Received: members=2, hidden_units=None"):
        room.LateMean(members=2)
    with pytest.raises(ValueError, match="Received: members=0"):
        room.LateMean(members=0)
    with pytest.raises(ValueError, match="Received: units=0, members=1"):
        room.EnsembleDense(0, 1)


@given(st.integers(0, 10_000))
@pytest.mark.backends
def test_masked_mean_and_softmax(seed):
    random = np.random.default_rng(seed)
    tokens = random.normal(size=(3, 4, 2)).astype("float32")
    mask = random.random((3, 4)) < 0.5
    got = ops.convert_to_numpy(
        masked_mean(ops.convert_to_tensor(tokens), ops.convert_to_tensor(mask))
    )
    np.testing.assert_allclose(got, pooled([tokens], [mask])[0], atol=1e-5)
    logits = random.normal(size=(3, 4)).astype("float32") * 5
    weights = ops.convert_to_numpy(
        masked_softmax(ops.convert_to_tensor(logits), ops.convert_to_tensor(mask))
    )
    np.testing.assert_allclose(weights.sum(1), mask.any(1), atol=1e-5)
    assert (weights[~mask] == 0).all()
    for row in range(3):
        if mask[row].any():
            np.testing.assert_allclose(
                weights[row][mask[row]], softmax(logits[row][mask[row]], 0), atol=1e-5
            )


@pytest.mark.backends
def test_masked_mean_is_blind_to_nan_and_infinity():
    tokens = np.array([[[1.0], [np.nan], [np.inf]]], "float32")
    mask = np.array([[True, False, False]])
    got = masked_mean(ops.convert_to_tensor(tokens), ops.convert_to_tensor(mask))
    assert ops.convert_to_numpy(got).tolist() == [[1.0]]


@pytest.mark.backends
def test_presence():
    masks = [np.array([[True, False], [False, False]]), np.array([[False], [True]])]
    got = presence([ops.convert_to_tensor(mask) for mask in masks])
    assert ops.convert_to_numpy(got).tolist() == [[True, False], [False, True]]


# --- parameters ----------------------------------------------------------------


@fusions
def test_exact_parameter_count(name):
    fewest = 2 if name.startswith(("film", "bilinear")) else 1
    for count in range(fewest, 4):
        check_parameter_count(name, count)


def check_parameter_count(name, count):
    layer = ALL[name]()
    layer(
        [keras.KerasTensor((None, LENGTHS[m], DIMS[m])) for m in range(count)],
        [keras.KerasTensor((None, LENGTHS[m]), "bool") for m in range(count)],
    )
    width, units, pairs = sum(DIMS[:count]), 6, count * (count - 1)
    gate = {1: 0, 2: units, 3: 3 * units}[count] * width

    # Query, key, value and output; two Dense layers; two normalisations.
    def block_of(dim):
        return 4 * dim * (dim + 1) + 7 * (dim + 1) + dim * 8 + 4 * dim

    block, wide = block_of(units), max(1, count - 1) * units
    tokens_in = units * width + count * units
    expected = {
        "concat": units * width,
        "concat_plain": 0,
        "sum": units * width,
        "mean": units * width,
        "max": units * width,
        "attention_weights": units * width + count * width,
        "mlb": 4 * width + 4 * units,
        "mfb": 2 * units * width,
        "tensor": units * np.prod([dim + 1 for dim in DIMS[:count]]),
        "tensor_projected": 2 * width + units * 3**count,
        "low_rank": 3 * units * (width + count) + 3 + units,
        "product_of_experts": 2 * units * (width + count),
        "transformer": tokens_in + 2 * block + 2 * units,
        "bottleneck": tokens_in + 2 * units + count * 2 * block + 2 * units,
        "perceiver": tokens_in + 2 * units + 2 * block + 2 * units,
        "bilinear": units
        * sum(one * two for one, two in itertools.combinations(DIMS[:count], 2)),
        "bilinear_projected": 2 * width + units * 4 * pairs // 2,
        "co_attention": tokens_in + (count > 1) * count * block + 2 * units,
        "co_attention_tied": tokens_in + (count > 1) * 2 * block + 2 * units,
        "mult": tokens_in
        + pairs * block
        + count * block_of(wide)
        + 2 * wide
        + count * wide * units,
        "mixture_of_experts": units * width
        + count * (units * units + 2 * units)
        + count * width,
        "film": units * (width + DIMS[0]),
        "weighted": units * width + count,
        "gated": units * width + gate,
        # Query, key, value and output with biases; a normalisation a modality.
        "attention": units * width
        + pairs * (4 * units * units + 4 * units)
        + count * 2 * units,
        # What `fit` sets without gradients: each expert's weight in the loss...
        "late_mean": units * (width + count) + count,
        "late_mean_hidden": 7 * (width + count) + count * units * 8 + count,
        "late_mean_members": 10 * width
        + count * (3 * 14 + 5 * 7 + 3 * (7 + 10) + 3 * units * 6 + 1),
        "hybrid_members": (7 + 2) * 2 * width
        + (count + 1) * (2 * 14 + 2 * units * 8 + 2)
        + 1,
        "hybrid_linear": units * (DIMS[0] + 1)
        + 9 * (2 * width - DIMS[0])
        + count * (2 * 14 + 2 * units * 8)
        + 2 * (count + 1)
        + 1,
        # ... in the answer, and a scale.
        "late_weighted": units * (width + count) + 2 * count + 1,
        "stacking": units * (width + count) + count + count * units * units + units,
        "hybrid": units * (width + count + 6)
        + 5 * width
        + gate // units * 5
        + 2 * (count + 1)
        + 1,
    }[name]
    assert layer.count_params() == expected, count


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.backends)])
@pytest.mark.usefixtures("eagerly")
@fusions
def test_every_weight_is_trained(name, count):
    """A fusion whose factors never move has been published more than once."""
    # Enough rows for each unit's largest to be of each modality in one of them.
    tokens, masks = example(count, rows=64)
    layer = ALL[name]()
    inputs = [keras.Input(t.shape[1:]) for t in tokens]
    mask_inputs = [keras.Input(m.shape[1:], dtype="bool") for m in masks]
    output = keras.layers.Dense(1)(layer(inputs, mask_inputs))
    model = keras.Model([*inputs, *mask_inputs], output)
    randomise(layer)
    before = [np.copy(w) for w in layer.get_weights()]
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    target = np.random.default_rng(0).normal(size=(64, 1))
    model.fit([*tokens, *masks], target, batch_size=64, verbose=0)
    for old, new, variable in zip(before, layer.get_weights(), layer.weights):
        if "key/bias" in variable.path or not variable.trainable:
            # Softmax does not feel a shift of all its logits.
            continue
        assert np.isfinite(new).all()
        assert not np.array_equal(old, new), variable.path


# --- masks ---------------------------------------------------------------------


@functools.cache
def random_layer(name):
    """A layer of random weights, and tokens of three modalities."""
    tokens, masks = example(3)
    layer = ALL[name]()
    call(layer, tokens, masks)
    randomise(layer)
    return layer, tokens


@settings(max_examples=6)
@given(seed=st.integers(0, 10_000))
@fusions
@pytest.mark.backends
def test_padding_order_and_absent_modalities_change_nothing(name, seed):
    """Any content behind a mask, at any place, in any order of the rows."""
    layer, tokens = random_layer(name)
    random = np.random.default_rng(seed)
    masks = [random.random(token.shape[:2]) < 0.6 for token in tokens]
    for mask in masks:
        mask[random.random(len(mask)) < 0.3] = False
    rows = random.permutation(len(masks[0]))
    changed, changed_masks = [], []
    for token, mask in zip(tokens, masks):
        token = np.where(mask[..., None], token, 1e4 * random.normal(size=token.shape))
        token = np.pad(token, ((0, 0), (0, 2), (0, 0)), constant_values=-1e4)
        steps = random.permutation(token.shape[1])
        changed.append(token[rows][:, steps].astype("float32"))
        changed_masks.append(np.pad(mask, ((0, 0), (0, 2)))[rows][:, steps])
    np.testing.assert_allclose(
        call(layer, changed, changed_masks),
        call(layer, tokens, masks)[rows],
        rtol=1e-4,
        atol=1e-5,
    )


@fusions
def test_every_subset_is_finite_and_rows_are_independent(name):
    subsets = list(itertools.product([False, True], repeat=3))
    tokens, _ = example(3, rows=len(subsets))
    masks = [
        np.repeat(np.array(subsets)[:, m : m + 1], LENGTHS[m], axis=1) for m in range(3)
    ]
    layer = ALL[name]()
    together = call(layer, tokens, masks)
    assert np.isfinite(together).all()
    assert (together[0] == 0).all(), "a row without any modality gives 0"
    assert all(np.abs(row).sum() > 0 for row in together[1:])
    for row in range(len(subsets)):
        one = [t[row : row + 1] for t in tokens], [m[row : row + 1] for m in masks]
        np.testing.assert_allclose(call(layer, *one)[0], together[row], atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "weighted",
        "attention_weights",
        "gated",
        "mixture_of_experts",
        "product_of_experts",
        "attention",
        "late_mean",
        "late_weighted",
        "hybrid",
    ],
)
def test_weights_have_the_announced_shapes(name):
    tokens, masks = example(3)
    symbolic = ALL[name]()(
        [keras.KerasTensor((None, *t.shape[1:])) for t in tokens],
        [keras.KerasTensor((None, *m.shape[1:]), "bool") for m in masks],
        return_weights=True,
    )
    real = call(ALL[name](), tokens, masks, return_weights=True)
    for spec, value in zip(keras.tree.flatten(symbolic), keras.tree.flatten(real)):
        assert spec.shape[1:] == value.shape[1:]
        assert str(spec.dtype) == str(value.dtype)


# --- Keras's own harness, and files --------------------------------------------


def structure(make):
    """Nested shapes and dtypes -> inputs; the harness itself cannot nest so far."""

    def create(shapes, dtypes, *_):
        if isinstance(dtypes, str):
            return make(shapes, dtypes)
        if isinstance(dtypes, dict):
            return {
                k.removesuffix("_shape"): create(shapes[k], dtypes[k]) for k in dtypes
            }
        return tuple(map(create, shapes, dtypes))

    return create


def random_tensor(shape, dtype):
    values = np.random.default_rng(0).random(shape)
    return ops.convert_to_tensor(
        values < 0.8 if dtype == "bool" else values.astype(dtype)
    )


HARNESS = {
    ScoredFusion: {
        # An object could be built once only.
        "fusion": keras.saving.serialize_keras_object(room.Concat(units=6)),
        "hidden_units": 3,
        "dropout": 0.5,
    },
    room.Concat: {"units": 6},
    room.Sum: {"units": 6},
    room.Mean: {"units": 6},
    room.Max: {"units": 6},
    room.AttentionWeights: {"units": 6},
    room.MLB: {"units": 6, "rank": 4},
    room.MFB: {"units": 6, "num_factors": 2},
    room.Tensor: {"units": 6, "dim": 3},
    room.LowRank: {"units": 6, "rank": 3},
    room.Bilinear: {"units": 6, "dim": 3},
    room.CoAttention: {"units": 6, "num_heads": 2, "tied": True},
    room.MulT: {"units": 6, "num_heads": 2},
    room.ProductOfExperts: {"units": 6},
    room.Transformer: {"units": 6, "num_heads": 2, "dropout": 0.1},
    room.Bottleneck: {"units": 6, "num_heads": 2, "num_layers": 1},
    room.Perceiver: {"units": 6, "num_heads": 2, "num_layers": 1},
    room.MixtureOfExperts: {"units": 6},
    room.FiLM: {"units": 6},
    room.Weighted: {"units": 6},
    room.Gated: {"units": 6},
    room.Attention: {"units": 6, "num_heads": 2, "dropout": 0.1},
    room.LateMean: {
        "units": 6,
        "activation": "softmax",
        "hidden_units": [3],
        "members": 2,
    },
    room.LateWeighted: {"units": 6, "activation": "softmax"},
    room.Stacking: {"units": 6, "activation": "softmax"},
    room.Hybrid: {"units": 6, "activation": "softmax"},
    room.MissingToken: {},
    room.Imputation: {"units": 3},
    room.ModalityDropout: {"rate": 0.5, "seed": 3},
}


@pytest.mark.parametrize("layer", HARNESS, ids=lambda layer: layer.__name__)
def test_keras_layer_harness(layer):
    tokens, masks = ((2, 3, 4), (2, 2, 5)), ((2, 3), (2, 2))
    shapes = {"tokens_shape": tokens, "masks_shape": masks}
    dtypes = {"tokens_shape": ("float32",) * 2, "masks_shape": ("bool",) * 2}
    if layer is room.ModalityDropout:
        shapes, dtypes = shapes["masks_shape"], dtypes["masks_shape"]
    shape = None
    if issubclass(layer, room.Fusion):
        shape = (2, 12 if layer in (room.Attention, room.CoAttention) else 6)
    if layer is ScoredFusion:
        # The last modality's 5 beside the Dense layer's.
        shape = (2, 3 + 5)
    with mock.patch.multiple(
        test_case,
        create_eager_tensors=structure(random_tensor),
        create_keras_tensors=structure(keras.KerasTensor),
    ):
        testing.TestCase().run_layer_test(
            layer,
            HARNESS[layer],
            input_shape=shapes,
            input_dtype=dtypes,
            expected_output_shape=shape,
            # Training takes one argument; test_every_weight_is_trained trains.
            run_training_check=False,
        )


@pytest.mark.usefixtures("eagerly")
@pytest.mark.backends
def test_all_of_them_in_one_keras_file(tmp_path):
    tokens, masks = example()
    inputs = [keras.Input(t.shape[1:]) for t in tokens]
    mask_inputs = [keras.Input(m.shape[1:], dtype="bool") for m in masks]
    fused = {}
    for name in ALL:
        layer = ALL[name]()
        fused[name] = layer(inputs, mask_inputs)
        randomise(layer)
    model = keras.Model([*inputs, *mask_inputs], fused)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict([*tokens, *masks], verbose=0)
    got = again.predict([*tokens, *masks], verbose=0)
    for name in ALL:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6, err_msg=name)


def test_errors_end_with_what_was_received():
    with pytest.raises(ValueError, match=r"num_heads.*Received: units=6, num_heads=4"):
        room.Attention(units=6, num_heads=4)
    with pytest.raises(ValueError, match="Received: units=0"):
        room.Mean(units=0)
    with pytest.raises(ValueError, match="Received: fusion='magic'"):
        room.get("magic")
    with pytest.raises(ValueError, match="Received: fusion=3"):
        room.get(3)
    with pytest.raises(ValueError, match="Received: fusion=<class"):
        room.get(keras_mm.fusion.Mean)


def test_every_name_gives_its_layer():
    for name, layer in room.FUSIONS.items():
        assert type(room.get(name)) is layer
