"""Texts to ids, against the same thing written in plain Python."""

import collections
import math
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import keras_mm

WIDTHS = (3, 4, 5)
TEXTS = [
    "A red bird, and a RED fox!",
    "the fox's den; 3 birds",
    "naïve café – crème brûlée",
    "שלום עולם, مرحبا بالعالم",
    "日本語のテキスト 😀🚀 ok",
    "bird bird bird",
    "fox",
]


def words_of(text, lower=True):
    """Letters, marks, digits and symbols make words."""
    text = "".join("\ufffd" if unicodedata.category(c) == "Cc" else c for c in text)
    if lower:
        # TensorFlow folds character by character, without Python's context.
        text = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    words, word = [], ""
    for c in text:
        kind = unicodedata.category(c)
        name = unicodedata.name(c, "")
        alone = kind == "So" or name.startswith(
            (
                "CJK UNIFIED",
                "CJK COMPATIBILITY IDEOGRAPH",
                "HIRAGANA LETTER",
                "KATAKANA LETTER",
            )
        )
        keep = kind[0] in "LMN" or kind == "So"
        if word and (alone or not keep):
            words.append(word)
            word = ""
        if alone:
            words.append(c)
        elif keep:
            word += c
    return words + [word] * bool(word)


def grams_of(words):
    """Words and pairs; character n-grams of <word>, marked with #."""
    pairs = set(words) | {" ".join(pair) for pair in zip(words, words[1:])}
    characters = set()
    for word in words:
        word = f"<{word}>"
        for width in WIDTHS:
            characters |= {
                "#" + word[i : i + width] for i in range(len(word) - width + 1)
            }
    return pairs, characters


def adapted(texts=TEXTS, **kwargs):
    return keras_mm.Text(**{"sequence_length": 6, **kwargs}).adapt(pd.Series(texts))


SIMPLE = st.text(
    st.sampled_from("abcdeAB 12,.-!'\n\téÉßñאבגعرب日本のカ😀🚀✓\x00\x07"), max_size=40
)


@pytest.mark.parametrize("standardize", ["lower", None])
def test_vocabulary_is_the_words_by_frequency(standardize):
    text = adapted(standardize=standardize)
    counts = collections.Counter(
        w for t in TEXTS for w in words_of(t, standardize == "lower")
    )
    assert set(text.vocabulary) == set(counts)
    found = [counts[word] for word in text.vocabulary]
    assert found == sorted(found, reverse=True)


def test_ngram_vocabulary_and_weights():
    text = adapted()
    words, characters = collections.Counter(), collections.Counter()
    lengths = []
    for t in TEXTS:
        pairs, grams = grams_of(words_of(t))
        words.update(pairs)
        characters.update(grams)
        lengths.append(len(pairs) + len(grams) + 1)
    expected = {**words, **{g: n for g, n in characters.items() if n > 1}}
    assert set(text.ngram_vocabulary) == set(expected)
    for gram, weight in zip(text.ngram_vocabulary, text.ngram_weights):
        assert weight == pytest.approx(
            math.log((1 + len(TEXTS)) / (1 + expected[gram])) + 1, abs=1e-4
        )
    assert text.ngram_length == max(lengths)


TEXT = adapted()
WORDS, NGRAMS = TEXT.with_tokens("words"), TEXT.with_tokens("ngrams")


@given(SIMPLE)
@example("bird")
@example("\x00")
@example("a" * 5000)
def test_words_against_python(text):
    ids = WORDS.preprocess([text]).numpy()[0]
    known = {word: i + 2 for i, word in enumerate(TEXT.vocabulary)}
    expected = [known.get(word, 1) for word in words_of(text)][:6]
    if text and not expected:
        expected = [1]
    assert ids.tolist() == expected + [0] * (6 - len(expected))


