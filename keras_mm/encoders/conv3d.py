from keras import layers, ops

from .encoder import Encoder, pooled, step_mask, without_nan


class Conv3D(Encoder):
    """A small convolutional network over space and time.

    Its filters span several frames, so that they detect motion as well as edges.
    Pooling is spatial only; each frame is a token.

    Examples:

    >>> encoder = keras_mm.encoders.Conv3D(filters=(8, 16))
    >>> video = keras_mm.Video(num_frames=4, size=(32, 32))
    >>> model = encoder.build({"clip": video}, name="clip-encoder")
    >>> model.output_shape
    [(None, 1, 16), (None, 1)]

    Args:
        filters: int or sequence of ints, one convolution and pooling for each;
            the last is the length of a token.
        kernel_size: int, in space and in time.
        activation: string.

    Reference:
        Tran et al. 2015, "Learning Spatiotemporal Features with 3D
        Convolutional Networks".
    """

    reads = ("video",)

    def __init__(self, filters=(16, 32, 64), kernel_size=3, activation="relu"):
        self.filters = (filters,) if isinstance(filters, int) else tuple(filters)
        self.kernel_size = kernel_size
        self.activation = activation

    def encode(self, tensors, inputs, sequences):
        """`(batch, frames, height, width, 3)` -> one token, or one per frame."""
        (clip,) = tensors
        mask = step_mask(clip)
        x = without_nan(clip)
        for filters in self.filters:
            x = layers.Conv3D(
                filters, self.kernel_size, padding="same", activation=self.activation
            )(x)
            # Missing frames are 0 to their neighbours, like the padding at the
            # ends of the clip.
            present = ops.cast(mask, x.dtype)[:, :, None, None, None]
            x = x * present
            if min(x.shape[2:4]) > 1:
                # Frame by frame: on a CPU, TensorFlow has no 3-D pooling in half
                # precision.
                x = ops.reshape(x, (-1, *x.shape[2:]))
                x = layers.MaxPooling2D()(x)
                x = ops.reshape(x, (-1, clip.shape[1], *x.shape[1:]))
        tokens = ops.mean(x, axis=(2, 3))
        return (tokens, mask) if sequences else pooled(tokens, mask)
