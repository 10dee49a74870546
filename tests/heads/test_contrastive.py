"""Contrastive losses against NumPy, one query at a time."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from keras.src import testing

from keras_mm.heads import InfoNCE, SemiHardTriplet, SigmoidContrastive, Similarity

pytestmark = pytest.mark.backends


def info_nce(labels, similarity):
    compared, matches = labels >= 0, labels == 1
    if not matches.any():
        return 0.0
    logits = similarity[compared]
    highest = logits.max()
    total = highest + np.log(np.exp(logits - highest).sum())
    return np.mean([total - similarity[j] for j in np.flatnonzero(matches)])


def sigmoid(labels, similarity):
    signs = np.where(labels == 1, 1, -1)
    each = np.log1p(np.exp(-signs * similarity))
    return each[labels >= 0].sum()


def triplet(labels, similarity, margin=0.2):
    matches, others = similarity[labels == 1], similarity[labels == 0]
    if not len(matches) or not len(others):
        return 0.0
    lower = others[others < matches.min() - 1e-6]
    negative = lower.max() if len(lower) else others.min()
    return max(0.0, margin - matches.min() + negative)


LOSSES = {
    "contrastive": (InfoNCE, info_nce),
    "sigmoid": (SigmoidContrastive, sigmoid),
    "triplet": (SemiHardTriplet, triplet),
}


@pytest.mark.parametrize("name", LOSSES)
@given(seed=st.integers(0, 1000), rows=st.integers(1, 7), columns=st.integers(1, 9))
def test_formula(name, seed, rows, columns):
    """Any number of matches, none among them, and pairs that are left out."""
    make, by_hand = LOSSES[name]
    random = np.random.default_rng(seed)
    # Of one shape, which jax compiles once.
    labels, similarity = np.full((7, 9), -1.0, "float32"), np.zeros((7, 9), "float32")
    labels[:rows, :columns] = random.integers(-1, 2, (rows, columns))
    similarity[:rows, :columns] = random.normal(0.0, 1.5, (rows, columns))
    expected = [by_hand(*pair) for pair in zip(labels, similarity.astype("float64"))]
    got = ops.convert_to_numpy(make(reduction="none")(labels, similarity))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(make()))
    np.testing.assert_allclose(
        float(again(labels, similarity)), np.mean(expected), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_left_out_says_nothing(name):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (4, 6)).astype("float32")
    similarity = random.normal(size=(4, 6)).astype("float32")
    loss = LOSSES[name][0](reduction="none")
    expected = ops.convert_to_numpy(loss(labels[:, :4], similarity[:, :4]))
    labels[:, 4:] = -1
    for value in (0.0, 1e6, -1e6):
        similarity[:, 4:] = value
        got = ops.convert_to_numpy(loss(labels, similarity))
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_clip_is_a_case_of_it():
    """With one match each: Keras's own sparse cross-entropy."""
    logits = np.random.default_rng(0).normal(size=(5, 5)).astype("float32")
    stock = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    np.testing.assert_allclose(
        float(InfoNCE()(np.eye(5), logits)),
        float(stock(np.arange(5), logits)),
        rtol=1e-5,
    )


def test_similarity_is_a_layer():
    testing.TestCase().run_layer_test(
        Similarity,
        init_kwargs={"temperature": 0.1, "bias": -1.0, "memory": 3},
        input_shape=[(2, 4), (2, 4)],
        expected_output_shape=[(2, 4), (2, 4)],
        expected_num_trainable_weights=2,
        expected_num_non_trainable_weights=3,
        expected_num_seed_generators=0,
        run_training_check=False,
        supports_masking=False,
    )


def test_logits_and_memory():
    similarity = Similarity(temperature=0.1, bias=-1.0, memory=3)
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 2, 4)).astype("float32")
    vectors = similarity([one, other])
    np.testing.assert_array_equal(ops.convert_to_numpy(vectors[0]), one)
    got = ops.convert_to_numpy(similarity.logits(one, other))
    np.testing.assert_allclose(got, 10 * one @ other.T - 1, rtol=1e-5)
    similarity.remember([one, other], np.array([[1, 2, 3], [4, 5, 6]]))
    similarity.remember([2 * one, other], np.array([[7, 8, 9], [10, 11, 12]]))
    past = ops.convert_to_numpy(similarity.past[0])
    np.testing.assert_allclose(past, np.stack([2 * one[0], 2 * one[1], one[0]]))
    ids = ops.convert_to_numpy(similarity.past_ids)
    assert ids.tolist() == [[7, 8, 9], [10, 11, 12], [1, 2, 3]]
    similarity.forget()
    assert not ops.convert_to_numpy(similarity.past[1]).any()
    assert (ops.convert_to_numpy(similarity.past_ids) == -1).all()


def test_no_temperature_gets_lower_than_a_hundredth():
    """And it gets higher again."""
    similarity = Similarity(temperature=0.0101)
    similarity([np.eye(2), np.eye(2)])
    scale = similarity.log_scale
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build([scale])
    optimizer.apply([ops.convert_to_tensor(-1.0)])
    assert float(scale) == pytest.approx(np.log(100))
    optimizer.apply([ops.convert_to_tensor(1.0)])
    assert float(scale) == pytest.approx(np.log(100) - 1)


def test_errors():
    with pytest.raises(ValueError, match="between 0.01 and 1"):
        Similarity(temperature=2.0)