@given(SIMPLE)
@example("a red bird and a red fox")
def test_ngrams_against_python(text):
    ids = NGRAMS.preprocess([text]).numpy()[0]
    known = {gram: i + 2 for i, gram in enumerate(TEXT.ngram_vocabulary)}
    pairs, characters = grams_of(words_of(text))
    expected = {known[gram] for gram in pairs | characters if gram in known}
    there = [i for i in ids.tolist() if i]
    assert len(there) == len(set(there))
    room = NGRAMS.length - 1
    kept = set(sorted(expected, reverse=True)[:room])
    assert set(there) == (kept | {1} if text else set())
    assert (ids == 0).sum() == NGRAMS.length - len(there)
    # Padding comes last.
    assert 0 not in ids[: len(there)]


@given(
    st.lists(
        st.one_of(st.text(max_size=30), st.binary(max_size=12)), min_size=1, max_size=5
    )
)
def test_anything_gives_ids_in_range(texts):
    raw = [t if isinstance(t, bytes) else t.encode("utf-8", "ignore") for t in texts]
    for text in (WORDS, NGRAMS):
        ids = text.preprocess(raw).numpy()
        assert ids.shape == (len(raw), text.length) and ids.dtype == "int32"
        assert ids.min() >= 0 and ids.max() < text.num_ids
        for row, value in zip(ids, raw):
            try:
                value.decode()
            except UnicodeDecodeError:
                continue
            assert row.any() == bool(value)


@given(st.lists(SIMPLE, min_size=2, max_size=4))
def test_rows_do_not_depend_on_their_neighbours(texts):
    for text in (WORDS, NGRAMS):
        together = text.preprocess(texts).numpy()
        for row, value in enumerate(texts):
            np.testing.assert_array_equal(
                text.preprocess([value]).numpy()[0], together[row]
            )


@pytest.mark.parametrize("text", [WORDS, NGRAMS], ids=["words", "ngrams"])
def test_empty_batches(text):
    import tensorflow as tf

    assert not text.preprocess(["", ""]).numpy().any()
    assert text.preprocess(tf.constant([], tf.string)).shape == (0, text.length)


def test_a_text_of_separators_is_there():
    for text in (WORDS, NGRAMS):
        ids = text.preprocess(["...", " \n", "\x00"]).numpy()
        assert (ids[:, 0] == 1).all() and not ids[:, 1:].any()


def test_very_long_texts_are_cut():
    long = " ".join(["bird", "fox", "unheard"] * 50_000)
    assert (WORDS.preprocess([long]).numpy() > 0).all()
    assert NGRAMS.preprocess([long]).shape == (1, NGRAMS.length)


def test_case_is_kept_when_asked():
    text = adapted(["Bird bird"], standardize=None)
    assert set(text.vocabulary) == {"Bird", "bird"}


def test_runs_in_a_graph():
    import tensorflow as tf

    for text in (WORDS, NGRAMS):
        run = tf.function(
            text.preprocess, input_signature=[tf.TensorSpec([None], tf.string)]
        )
        raw = tf.constant(TEXTS + [""])
        np.testing.assert_array_equal(run(raw), text.preprocess(raw))


def test_invalid_utf8_is_refused_or_missing():
    column = pd.Series(["fine", b"caf\xe9", "\ud800", b"caf\xc3\xa9"], dtype=object)
    with pytest.raises(
        ValueError, match=r"rows 1, 2 \(2 in all.*Received: title=b'caf"
    ):
        TEXT.to_raw(column, "title")
    raw = TEXT.to_raw(column, "title", on_unreadable="missing")
    assert raw.tolist() == [b"fine", b"", b"", "café".encode()]
    assert not WORDS.preprocess([b"\xff\xfe"]).numpy().any(), "missing, as in a table"


def test_cells_of_other_types():
    column = pd.Series([3, 3.0, 2.5, None, pd.NA, float("nan"), True], dtype=object)
    assert TEXT.to_raw(column).tolist() == [b"3", b"3", b"2.5", b"", b"", b"", b"True"]


