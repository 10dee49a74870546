"""The pretrained parts of an encoder, and their fine-tuning by LoRA."""

import keras
from keras import ops

from ..names import is_encoder_name

# Layers of attention as Keras and KerasHub name them.
_QUERIES_AND_VALUES = ("query", "value", "query_dense", "value_dense")


def pretrained_parts(encoder):
    """The pretrained models inside an encoder; the encoder itself if there is none.

    Args:
        encoder: `keras.Model` that an `Encoder` has built.

    Returns:
        list of `keras.Model`.
    """
    parts = []
    for layer in encoder.layers:
        if isinstance(layer, keras.Model):
            is_ours = is_encoder_name(layer.name)
            parts += pretrained_parts(layer) if is_ours else [layer]
    return parts or [encoder]


def enable_lora(encoder, rank):
    """Freezes the pretrained weights, and adds trainable low-rank updates.

    The kernel `W` of each query and value projection becomes `W + A B`, with `rank`
    columns in `A` and rows in `B`. `B` starts at 0.

    Args:
        encoder: `keras.Model` that an `Encoder` has built.
        rank: int.

    Reference:
        Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models".
    """
    for part in pretrained_parts(encoder):
        layers = part._flatten_layers(include_self=False)
        chosen = [
            layer
            for layer in layers
            if layer.name in _QUERIES_AND_VALUES and hasattr(layer, "enable_lora")
        ]
        if not chosen:
            raise ValueError(
                'trainable="lora" needs a model with attention. Choose True or '
                f"False. Received: model {part.name!r} without queries and values"
            )
        part.trainable = True
        for layer in part._flatten_layers(include_self=False):
            layer.trainable = False
        for layer in chosen:
            layer.trainable = True
            if not layer.lora_enabled:
                layer.enable_lora(rank)
            if layer.bias is not None:
                layer.bias.trainable = False


def freeze_again(model):
    """Freezes the inner layers of a model that was created from a configuration.

    Keras restores `trainable` of a layer, but not of the layers inside it.
    """
    for layer in model._flatten_layers(include_self=False):
        if not layer.trainable:
            # One by one: on TensorFlow, setting the same value again does nothing.
            for inner in layer._flatten_layers(include_self=False):
                inner.trainable = False


def renew_lora(model):
    """Initialises LoRA matrices again that loading a file has set to 0.

    Keras saves `W + A B`, and loads it with `A` and `B` both 0, where neither has a
    gradient. `A` gets random numbers, as at the start.
    """
    for layer in model._flatten_layers():
        if getattr(layer, "lora_enabled", False):
            a, b = layer.lora_kernel_a, layer.lora_kernel_b
            if not (ops.any(ops.not_equal(a, 0)) or ops.any(ops.not_equal(b, 0))):
                a.assign(keras.initializers.HeUniform()(a.shape, a.dtype))
