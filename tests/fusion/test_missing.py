"""Missing modalities: hidden in training, and learned tokens."""

import collections
import itertools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_mm.fusion import Imputation, MissingToken, ModalityDropout

pytestmark = pytest.mark.backends


def hide(layer, masks):
    hidden = layer([ops.convert_to_tensor(mask) for mask in masks], training=True)
    return [ops.convert_to_numpy(mask) for mask in hidden]


def test_dropout_statistics():
    rows = 6000
    masks = [np.ones((rows, length), bool) for length in (2, 1, 3)]
    kept = np.stack([m.any(1) for m in hide(ModalityDropout(1.0, seed=1), masks)], 1)
    sizes = kept.sum(1)
    assert sizes.min() == 1
    # Uniform size, then uniform subset: 5 standard deviations of slack.
    slack = 5 * np.sqrt(2 / 9 / rows)
    for size in (1, 2, 3):
        assert abs((sizes == size).mean() - 1 / 3) < slack
        subsets = collections.Counter(map(tuple, kept[sizes == size]))
        expected = len(list(itertools.combinations(range(3), size)))
        assert len(subsets) == expected
        for count in subsets.values():
            assert abs(count / (sizes == size).sum() - 1 / expected) < 2.5 * slack


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_rate_is_the_share_of_rows_that_are_chosen(rate):
    rows = 6000
    masks = [np.ones((rows, 1), bool)] * 2
    kept = np.stack(hide(ModalityDropout(rate, seed=2), masks), 1)[..., 0]
    # Half of the chosen rows keep both.
    lost = (kept.sum(1) < 2).mean()
    assert abs(lost - rate / 2) <= 5 * np.sqrt(rate / 2 / rows)


@given(st.integers(0, 10_000))
def test_dropout_hides_only_what_is_there_and_never_all(seed):
    random = np.random.default_rng(seed)
    masks = [random.random((16, length)) < 0.5 for length in (2, 1, 3)]
    hidden = hide(ModalityDropout(1.0, seed=seed), masks)
    for mask, after in zip(masks, hidden):
        assert not (after & ~mask).any()
        # A modality is hidden as a whole, or not at all.
        assert ((after == mask).all(1) | ~after.any(1)).all()
    present = np.any([m.any(1) for m in masks], axis=0)
    assert (np.any([m.any(1) for m in hidden], axis=0) == present).all()


def test_dropout_rests_outside_training_and_with_one_modality():
    mask = np.ones((50, 2), bool)
    layer = ModalityDropout(1.0)
    for after in layer([ops.convert_to_tensor(mask)] * 2):
        assert ops.convert_to_numpy(after).all()
    assert hide(layer, [mask])[0].all()


