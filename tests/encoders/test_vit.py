"""The patch Transformer, against the same in NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_mm
from keras_mm.encoders import ViT

from .test_encoders import pictures, run


def image(size=16):
    return keras_mm.Image((size, size), augmentation=None)


def small(**arguments):
    return ViT(
        **{"patch_size": 8, "units": 8, "num_blocks": 2, "num_heads": 2} | arguments
    )


@pytest.mark.parametrize("sequences", [False, True])
def test_tokens_and_masks(sequences):
    model = small().build({"image": image()}, "image-encoder", sequences)
    tokens, mask = run(model, pictures())
    assert tokens.shape == (4, 4 if sequences else 1, 8) and mask.dtype == bool
    assert mask[[0, 2, 3]].all() and not mask[1].any()
    assert np.isfinite(tokens).all()
    alone, _ = run(model, pictures()[[0, 2, 3]])
    np.testing.assert_allclose(tokens[[0, 2, 3]], alone, atol=1e-5)


def test_parameters():
    """Patches, places, and 12 d^2 or so a block."""
    model = small().build({"image": image()}, "image-encoder")
    d, patches = 8, 4
    block = 2 * 2 * d + 4 * (d * d + d) + (d * 2 * d + 2 * d) + (2 * d * d + d)
    expected = (8 * 8 * 3 * d + d) + patches * d + 2 * block + 2 * d
    assert model.count_params() == expected


def test_default_parameters():
    model = ViT().build({"image": image(96)}, "image-encoder")
    d = 64
    block = 2 * 2 * d + 4 * (d * d + d) + (d * 2 * d + 2 * d) + (2 * d * d + d)
    assert model.count_params() == (192 * d + d) + 144 * d + 3 * block + 2 * d


def normalized(x, gamma, beta):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(centred.var(-1, keepdims=True) + 1e-6) * gamma + beta


def test_in_numpy():
    model = small(num_blocks=1).build({"image": image()}, "image-encoder", True)
    keras.utils.set_random_seed(1)
    weights = [np.random.normal(size=w.shape, scale=0.3) for w in model.weights]
    model.set_weights(weights)
    x = pictures(2, absent=())
    tokens, _ = run(model, x)
    kernel, bias, places = weights[:3]
    (n1, m1), (q, qb, k, kb, v, vb, o, ob), (n2, m2), (w1, b1, w2, b2), (n3, m3) = (
        weights[3:5], weights[5:13], weights[13:15], weights[15:19], weights[19:]
    )  # fmt: skip
    squares = x.reshape(2, 2, 8, 2, 8, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 4, -1)
    h = squares @ kernel.reshape(-1, 8) + bias + places
    y = normalized(h, n1, m1)
    query, key, value = (
        np.einsum("btd,dhe->bhte", y, w) + b[None, :, None]
        for w, b in ((q, qb), (k, kb), (v, vb))
    )
    logits = query @ key.transpose(0, 1, 3, 2) / 2.0
    attention = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    h = h + np.einsum("bhte,hed->btd", attention @ value, o) + ob
    y = normalized(h, n2, m2) @ w1 + b1
    y = y / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
    h = normalized(h + y @ w2 + b2, n3, m3)
    np.testing.assert_allclose(tokens, h, atol=1e-4)


def test_sides_that_the_patch_does_not_divide():
    model = small().build({"image": image(20)}, "image-encoder", True)
    x = np.random.default_rng(0).random((2, 20, 20, 3)).astype("float32")
    tokens, mask = run(model, x)
    assert tokens.shape == (2, 9, 8)
    x[0, 19, 19] += 0.5
    changed, _ = run(model, x)
    assert np.abs(changed[0] - tokens[0]).max() > 1e-5


def test_every_weight_learns_and_dropout_is_for_training():
    keras.utils.set_random_seed(0)
    model = small(dropout=0.5).build({"image": image()}, "image-encoder")
    x = pictures(8)
    first, second = (run(model, x, training=True)[0] for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    tokens = ops.reshape(model.outputs[0], (-1, 8))
    trained = keras.Model(model.inputs, keras.layers.Dense(1)(tokens))
    before = [ops.convert_to_numpy(w).copy() for w in trained.trainable_weights]
    trained.compile("adam", "mse")
    trained.fit(x, np.arange(8.0)[:, None], epochs=2, verbose=0)
    names = [
        weight.path
        for old, weight in zip(before, trained.trainable_weights)
        if np.allclose(old, ops.convert_to_numpy(weight), atol=0)
    ]
    # A bias of all keys changes no softmax; Adam enlarges what rounding leaves.
    assert all("key" in name for name in names), names


def test_by_name_and_wrong_heads():
    encoder = keras_mm.encoders.get("vit", [image()])
    assert isinstance(encoder, ViT)
    with pytest.raises(ValueError, match="Received: units=10, num_heads=4"):
        ViT(units=10)
