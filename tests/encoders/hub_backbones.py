"""Backbones of KerasHub, tiny and with random weights, in local folders."""

import keras_hub

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "green", "bird", "##s"]
PIECES += [*"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqr")]
TEXTS = ["red birds", "green bird", "Réd bird!", None, "bird bird bird", "a red"]


def bert(folder):
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(PIECES),
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=12,
    )
    tokenizer = keras_hub.models.BertTokenizer(vocabulary=PIECES, lowercase=True)
    backbone.save_to_preset(folder)
    tokenizer.save_to_preset(folder)
    return backbone