def test_vocabulary_size_includes_padding_and_unknown():
    text = adapted(vocabulary_size=5)
    assert len(text.vocabulary) == 3 and len(text.ngram_vocabulary) == 3
    assert text.num_ids == 5 and text.with_tokens("ngrams").num_ids == 5
    tiny = adapted(vocabulary_size=2)
    assert tiny.preprocess(["a bird"]).numpy().tolist() == [[1, 1, 0, 0, 0, 0]]


def test_texts_without_words_can_be_adapted_to():
    text = adapted(["...", "?!"])
    for tokens in ("words", "ngrams"):
        assert text.with_tokens(tokens).preprocess(["bird", ""]).numpy()[
            :, 0
        ].tolist() == [1, 0]


def test_config_round_trip():
    for text in (WORDS, NGRAMS):
        again = keras_mm.Text.from_config(text.get_config())
        np.testing.assert_array_equal(again.preprocess(TEXTS), text.preprocess(TEXTS))


@pytest.mark.parametrize(
    "kwargs",
    [
        {"tokens": "letters"},
        {"standardize": "upper"},
        {"sequence_length": 0},
        {"vocabulary_size": 1},
    ],
)
def test_wrong_arguments(kwargs):
    with pytest.raises(ValueError, match=f"Received: {next(iter(kwargs))}="):
        keras_mm.Text(**kwargs)
    with pytest.raises(ValueError, match="Received: tokens='words'"):
        WORDS.with_tokens("ngrams")


def test_nothing_to_adapt_to():
    with pytest.raises(ValueError, match="Received: column with 2 missing"):
        keras_mm.Text().adapt(pd.Series([None, ""]))


def test_samples():
    random = np.random.default_rng(0)
    assert WORDS.preprocess([TEXT.sample(random) for _ in range(5)]).numpy()[:, 0].all()
    with pytest.raises(UnicodeDecodeError):
        TEXT.sample(random, bad=True).decode()


@pytest.mark.parametrize("tokens", ["ngrams", "words"])
def test_long_texts_are_cut(tokens):
    """20 MB took gigabytes as n-grams; what is not read costs nothing."""
    text = keras_mm.Text(sequence_length=8).adapt(
        pd.Series(["a red bird", "a car"] * 3)
    )
    text = text.with_tokens(tokens)
    start = "a red bird " * 9_090  # 99,990 characters
    broken = start.encode() * 2 + b"\xff"
    ids = text.preprocess([start, start + 3 * "    " + "car " * 5_000_000, broken])
    np.testing.assert_array_equal(ids[0], ids[1])
    # Broken anywhere, it is missing, as in a table.
    assert not ids[2].numpy().any()


@pytest.mark.parametrize("least, most", [(4, 100), (4, 7), (30, 100)])
def test_n_grams_of_two_texts_are_kept_between_two_bounds(monkeypatch, least, most):
    monkeypatch.setattr("keras_mm.inputs.text._LARGEST", least)
    monkeypatch.setattr("keras_mm.inputs.text._LARGEST_NGRAMS", most)
    texts = ["ab cd", "ab", "cd", "ab cd", "only once"]
    counts = collections.Counter(
        g for text in texts for g in set().union(*grams_of(words_of(text)))
    )
    repeated = [gram for gram, count in counts.items() if count > 1]
    text = keras_mm.Text().adapt(pd.Series(texts))
    kept = text.ngram_vocabulary
    assert len(repeated) == 9
    if least > 4:
        # Rare words fill the lower bound, rare character n-grams do not.
        assert set(kept) == {*repeated, "only", "once", "only once"}
    else:
        assert len(kept) == min(9, most - 2) and set(kept) <= set(repeated)
    small = keras_mm.Text(vocabulary_size=4).adapt(pd.Series(texts))
    assert len(small.ngram_vocabulary) == len(small.vocabulary) == 2