def test_dropout_seed_and_rate():
    masks = [np.ones((50, 1), bool)] * 3
    first, second = (hide(ModalityDropout(0.5, seed=5), masks) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    layer = ModalityDropout(0.5, seed=5)
    assert not np.array_equal(hide(layer, masks), hide(layer, masks))
    with pytest.raises(ValueError, match=r"Received: rate=1.5$"):
        ModalityDropout(1.5)


def test_missing_token_fills_only_what_is_absent():
    tokens = [np.ones((2, 3, 4), "float32"), np.ones((2, 1, 2), "float32")]
    masks = [
        np.array([[True, False, False], [False, False, False]]),
        np.array([[False], [True]]),
    ]
    layer = MissingToken()
    layer.build(([t.shape for t in tokens]), [m.shape for m in masks])
    layer.set_weights([np.full(4, 5.0), np.full(2, 6.0)])
    filled, masks_after = layer(
        [ops.convert_to_tensor(t) for t in tokens],
        [ops.convert_to_tensor(m) for m in masks],
    )
    filled = [ops.convert_to_numpy(t) for t in filled]
    masks_after = [ops.convert_to_numpy(m) for m in masks_after]
    assert masks_after[0].tolist() == [[True, False, False], [True, False, False]]
    assert masks_after[1].tolist() == [[True], [True]]
    assert (filled[0][0] == 1).all() and (filled[0][1, 0] == 5).all()
    assert (filled[1][0] == 6).all() and (filled[1][1] == 1).all()
    assert layer.count_params() == 6


def test_missing_token_is_trained():
    inputs = [keras.Input((2, 3)), keras.Input((1, 2))]
    masks = [keras.Input((2,), dtype="bool"), keras.Input((1,), dtype="bool")]
    layer = MissingToken()
    filled, masks_after = layer(inputs, masks)
    fused = keras.layers.Concatenate()([keras.layers.Flatten()(t) for t in filled])
    model = keras.Model([*inputs, *masks], keras.layers.Dense(1)(fused))
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    x = [np.zeros((2, 2, 3)), np.zeros((2, 1, 2))]
    hidden = [np.zeros((2, 2), bool), np.zeros((2, 1), bool)]
    model.fit([*x, *hidden], np.ones((2, 1)), verbose=0)
    assert all(np.abs(w).min() > 0 for w in layer.get_weights())


# --- imputation ----------------------------------------------------------------


def imputed(layer, tokens, masks, **kwargs):
    filled, masks_after = layer(
        [ops.convert_to_tensor(t) for t in tokens],
        [ops.convert_to_tensor(m) for m in masks],
        **kwargs,
    )
    return (
        [ops.convert_to_numpy(t) for t in filled],
        [ops.convert_to_numpy(m) for m in masks_after],
    )


def three_modalities(rows=8, seed=0):
    random = np.random.default_rng(seed)
    tokens = [
        random.normal(size=(rows, length, dim)).astype("float32")
        for length, dim in ((3, 4), (2, 5), (1, 2))
    ]
    subsets = np.array(list(itertools.product([False, True], repeat=3)))
    masks = [
        np.repeat(subsets[:, m : m + 1], t.shape[1], axis=1)
        for m, t in enumerate(tokens)
    ]
    return tokens, masks, subsets


def test_imputation_in_numpy():
    tokens, masks, present = three_modalities()
    layer = Imputation(units=3, loss_weight=0.5)
    imputed(layer, tokens, masks)
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(size=w.shape) for w in layer.get_weights()])
    filled, masks_after = imputed(layer, tokens, masks, training=True)
    # In: 3 * (dim + 1); out: dim * (3 + 1); the dims are 4, 5 and 2.
    assert layer.count_params() == 11 * 3 + 3 * 3 + 11 * 4
    inner = [w for dense in layer.inner for w in dense.get_weights()]
    outer = [w for dense in layer.outer for w in dense.get_weights()]
    means = [t.mean(axis=1) for t in tokens]
    hidden = [np.tanh(m @ inner[2 * i] + inner[2 * i + 1]) for i, m in enumerate(means)]
    errors = []
    for m in range(3):
        others = [k for k in range(3) if k != m]
        top = bottom = 0.0
        for row, row_present in enumerate(present):
            inputs = [hidden[k][row] for k in others if row_present[k]]
            if not inputs:
                expected = row_present[m]
                assert (masks_after[m][row] == expected).all()
                continue
            guess = np.mean(inputs, axis=0) @ outer[2 * m] + outer[2 * m + 1]
            if row_present[m]:
                top += np.square(guess - means[m][row]).sum()
                bottom += np.square(means[m][row]).sum()
                np.testing.assert_array_equal(filled[m][row], tokens[m][row])
                assert masks_after[m][row].all()
            else:
                np.testing.assert_allclose(filled[m][row, 0], guess, atol=1e-5)
                assert masks_after[m][row].tolist() == [True] + [False] * (
                    tokens[m].shape[1] - 1
                )
        errors.append(top / bottom)
    np.testing.assert_allclose(float(layer.losses[0]), 0.5 * np.mean(errors), rtol=1e-4)
    imputed(layer, tokens, masks)
    assert not layer.losses, "only training learns"


def test_imputation_never_reads_what_is_absent():
    tokens, masks, _ = three_modalities()
    layer = Imputation(units=3)
    filled, masks_after = imputed(layer, tokens, masks)
    other = [
        np.where(m[..., None], t, 1e4).astype("float32") for t, m in zip(tokens, masks)
    ]
    again, _ = imputed(layer, other, masks)
    for one, two, mask in zip(filled, again, masks_after):
        np.testing.assert_allclose(one[mask], two[mask], atol=1e-5)


def test_imputation_learns_from_the_others():
    """Two modalities of the same content: one is predicted from the other."""
    random = np.random.default_rng(0)
    x = random.normal(size=(256, 1, 3)).astype("float32")
    tokens = [x, np.concatenate([x, -x], axis=-1)]
    inputs = [keras.Input((1, 3)), keras.Input((1, 6))]
    mask_inputs = [keras.Input((1,), dtype="bool"), keras.Input((1,), dtype="bool")]
    layer = Imputation(units=16, loss_weight=1.0)
    filled, _ = layer(inputs, mask_inputs)
    model = keras.Model([*inputs, *mask_inputs], filled[1])
    # The loss of the layer alone: the output has none of its own.
    model.compile(keras.optimizers.Adam(0.02), loss=lambda y, p: 0.0 * p)
    present = [np.ones((256, 1), bool)] * 2
    model.fit([*tokens, *present], tokens[1], epochs=20, verbose=0)
    absent = [present[0], np.zeros((256, 1), bool)]
    guess = model.predict([x, np.zeros_like(tokens[1]), *absent], verbose=0)
    assert np.square(guess - tokens[1]).mean() < 0.1 * np.square(tokens[1]).mean()


def test_imputation_refuses():
    with pytest.raises(ValueError, match="Received: units=0, loss_weight=0.1"):
        Imputation(units=0)
