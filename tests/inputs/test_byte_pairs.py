"""Byte pairs, against Hugging Face's tokenizers."""

import functools

import pytest
import tensorflow as tf
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers

import keras_mm

from ..byte_pair_vocabulary import TEXTS, learn

SPECIAL = {"start": 0, "end": 2, "padding": 1}
LENGTH = 200
# CLIP's own pattern of words.
CLIP = (
    r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|"
    r"[^\s\p{L}\p{N}]+"
)


@functools.cache
def pair(clip):
    """Our input and the reference."""
    vocabulary, merges = learn(["<s>", "<pad>", "</s>"], clip)
    text = keras_mm.Text(
        sequence_length=LENGTH,
        tokens="byte_pairs",
        standardize="lower" if clip else None,
        vocabulary=sorted(vocabulary, key=vocabulary.get),
        merges=merges,
        special_tokens=SPECIAL,
    )
    reference = tokenizers.Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=[tuple(merge.split(" ")) for merge in merges],
            end_of_word_suffix="</w>" if clip else "",
        )
    )
    reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if clip:
        reference.normalizer = normalizers.Lowercase()
        split = pre_tokenizers.Split(tokenizers.Regex(CLIP), "removed", invert=True)
        reference.pre_tokenizer = pre_tokenizers.Sequence(
            [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    return text, reference


def expected(reference, text):
    """Places plus 1, between start and end, 0 for padding."""
    ids = [1, *(place + 1 for place in reference.encode(text).ids), 3]
    return ids + [0] * (LENGTH - len(ids))


@pytest.mark.parametrize("clip", [False, True])
def test_as_the_reference(clip):
    text, reference = pair(clip)
    got = text.preprocess(TEXTS).numpy().tolist()
    for row, cell in enumerate(TEXTS):
        assert got[row] == expected(reference, cell)
    assert text.num_ids == len(text.vocabulary) + 1
    again = keras_mm.Text.from_config(text.get_config())
    assert again.preprocess(TEXTS).numpy().tolist() == got


@pytest.mark.parametrize("clip", [False, True])
@given(
    st.text(
        st.sampled_from("abcfoxsl T'' \n\t\u00a0\u3000\u2028\x1céü日本👍12,!.?\u0301"),
        max_size=30,
    )
)
@example("a" * 40 + "  ")
@example("x\n\n y\n z \n")
def test_any_text_as_the_reference(clip, cell):
    text, reference = pair(clip)
    if cell:
        got = text.preprocess([cell, "fox"]).numpy()[0].tolist()
        assert got == expected(reference, cell)


def test_missing_unreadable_and_long_texts():
    text, _ = pair(False)
    got = text.preprocess(["", b"\xff", "fox", "日本" * 400]).numpy()
    assert not got[:2].any() and got[2, 0] == 1
    assert got[3].all() and got[3, -1] == 3
    assert text.preprocess(tf.zeros([0], tf.string)).shape == (0, LENGTH)
    # Control tokens cannot be smuggled in by a text.
    assert not set(text.preprocess(["<s></s><pad>"]).numpy()[0, 1:6]) & {1, 2, 3}


def test_errors():
    with pytest.raises(ValueError, match="Received: tokens='byte_pairs'"):
        keras_mm.Text(tokens="byte_pairs")
