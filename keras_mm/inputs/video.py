import os
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from ..deprecated import renamed
from ..errors import refuse_rows
from .cells import is_missing
from .clips import Choice, read_file, read_frames
from .files import unwrapped
from .image import Image
from .input import Input
from .literals import from_text

_SAMPLINGS = ("uniform", "random", "dense")


@keras.saving.register_keras_serializable(package="keras_mm")
class Video(Input):
    """A column of clips: video files, animated GIFs, frames or arrays.

    A cell is the path or the bytes of a video file (MP4, WebM, AVI, MOV, MKV
    and more, through the package `av`) or of an animated GIF; a list of
    encoded images or of their paths, one per frame; or an array `(frames,
    height, width, 3)` of `uint8` or of floats from 0 to 1. Of each clip
    `num_frames` frames are kept. The tensor `(num_frames, height, width, 3)`
    holds `float32` RGB values from 0 to 1, and NaN where a frame is missing:
    shorter clips are padded with such frames, a missing clip is all NaN.

    A request to the exported model holds the frames themselves, as encoded
    images: fewer than `num_frames` are padded, more are sampled.

    Examples:

    >>> video = keras_mm.Video(num_frames=4, size=(32, 32))
    >>> frames = [open("bird.jpg", "rb").read()] * 3
    >>> video.preprocess([frames]).shape
    TensorShape([1, 4, 32, 32, 3])

    Args:
        num_frames: int, how many frames of a clip the tensor holds.
        size: int or pair of ints, `(height, width)` of a frame in pixels.
        sampling: which frames are kept. `"uniform"`: the middle ones of
            `num_frames` equal segments. `"random"`: a random one of each
            segment, drawn again whenever the cell is read: once per `fit`,
            `evaluate` or `predict` of a table, in every epoch of a
            `tf.data.Dataset` of rows. (An exported model takes the middle ones.)
            `"dense"`: consecutive frames from the clip's middle.
        pad_to_aspect_ratio: bool, whether to keep the aspect ratio and pad with
            white; otherwise frames are stretched.
        seed: int, for `"random"`.
    """

    kind = "video"
    default_encoder = "frames"
    is_file = True
    raw_shape = (None,)

    def __init__(
        self,
        num_frames=8,
        size=(64, 64),
        sampling="uniform",
        pad_to_aspect_ratio=False,
        seed=None,
    ):
        if int(num_frames) != num_frames or num_frames < 1:
            raise ValueError(
                f"`num_frames` must be a positive int. Received: num_frames={num_frames}"
            )
        if sampling not in _SAMPLINGS:
            raise ValueError(
                f"`sampling` must be one of {_SAMPLINGS}. "
                f"Received: sampling={sampling!r}"
            )
        self.num_frames = int(num_frames)
        self.sampling = sampling
        self.seed = seed
        # Reads a frame as the Image input reads an image.
        self.image = Image(size, pad_to_aspect_ratio, augmentation=None)
        self._random = np.random.default_rng(seed)

    @property
    def size(self):
        """`(height, width)` of a frame in the tensor."""
        return self.image.size

    @property
    def shape(self):
        """`(frames, height, width, channels)` of one clip's tensor."""
        return (self.num_frames, *self.image.shape)

    @property
    def compact_bytes(self):
        """Bytes that one decoded clip takes in memory."""
        return self.num_frames * (self.image.compact_bytes + 1)

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """Clips -> object array `(rows, num_frames)` of encoded frames.

        Missing frames are `b""`. Only the wanted frames of a video file are
        decoded, and those that they depend on; they are shrunk as far as `size`
        allows and kept as JPEG, so that a table of clips stays small. Frames
        that come as encoded images are not changed. With `on_unreadable="missing"` an
        unreadable frame of a list is a missing frame, and an unreadable file a
        missing clip.
        """
        values = np.full((len(column), self.num_frames), b"", dtype=object)
        # The position of each frame within its segment.
        offsets = np.full(values.shape, 0.5)
        if self.sampling == "random":
            offsets = self._random.random(values.shape)
        reason, waiting = {}, {}

        def keep(row, read, *arguments):
            try:
                frames = read(*arguments)
                values[row, : len(frames)] = frames
            except (OSError, ValueError) as error:
                reason[row] = str(error)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for row, cell in enumerate(column):
                # In a CSV file, a list of frames is text.
                cell = unwrapped(from_text(cell), base_dir)
                if is_missing(cell):
                    continue
                choose = Choice(self, offsets[row])
                if not isinstance(cell, (str, bytes)):
                    keep(
                        row,
                        read_frames,
                        cell,
                        choose,
                        self.size,
                        base_dir,
                        on_unreadable,
                    )
                    continue
                waiting[row] = pool.submit(read_file, cell, choose, self.size)
            for row, result in waiting.items():
                keep(row, result.result)
        wrong = sorted(reason)
        if wrong and on_unreadable == "error":
            first = column.iloc[wrong[0]]
            received = first if isinstance(first, (str, os.PathLike)) else type(first)
            refuse_rows(
                name,
                wrong,
                f"no readable clip ({reason[wrong[0]]})",
                "Correct the cells, or pass on_unreadable='missing' to treat them as "
                "missing.",
                received,
            )
        return values

    def decode(self, raw):
        """Encoded frames `(batch, frames)` -> `((pixels, present), ok)`.

        A frame that cannot be decoded is missing from its clip, and does not affect
        the others; a clip is ok if any of its frames could be decoded.

        Returns:
            Pair of `uint8` tensor `(batch, num_frames, height, width, 3)` and
            `bool` tensor `(batch, num_frames)`; `bool` tensor `(batch,)`.
        """
        import tensorflow as tf

        raw = tf.convert_to_tensor(raw, tf.string)
        if raw.shape.rank != 2:
            raise ValueError(
                "A batch of clips must hold a list of encoded frames for each row. "
                f"Received: strings of shape {raw.shape}"
            )
        rows = tf.shape(raw)[0]
        # Clips shorter than `num_frames` are padded.
        raw = tf.concat([raw, tf.fill([rows, self.num_frames], "")], axis=1)
        numbers = 1 + tf.range(tf.shape(raw)[1])
        lengths = tf.reduce_max(tf.where(raw != "", numbers, 0), axis=1)
        raw = tf.gather(raw, self._places(lengths[:, tf.newaxis]), batch_dims=1)
        pixels, present = self.image.decode(tf.reshape(raw, [-1]))
        pixels = tf.reshape(pixels, [-1, *self.shape])
        present = tf.reshape(present, [-1, self.num_frames])
        return (pixels, present), tf.reduce_any(present, axis=1)

    def decode_one(self, raw):
        """Encoded frames `(frames,)`, or pixels -> `(pixels, present)`.

        Raises `tf.errors.InvalidArgumentError` if no frame can be decoded; a clip
        without frames is missing, and no error.
        """
        import tensorflow as tf

        if raw.dtype == tf.string:
            if raw.shape.rank != 1:
                raise ValueError(
                    "A clip in a dataset must be a list of encoded frames, or an "
                    f"array. Received: strings of shape {raw.shape}"
                )
            (pixels, present), ok = self.decode(raw[tf.newaxis])
            fine = ok[0] | tf.reduce_all(raw == "")
            check = tf.debugging.Assert(fine, ["no frame of a clip can be read"])
            with tf.control_dependencies([check]):
                return tf.identity(pixels[0]), present[0]
        count = tf.shape(raw)[0]
        blank = tf.zeros([self.num_frames, *tf.unstack(tf.shape(raw)[1:])], raw.dtype)
        frames = tf.gather(tf.concat([raw, blank], axis=0), self._places(count))
        pixels = tf.map_fn(self.image.resize, frames, fn_output_signature=tf.uint8)
        return pixels, tf.range(self.num_frames) < count

    def _places(self, length):
        """The same as `Choice`, for a tensor of lengths; never at random."""
        import tensorflow as tf

        steps = tf.range(self.num_frames)
        if self.sampling == "dense":
            chosen = (length - self.num_frames) // 2 + steps
        else:
            chosen = (2 * steps + 1) * length // (2 * self.num_frames)
        return tf.where(length > self.num_frames, chosen, steps)

    def finish(self, compact):
        """`((pixels, present), ok)` -> `float32` in 0..1, NaN for missing frames."""
        import tensorflow as tf

        (pixels, present), ok = compact
        # Dividing by NaN marks what is missing in the same pass.
        highest = tf.where(present & ok[:, tf.newaxis], 255.0, np.nan)
        return tf.cast(pixels, tf.float32) / highest[..., None, None, None]

    def sample(self, random, bad=False):
        """A few small random images; some other bytes when `bad`."""
        count = int(random.integers(1, self.num_frames + 1))
        frames = [self.image.sample(random, bad) for _ in range(count)]
        return np.array(frames, dtype=object)

    def request_value(self):
        """The value of one row in a request, in words."""
        return (
            f"a list of frames, best {self.num_frames}, of which each is "
            + self.image.request_value()
        )

    def describe(self):
        """A one-line description."""
        return (
            f"Video, {self.num_frames} frames ({self.sampling}) of {self.size[0]} x "
            f"{self.size[1]} pixels, RGB"
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            "num_frames": self.num_frames,
            "size": list(self.size),
            "sampling": self.sampling,
            "pad_to_aspect_ratio": self.image.pad_to_aspect_ratio,
            "seed": self.seed,
        }
