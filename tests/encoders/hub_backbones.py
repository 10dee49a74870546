"""Backbones of KerasHub, tiny and with random weights, in local folders."""

import keras_hub

from ..byte_pair_vocabulary import learn

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


def roberta(folder):
    vocabulary, merges = learn(["<s>", "<pad>", "</s>", "<mask>"])
    backbone = keras_hub.models.RobertaBackbone(
        vocabulary_size=len(vocabulary),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=64,
    )
    tokenizer = keras_hub.models.RobertaTokenizer(vocabulary, merges)
    backbone.save_to_preset(folder)
    tokenizer.save_to_preset(folder)
    return backbone


def distil_bert(folder, name="DistilBert"):
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    if name == "Electra":
        sizes |= {"embedding_dim": 8, "vocab_size": len(PIECES)}
    else:
        sizes["vocabulary_size"] = len(PIECES)
    backbone = getattr(keras_hub.models, f"{name}Backbone")(
        max_sequence_length=64, **sizes
    )
    tokenizer = getattr(keras_hub.models, f"{name}Tokenizer")(PIECES, lowercase=True)
    backbone.save_to_preset(folder)
    tokenizer.save_to_preset(folder)
    return backbone


def electra(folder):
    return distil_bert(folder, "Electra")


def clip(folder):
    vocabulary, merges = learn([], clip=True)
    # As in CLIP's own: padding is a word's place, the end has the highest.
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[token] = len(vocabulary)
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    backbone = keras_hub.models.CLIPBackbone(
        keras_hub.models.CLIPVisionEncoder(
            patch_size=8, image_shape=(16, 16, 3), **sizes
        ),
        keras_hub.models.CLIPTextEncoder(
            vocabulary_size=len(vocabulary),
            embedding_dim=8,
            max_sequence_length=64,
            **sizes,
        ),
        projection_dim=6,
    )
    backbone.save_to_preset(folder)
    keras_hub.models.CLIPTokenizer(vocabulary, merges).save_to_preset(folder)
    converter = keras_hub.layers.CLIPImageConverter(
        image_size=(16, 16), scale=1 / 64, offset=-2.0
    )
    converter.save_to_preset(folder)
    return backbone


def siglip(folder):
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    backbone = keras_hub.models.SigLIPBackbone(
        keras_hub.models.SigLIPVisionEncoder(
            patch_size=8, image_shape=(16, 16, 3), **sizes
        ),
        keras_hub.models.SigLIPTextEncoder(
            vocabulary_size=20, embedding_dim=8, max_sequence_length=12, **sizes
        ),
    )
    backbone.save_to_preset(folder)
    converter = keras_hub.layers.SigLIPImageConverter(
        image_size=(16, 16), scale=1 / 64, offset=-2.0
    )
    converter.save_to_preset(folder)
    return backbone


def dinov2(folder):
    backbone = keras_hub.models.DINOV2Backbone(
        patch_size=8,
        num_layers=1,
        hidden_dim=8,
        num_heads=2,
        intermediate_dim=16,
        image_shape=(16, 16, 3),
    )
    backbone.save_to_preset(folder)
    converter = keras_hub.layers.DINOV2ImageConverter(
        image_size=(16, 16), scale=1 / 64, offset=-2.0
    )
    converter.save_to_preset(folder)
    return backbone
