"""Sounds for the audio backbones of KerasHub: Whisper's and Moonshine's encoders.

Their preprocessing is written with stock layers and `keras.ops`, so that it is part
of the model, and of its export; the decoders are left out.

Reference:
    - Whisper: Radford et al. 2022, "Robust Speech Recognition via Large-Scale
      Weak Supervision".
    - Moonshine: Jeffries et al. 2024, "Moonshine: Speech Recognition for Live
      Transcription and Voice Commands".
"""

import keras
import numpy as np
from keras import layers, ops

from ..inputs import Audio
from .encoder import step_mask, without_nan

# Moonshine's three convolutions: kernel size and stride.
_MOONSHINE = ((127, 64), (7, 3), (3, 2))


def prepare(hub, preset, value):
    """A copy of an `Audio` input with the waveform that a backbone takes.

    Args:
        hub: the module `keras_hub`.
        preset: string, name or folder of the preset.
        value: the `Audio` input; its features are replaced by samples.
    """
    if not isinstance(value, Audio):
        raise ValueError(
            "Audio backbones read Audio columns. Choose another encoder for "
            f"{type(value).__name__}. Received: preset={preset!r}"
        )
    converter = _converter(hub, preset)
    longest = getattr(converter, "max_audio_length", 64)
    if not 0.1 <= value.duration <= longest:
        raise ValueError(
            f"This backbone takes sounds of 0.1 to {longest} seconds. "
            f"Received: preset={preset!r}, duration={value.duration}"
        )
    return Audio(value.duration, converter.sampling_rate, "waveform", num_channels=1)


def precision(hub, preset):
    """Arguments of `from_preset`: Moonshine does not run in half precision.

    Its attention gives float32 whatever the policy, and KerasHub adds the two.
    """
    if isinstance(_converter(hub, preset), hub.layers.MoonshineAudioConverter):
        return {"dtype": "float32"}
    return {}


def encode(hub, preset, backbone, samples):
    """Samples `(batch, samples, 1)`, NaN after the end -> tokens and mask.

    Tokens of padding are masked, and do not affect the others.
    """
    converter = _converter(hub, preset)
    if isinstance(converter, hub.layers.WhisperAudioConverter):
        return _whisper(converter, backbone, samples)
    return _moonshine(converter, backbone, samples)


def _converter(hub, preset):
    converter = hub.layers.AudioConverter.from_preset(preset)
    supported = (hub.layers.WhisperAudioConverter, hub.layers.MoonshineAudioConverter)
    if not isinstance(converter, supported):
        raise ValueError(
            "A backbone for audio must be Whisper's or Moonshine's. Choose another "
            f"preset. Received: preset={preset!r} with {type(converter).__name__}"
        )
    return converter


def _whisper(converter, backbone, samples):
    x = _log_mel(converter, ops.squeeze(without_nan(samples), 2))
    # The encoder has no mask: it was trained on silence up to the full length.
    inputs = {tensor.name: tensor for tensor in backbone.inputs}
    encoder = keras.Model(
        inputs["encoder_features"],
        backbone.output["encoder_sequence_output"],
        name="whisper_encoder",
    )
    tokens = encoder(x)
    # The second convolution halves the number of steps.
    mask = step_mask(samples)[:, :: 2 * converter.stride]
    return tokens[:, : mask.shape[1]], mask


def _log_mel(converter, samples):
    """Samples `(batch, samples)` -> what `WhisperAudioConverter` gives."""
    left = converter.num_samples - samples.shape[1]
    samples = ops.pad(samples, [[0, 0], [0, left]])
    size = converter.num_fft_bins
    # Frames are centred, with reflected samples beyond the ends.
    real, imaginary = ops.stft(samples, size, converter.stride, size)
    power = ops.square(real[:, :-1]) + ops.square(imaginary[:, :-1])
    filters = layers.Dense(
        converter.num_mels,
        use_bias=False,
        trainable=False,
        dtype="float32",
        name="mel_filters",
    )
    mel = filters(power)
    filters.set_weights([converter.mel_filters])
    mel = ops.log10(ops.maximum(mel, 1e-10))
    highest = ops.max(mel, axis=(1, 2), keepdims=True)
    return (ops.maximum(mel, highest - 8.0) + 4.0) / 4.0


def _moonshine(converter, backbone, samples):
    present = step_mask(samples)
    counts = ops.sum(ops.cast(present, "int32"), axis=1)
    x = without_nan(samples)
    if converter.do_normalize:
        x = _standardised(x, present, 1e-7)
    x = backbone.tanh_after_conv1(backbone.conv1(x))
    mask = _reached(counts, x.shape[1], _MOONSHINE[:1])
    # The backbone normalises over the whole sound, padding included. Here it is
    # over the sound's own steps, with the backbone's scale and offset.
    norm = backbone.group_norm
    affine = layers.EinsumDense(
        "bsc,c->bsc",
        output_shape=x.shape[1:],
        bias_axes="c",
        trainable=backbone.trainable,
        dtype="float32",
        name="group_norm",
    )
    x = affine(_standardised(x, mask, norm.epsilon))
    affine.set_weights(
        [ops.convert_to_numpy(norm.gamma), ops.convert_to_numpy(norm.beta)]
    )
    x = backbone.gelu_after_conv2(backbone.conv2(x))
    x = backbone.gelu_after_conv3(backbone.conv3(x))
    mask = _reached(counts, x.shape[1], _MOONSHINE)
    places = backbone.get_layer("encoder_positions")(x)
    rotary = backbone.encoder_rotary_embedding(places)
    x = backbone.encoder_dropout(x)
    # In a row without sound, the first step is visible: no softmax over nothing.
    visible = ops.logical_or(mask, np.arange(x.shape[1])[np.newaxis] == 0)
    for block in backbone.encoder_blocks:
        x = block(x, rotary, attention_mask=visible)
    x = backbone.encoder_final_layer_norm(x)
    return ops.cast(x, keras.config.dtype_policy().compute_dtype), mask


def _standardised(x, mask, epsilon):
    """Standardised by mean and deviation over all steps under the mask."""
    weights = ops.cast(ops.expand_dims(mask, 2), x.dtype)
    count = x.shape[2] * ops.sum(weights, axis=(1, 2), keepdims=True)
    count = ops.maximum(count, 1.0)
    mean = ops.sum(x * weights, axis=(1, 2), keepdims=True) / count
    x = (x - mean) * weights
    variance = ops.sum(ops.square(x), axis=(1, 2), keepdims=True) / count
    return x / ops.sqrt(variance + epsilon)


def _reached(counts, length, convolutions):
    """Mask of the steps of valid convolutions that see no padding.

    The first step of a sound that is too short for any counts, too.
    """
    reached = counts
    for kernel_size, strides in convolutions:
        reached = (reached - kernel_size) // strides + 1
    reached = ops.maximum(reached, ops.cast(counts > 0, reached.dtype))
    return ops.less(np.arange(length)[np.newaxis], ops.expand_dims(reached, 1))
