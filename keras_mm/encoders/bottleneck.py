from keras import layers, ops

from .encoder import Encoder, one_token

# A sequence is shortened to this many places before it becomes one vector.
_PLACES = 16


class Bottleneck(Encoder):
    """Another encoder, and a Dense layer that makes one short vector of it.

    What autoencoders have in the middle. The steps of a sequence are not pooled
    to their mean, which would forget when something was: they are shortened to
    at most 16 places, side by side.

    Examples:

    >>> encoder = keras_mm.encoders.Bottleneck(keras_mm.encoders.CNN(8), units=16)
    >>> model = keras_mm.build_classifier(schema, encoders={"image": encoder})

    Args:
        encoder: the `Encoder` in front.
        units: int, length of the vector.
    """

    def __init__(self, encoder, units=64):
        self.encoder = encoder
        self.units = units
        self.reads = encoder.reads

    def prepare(self, value):
        """The input in the form that the encoder in front reads."""
        return self.encoder.prepare(value)

    def encode(self, tensors, inputs, sequences):
        """The modality's tensors -> one token."""
        has_steps = inputs[0].kind == "sequence"
        tokens, mask = self.encoder.encode(tensors, inputs, has_steps)
        # What the mask hides must not be seen.
        x = tokens * ops.cast(ops.expand_dims(mask, -1), tokens.dtype)
        pool = -(-x.shape[1] // _PLACES)
        if pool > 1:
            x = layers.AveragePooling1D(pool, padding="same")(x)
        x = layers.Dense(self.units, name="bottleneck")(layers.Flatten()(x))
        return one_token(x), ops.any(mask, axis=1, keepdims=True)
