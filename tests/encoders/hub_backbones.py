"""Backbones of KerasHub, tiny and with random weights, in local folders."""

import keras_hub
import numpy as np

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


def resnet(folder):
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(16, 16), scale=[1 / 128, 1 / 64, 1 / 32], offset=[-1.0, 0.5, 0.0]
    )
    backbone.save_to_preset(folder)
    converter.save_to_preset(folder)
    return backbone


def vit(folder):
    backbone = keras_hub.models.ViTBackbone(
        image_shape=(16, 16, 3),
        patch_size=(8, 8),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=16,
    )
    backbone.save_to_preset(folder)
    keras_hub.layers.ViTImageConverter(image_size=(16, 16)).save_to_preset(folder)
    return backbone


def whisper(folder):
    backbone = keras_hub.models.WhisperBackbone(
        vocabulary_size=10,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        num_mels=20,
        max_encoder_sequence_length=100,
        max_decoder_sequence_length=4,
    )
    converter = keras_hub.layers.WhisperAudioConverter(num_mels=20, max_audio_length=1)
    return _saved(folder, backbone, converter)


def moonshine(folder, do_normalize=False):
    backbone = keras_hub.models.MoonshineBackbone(
        vocabulary_size=10,
        filter_dim=8,
        encoder_num_layers=1,
        decoder_num_layers=1,
        hidden_dim=8,
        intermediate_dim=16,
        encoder_num_heads=2,
        decoder_num_heads=2,
        dropout=0.1,
    )
    # Not the numbers that leave things as they are.
    random = np.random.default_rng(0)
    for weight in (backbone.group_norm.gamma, backbone.group_norm.beta):
        weight.assign(random.normal(1.0, 0.3, weight.shape))
    converter = keras_hub.layers.MoonshineAudioConverter(do_normalize=do_normalize)
    return _saved(folder, backbone, converter)


def _saved(folder, backbone, converter):
    # Random weights near 0 would hide what padding does.
    random = np.random.default_rng(1)
    for weight in backbone.trainable_weights:
        if weight.path.endswith("kernel"):
            scale = 1 / np.sqrt(np.prod(weight.shape[:-1]))
            weight.assign(random.normal(0.0, scale, weight.shape))
    backbone.save_to_preset(folder)
    converter.save_to_preset(folder)
    return backbone, converter
