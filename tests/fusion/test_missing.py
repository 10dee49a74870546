"""Missing modalities: hidden in training, and learned tokens."""

import collections
import itertools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_mm.fusion import MissingToken, ModalityDropout


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
    there = np.any([m.any(1) for m in masks], axis=0)
    assert (np.any([m.any(1) for m in hidden], axis=0) == there).all()


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
    filled, shown = layer(
        [ops.convert_to_tensor(t) for t in tokens],
        [ops.convert_to_tensor(m) for m in masks],
    )
    filled = [ops.convert_to_numpy(t) for t in filled]
    shown = [ops.convert_to_numpy(m) for m in shown]
    assert shown[0].tolist() == [[True, False, False], [True, False, False]]
    assert shown[1].tolist() == [[True], [True]]
    assert (filled[0][0] == 1).all() and (filled[0][1, 0] == 5).all()
    assert (filled[1][0] == 6).all() and (filled[1][1] == 1).all()
    assert layer.count_params() == 6


def test_missing_token_is_trained():
    inputs = [keras.Input((2, 3)), keras.Input((1, 2))]
    masks = [keras.Input((2,), dtype="bool"), keras.Input((1,), dtype="bool")]
    layer = MissingToken()
    filled, shown = layer(inputs, masks)
    fused = keras.layers.Concatenate()([keras.layers.Flatten()(t) for t in filled])
    model = keras.Model([*inputs, *masks], keras.layers.Dense(1)(fused))
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", jit_compile=False)
    x = [np.zeros((2, 2, 3)), np.zeros((2, 1, 2))]
    hidden = [np.zeros((2, 2), bool), np.zeros((2, 1), bool)]
    model.fit([*x, *hidden], np.ones((2, 1)), verbose=0)
    assert all(np.abs(w).min() > 0 for w in layer.get_weights())
