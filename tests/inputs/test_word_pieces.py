"""Characters and word pieces, against Hugging Face's tokenizers."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st

import keras_mm
from keras_mm.inputs.word_pieces import learn_word_pieces

TEXTS = [
    "The quick brown foxes jumped over the lazy dogs.",
    "A quicker fox jumps; lazier dogs don't.",
    "Crème brûlée, naïve cafés & Ångström!",
    "東京タワー and 서울 are far (very far) apart",
    "foxes foxes dogs dogs jumping jumping",
]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "fox", "##es", "jump", "##ing"]
PIECES += [*"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuv")]
PIECES += ["!", ",", "'", "東", "京", "brulee", "cafe", "##ss", "ᄉ"]
SPECIAL = {"unknown": 1, "start": 2, "end": 3}


def pretrained(length=16, standardize="lower_and_strip_accents"):
    return keras_mm.Text(
        sequence_length=length,
        tokens="word_pieces",
        vocabulary=PIECES,
        special_tokens=SPECIAL,
        standardize=standardize,
    )


def reference(standardize="lower_and_strip_accents", length=16):
    """The same vocabulary in Hugging Face's tokenizer."""
    vocabulary = {piece: row for row, piece in enumerate(PIECES)}
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]")
    )
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(
        lowercase=standardize is not None,
        strip_accents=standardize == "lower_and_strip_accents",
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=0)
    return tokenizer


@pytest.mark.parametrize("standardize", [None, "lower", "lower_and_strip_accents"])
def test_as_the_reference(standardize):
    texts = [*TEXTS, "x" * 100 + " fox", "x" * 101, "fox\u200b\u0000es", "a\u0301b İ"]
    got = pretrained(standardize=standardize).preprocess(texts)
    wanted = [row.ids for row in reference(standardize).encode_batch(texts)]
    assert got.numpy().tolist() == wanted


@given(
    st.text(st.sampled_from("abcfoxesjumping ABÉé東京!,' \t\u0301한각-"), max_size=40)
)
@example("!")
@example("foxes" * 30)
def test_any_text_as_the_reference(text):
    if not text:
        return
    got = pretrained().preprocess([text, "fox"]).numpy()[0].tolist()
    assert got == reference().encode(text).ids


def test_missing_and_unreadable_texts_are_padding():
    got = pretrained().preprocess(["", b"\xff", "fox"]).numpy()
    assert not got[:2].any() and got[2, :4].tolist() == [2, 5, 3, 0]
    assert pretrained().preprocess(tf.zeros([0], tf.string)).shape == (0, 16)


def test_learned_pieces_cover_new_words():
    text = keras_mm.Text(12, 200, tokens="word_pieces").adapt(pd.Series(TEXTS * 3))
    assert text.num_ids == len(text.vocabulary) + 2 <= 200
    ids = text.preprocess(["jumping foxes", "dogs", "☃"]).numpy()
    back = [[text.vocabulary[id - 2] for id in row if id > 1] for row in ids]
    assert "".join(back[0]).replace("##", "") == "jumpingfoxes"
    assert len(back[0]) < 8, "not in single letters"
    assert ids[2].tolist() == [1] + [0] * 11
    again = keras_mm.Text.from_config(text.get_config())
    np.testing.assert_array_equal(again.preprocess(TEXTS), text.preprocess(TEXTS))


def test_characters():
    text = keras_mm.Text(6, tokens="characters").adapt(
        pd.Series(["ab  b", "ไทย", "東"])
    )
    assert set(text.vocabulary) == {*"ab ", *"ไทย", "東"} and text.vocabulary[0] == "b"
    got = text.preprocess(["BA", "\tb ", "☃", "東ท", "ababababab", ""]).numpy()
    first = {c: row + 2 for row, c in enumerate(text.vocabulary)}
    assert got[0].tolist() == [first["b"], first["a"], 0, 0, 0, 0]
    assert got[1].tolist() == [2, 0, 0, 0, 0, 0]
    assert got[2].tolist() == [1, 0, 0, 0, 0, 0]
    assert got[3].tolist() == [first["東"], first["ท"], 0, 0, 0, 0]
    assert got[4].all() and not got[5].any()


@pytest.mark.parametrize("tokens", ["characters", "word_pieces"])
def test_sequence_encoders_read_them(tokens):
    table = pd.DataFrame({"text": TEXTS * 2, "y": ["a", "b"] * 5})
    schema = keras_mm.Schema(
        {"text": keras_mm.Text(8, 60, tokens=tokens)}, {"y": keras_mm.ClassLabel()}
    ).adapt(table)
    model = keras_mm.build_classifier(schema)
    assert model.get_layer("text-encoder").input_shape == (None, 8)
    assert model.schema.inputs["text"].tokens == tokens
    with pytest.raises(ValueError, match="Received: tokens="):
        keras_mm.build_classifier(schema, encoders={"text": "ngrams"})


def test_learning_joins_the_most_frequent_pairs():
    words = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
    # Counts by hand: ##u ##g 20, ##u ##n 16, h ##ug 15, p ##un 12, ...
    learned = learn_word_pieces(words, 13)
    letters = ["##u", "##g", "p", "##n", "h", "##s", "b"]
    assert set(learned[:7]) == set(letters)
    assert learned[7:11] == ["##ug", "##un", "hug", "pun"]
    assert learned[11:] == ["pug", "hugs"] or learned[11:] == ["hugs", "pug"]
    assert learn_word_pieces(dict(reversed(words.items())), 13) == learned
    # A pair that comes once is not joined.
    assert learn_word_pieces({"ab": 1}, 10) == ["##b", "a"]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=6), st.integers(1, 9)))
def test_learned_pieces_write_their_words(words):
    pieces = set(learn_word_pieces(words, 30))
    for word in words:
        rest, start = word, True
        while rest:
            found = [
                size
                for size in range(len(rest), 0, -1)
                if ("" if start else "##") + rest[:size] in pieces
            ]
            assert found
            rest, start = rest[found[0] :], False
