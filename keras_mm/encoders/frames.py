from keras import layers, ops

from ..inputs import Image
from ..names import layer_name
from .cnn import CNN
from .encoder import Encoder, masked_mean, one_token, pooled
from .transformer_block import check_heads, transformer_block
from .vit import add_positions

_TEMPORAL = ("mean", "lstm", "gru", "transformer")


class Frames(Encoder):
    """A clip as a sequence of images, with one image encoder for all frames.

    Each frame goes through the same image encoder and a Dense layer; the results
    are pooled over time. The mean ignores the order of frames: it cannot tell a
    movement to the left from one to the right. The other three can.

    Examples:

    >>> encoder = keras_mm.encoders.Frames(temporal="lstm", units=16)
    >>> video = keras_mm.Video(num_frames=4, size=(32, 32))
    >>> model = encoder.build({"clip": video}, name="clip-encoder")
    >>> model.output_shape
    [(None, 1, 16), (None, 1)]

    Args:
        encoder: name of an image encoder, an `Encoder`, a layer, a model or a
            function; None: a CNN of up to three convolutions.
        temporal: `"mean"`, `"lstm"`, `"gru"` or `"transformer"` (one block
            with learned positions, then the mean).
        units: int, length of a frame's token, and of the clip's.
        num_heads: int, for `"transformer"`.

    Reference:
        Donahue et al. 2015, "Long-term Recurrent Convolutional Networks for
        Visual Recognition and Description".
    """

    reads = ("video",)

    def __init__(self, encoder=None, temporal="mean", units=64, num_heads=4):
        if temporal not in _TEMPORAL:
            raise ValueError(
                f"`temporal` must be one of {_TEMPORAL}. "
                f"Received: temporal={temporal!r}"
            )
        if temporal == "transformer":
            check_heads(units, num_heads)
        self.encoder = encoder
        self.temporal = temporal
        self.units = units
        self.num_heads = num_heads
        # Fine-tuned as their encoder is.
        self.learning_rate = getattr(encoder, "learning_rate", None)
        self.lora_rank = getattr(encoder, "lora_rank", None)

    def encode(self, tensors, inputs, sequences):
        """`(batch, frames, height, width, 3)` -> one token, or one per frame."""
        # Imported here: the table of names imports this module.
        from . import get

        (clip,) = tensors
        length, *shape = clip.shape[1:]
        picture = Image(tuple(shape[:2]), augmentation=None)
        chosen = get(self.encoder or _small_cnn(min(shape[:2])), [picture])
        encoder = chosen.build({"frame": picture}, name=layer_name("encoder", "frame"))
        tokens, mask = encoder(ops.reshape(clip, (-1, *shape)))
        x = masked_mean(tokens, mask)
        x = ops.reshape(x, (-1, length, x.shape[-1]))
        mask = ops.reshape(ops.any(mask, axis=1), (-1, length))
        x = layers.Dense(self.units, activation="relu", name="frame_tokens")(x)
        if self.temporal in ("lstm", "gru"):
            recurrent = layers.LSTM if self.temporal == "lstm" else layers.GRU
            # See encoders/lstm.py for why cuDNN is off.
            x = recurrent(self.units, return_sequences=sequences, use_cudnn=False)(
                x, mask=mask
            )
            if sequences:
                return x, mask
            return one_token(x), ops.any(mask, axis=1, keepdims=True)
        if self.temporal == "transformer":
            x = transformer_block(
                add_positions(x), self.num_heads, 2 * self.units, mask=_visible(mask)
            )
            x = layers.LayerNormalization()(x)
        return (x, mask) if sequences else pooled(x, mask)


def _small_cnn(side):
    """As many convolutions as the frame has room for, up to three."""
    filters = []
    while len(filters) < 3 and (side - 2) // 2 >= 1:
        filters.append(16 * 2 ** len(filters))
        side = (side - 2) // 2
    return CNN(filters)


def _visible(mask):
    """A sequence's mask `(batch, length)` -> attention mask `(batch, length, length)`.

    Each token may attend to itself, too: on torch a fully masked row gives NaN.
    """
    length = mask.shape[1]
    places = ops.arange(length)
    itself = ops.equal(places[:, None], places[None])
    return ops.logical_or(ops.expand_dims(mask, 1), itself)
