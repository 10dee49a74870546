"""Small byte-pair vocabularies, learned in the tests."""

import json

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from keras_mm.inputs.byte_pairs import byte_characters

TEXTS = [
    "The quick brown foxes jumped, didn't they?  I'LL say  so",
    "Crème brûlée, naïve  cafés & Ångström!",
    "日本語のテキスト, 東京タワー 서울",
    "emoji 👍🏽👨‍👩‍👧 ok!! :-)",
    "1234567 3.14 2024年 'twas 's",
    "a\n\nb\t\tc \n d\n e\u00a0\u00a0f\u3000g   ",
    " aaaaaaa banana bananas we've I'm you'd he'll",
    "(a)[b]{c}<s> <|endoftext|> \u200b",
]


def learn(special, clip=False):
    """Returns the dict from piece to id, and the list of merges."""
    end = "</w>" if clip else ""
    tokenizer = tokenizers.Tokenizer(models.BPE(end_of_word_suffix=end))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=2 * 256 + 80,
        initial_alphabet=byte_characters(),
        special_tokens=list(special),
        end_of_word_suffix=end,
        show_progress=False,
    )
    tokenizer.train_from_iterator(3 * TEXTS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocabulary = dict(model["vocab"])
    for character in byte_characters():
        vocabulary.setdefault(character + end, len(vocabulary))
    merges = [
        merge if isinstance(merge, str) else " ".join(merge)
        for merge in model["merges"]
    ]
    return vocabulary, merges
