import contextlib

import keras
from keras import layers, ops

from ..errors import missing_extra
from . import hub_audio
from .encoder import Encoder, one_token, pooled, repeat_mask, row_mask, without_nan


class Hub(Encoder):
    """A pretrained KerasHub backbone for images, texts or sounds.

    It includes the backbone's preprocessing, also in the exported model: images
    are scaled and resized as in its training, texts are split into the pieces of
    its vocabulary. Texts: BERT and others that read word pieces, RoBERTa, GPT-2
    and CLIP. Images: backbones that return a feature map, tokens or a vector,
    such as CLIP and SigLIP. Sounds: the encoders of Whisper, which always takes
    the time of 30 seconds of sound, and of Moonshine. Needs the extra `hub`.

    Examples:

    >>> model = keras_mm.build_classifier(
    ...     schema, encoders={"text": "hub:bert_tiny_en_uncased"})

    Args:
        preset: string, the name of a KerasHub preset, or a local folder with a
            preset or a model in Hugging Face's format.
        trainable: bool, whether the backbone is trained as well. Otherwise it is
            frozen, and runs in inference mode. `"lora"`: its weights are frozen,
            and low-rank updates of its attention matrices are trained. In both
            kinds of training it uses its own dropout rates.
        learning_rate: float, learning rate of the backbone, which should be
            small, such as 2e-5; None: the model's.
        lora_rank: int, rank of the updates.
        units: int, length of a learned projection of its tokens, or None.

    Reference:
        Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models".
    """

    reads = ("image", "text", "sequence")

    def __init__(
        self, preset, trainable=False, learning_rate=None, lora_rank=8, units=None
    ):
        if trainable not in (True, False, "lora"):
            raise ValueError(
                '`trainable` must be True, False or "lora". '
                f"Received: trainable={trainable!r}"
            )
        self.preset = preset
        self.trainable = bool(trainable)
        self.learning_rate = learning_rate
        self.lora_rank = lora_rank if trainable == "lora" else None
        self.units = units

    def prepare(self, value):
        """A copy of the input with the backbone's vocabulary or sampling rate."""
        if value.kind not in ("sequence", "text"):
            return value
        hub = _keras_hub()
        with reading(self.preset):
            if value.kind == "sequence":
                return hub_audio.prepare(hub, self.preset, value)
            tokenizer = hub.models.Tokenizer.from_preset(self.preset)
        models = hub.models
        byte_pairs = (models.RobertaTokenizer, models.GPT2Tokenizer)
        byte_pairs += (models.CLIPTokenizer,)
        if isinstance(tokenizer, byte_pairs) and not tokenizer.add_prefix_space:
            return self._with_byte_pairs(value, tokenizer)
        if not isinstance(tokenizer, hub.tokenizers.WordPieceTokenizer):
            raise ValueError(
                "A backbone for texts must read word pieces, such as BERT, "
                "DistilBERT and Electra, or byte pairs, such as RoBERTa, GPT-2 and "
                "CLIP. Choose another preset. "
                f"Received: preset={self.preset!r} with {type(tokenizer).__name__}"
            )
        special = {
            "unknown": tokenizer.token_to_id("[UNK]"),
            "start": tokenizer.cls_token_id,
            "end": tokenizer.sep_token_id,
        }
        if tokenizer.pad_token_id != 0:
            special["padding"] = tokenizer.pad_token_id
        return value.with_vocabulary(
            tokenizer.get_vocabulary(),
            # Uncased models were trained without accents; presets converted from
            # other formats do not always say so.
            "lower_and_strip_accents" if tokenizer.lowercase else None,
            special,
        )

    def _with_byte_pairs(self, value, tokenizer):
        ids = tokenizer.vocabulary
        vocabulary = [f"[unused {place}]" for place in range(max(ids.values()) + 1)]
        for piece, place in ids.items():
            vocabulary[place] = piece
        clip = isinstance(tokenizer, _keras_hub().models.CLIPTokenizer)
        special = {
            "start": tokenizer.start_token_id,
            "end": tokenizer.end_token_id,
            "padding": tokenizer.pad_token_id,
        }
        if clip:
            special["unknown"] = tokenizer.end_token_id
        merges = [str(merge) for merge in tokenizer.merges]
        return value.with_vocabulary(
            vocabulary, "lower" if clip else None, special, merges
        )

    def encode(self, tensors, inputs, sequences):
        """One token per word piece or position, or their mean."""
        with reading(self.preset):
            return self._encode(tensors, inputs, sequences)

    def _encode(self, tensors, inputs, sequences):
        (tensor,) = tensors
        if inputs[0].kind == "text":
            special = inputs[0].special_tokens
            tokens, mask = self._encode_text(tensor, special, sequences)
        elif inputs[0].kind == "sequence":
            precision = hub_audio.precision(_keras_hub(), self.preset)
            backbone = self._load(**precision)
            backbone.trainable = self.trainable
            tokens, mask = hub_audio.encode(_keras_hub(), self.preset, backbone, tensor)
        else:
            tokens, mask = self._encode_image(tensor, sequences)
        if not sequences:
            tokens, mask = pooled(tokens, mask)
        if self.units:
            tokens = layers.Dense(self.units)(tokens)
        return tokens, mask

    def _backbone(self, kind, sequences, length=None):
        """The part of the backbone for this kind of input, frozen unless trainable.

        CLIP and SigLIP have one part for images and one for texts.
        """
        models, backbone = _keras_hub().models, self._load()
        whole, name = backbone, None
        if isinstance(backbone, (models.CLIPBackbone, models.SigLIPBackbone)):
            is_text = kind == "text"
            backbone = whole.text_encoder if is_text else whole.vision_encoder
        longest = getattr(backbone, "max_sequence_length", None)
        if length is not None and longest is not None and length > longest:
            raise ValueError(
                f"This backbone reads {longest} pieces of a text at the most: "
                f"keras_mm.Text(sequence_length={longest}). "
                f"Received: preset={self.preset!r}, sequence_length={length}"
            )
        inputs, output = {i.name: i for i in backbone.inputs}, backbone.output
        if isinstance(output, dict) and "sequence_output" in output:
            # Without BERT's pooled output, whose weights would have no gradient.
            output = output["sequence_output"]
            name = backbone.name
        if not isinstance(output, keras.KerasTensor):
            raise ValueError(
                "This backbone has several outputs; select one of them with a function "
                "of your own as encoder. "
                f"Received: preset={self.preset!r} with outputs {list(output)}"
            )
        if isinstance(whole, models.CLIPBackbone) and not sequences:
            # The embedding by which CLIP compares images and texts.
            if is_text:
                output = whole.text_pooler(output, inputs["token_ids"])
                output = whole.text_projection(output)
            else:
                output = whole.vision_projection(whole.vision_pooler(output))
            name = backbone.name
        if name:
            backbone = keras.Model(inputs, output, name=name)
        backbone.trainable = self.trainable
        return backbone

    def _load(self, **kwargs):
        load = _keras_hub().models.Backbone.from_preset
        if self.trainable:
            return load(self.preset, **kwargs)
        # No dropout in a frozen backbone, not even in training.
        config = load(self.preset, load_weights=False).get_config()
        rates = {
            name: 0.0
            for name, value in config.items()
            if isinstance(value, float) and ("drop" in name or "depth_rate" in name)
        }
        return load(self.preset, **rates, **kwargs)

    def _encode_text(self, ids, special, sequences):
        backbone = self._backbone("text", sequences, ids.shape[1])
        mask = ops.not_equal(ids, 0)
        if "padding" in special:
            # The input's ids are shifted by 1: 0 is padding.
            ids = ops.where(mask, ids - 1, special["padding"])
        given = {
            "token_ids": ids,
            "padding_mask": ops.cast(mask, "int32"),
            "segment_ids": ops.zeros_like(ids),
        }
        # DistilBERT has no segments; CLIP is causal and takes no mask.
        output = backbone({i.name: given[i.name] for i in backbone.inputs})
        if len(output.shape) == 2:
            return one_token(output), ops.any(mask, axis=1, keepdims=True)
        return output, mask

    def _encode_image(self, image, sequences):
        backbone = self._backbone("image", sequences)
        hub = _keras_hub()
        converter = hub.layers.ImageConverter.from_preset(self.preset)
        x = without_nan(image)
        height, width = backbone.inputs[0].shape[1:3]
        if height and (height, width) != tuple(image.shape[1:3]):
            x = layers.Resizing(height, width, antialias=True)(x)
        scale, offset = converter.scale, converter.offset
        scale = 1.0 if scale is None else ops.convert_to_numpy(scale)
        offset = 0.0 if offset is None else ops.convert_to_numpy(offset)
        x = layers.Rescaling(_plain(255.0 * scale), _plain(offset))(x)
        named = isinstance(backbone.input, dict)
        output = backbone({backbone.inputs[0].name: x} if named else x)
        if len(output.shape) == 4:
            output = layers.Reshape((-1, output.shape[-1]))(output)
        elif len(output.shape) == 2:
            output = one_token(output)
        return output, repeat_mask(row_mask(image), output)


@contextlib.contextmanager
def reading(preset):
    """Says what helps where a preset cannot be downloaded."""
    try:
        yield
    except FileNotFoundError:
        # Of a folder that lacks a file, which KerasHub names.
        raise
    except OSError as error:
        raise ValueError(
            "The preset is not on this machine, and it cannot be downloaded: "
            f"{type(error).__name__}. With a network, KerasHub keeps it in the folder "
            "of the environment variable KAGGLEHUB_CACHE, which can be copied here; or "
            "pass a folder that holds the preset, or a model in Hugging Face's format: "
            "encoders={...: 'hub:<folder>'}. "
            f"Received: preset={preset!r}"
        ) from error


def _plain(value):
    """Numbers as plain Python, for the layer's configuration."""
    return value.tolist() if hasattr(value, "tolist") else value


def _keras_hub():
    try:
        import keras_hub
    except ImportError as error:
        raise missing_extra("keras_hub", "hub") from error
    return keras_hub
