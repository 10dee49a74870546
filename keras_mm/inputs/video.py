import bisect
import io
import math
import os
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from ..errors import missing_extra, refuse_rows
from .cells import is_missing
from .image import MAX_PIXELS, Image, check_encoded, encode_array
from .input import Input
from .literals import from_text

_SAMPLINGS = ("uniform", "random", "dense")
_ENDINGS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg")
# Containers that are read. A playlist, which FFmpeg reads too, would make it
# open other files and addresses.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,ogg,flv,asf,mxf,ivf,h264,hevc"
)
# A seek costs about as much as decoding this many frames.
_SEEK_COST = 4


@keras.saving.register_keras_serializable(package="keras_mm")
class Video(Input):
    """A column of clips: video files, animated GIFs, frames or arrays.

    A cell is the path or the bytes of a video file (MP4, WebM, AVI, MOV, MKV
    and more, through the package `av`) or of an animated GIF; a list of
    encoded pictures or of their paths, one a frame; or an array `(frames,
    height, width, 3)` of `uint8` or of floats from 0 to 1. Of each clip
    `num_frames` frames are kept. The tensor `(num_frames, height, width, 3)`
    holds `float32` RGB values from 0 to 1, and NaN where a frame is not there:
    a clip that is shorter ends with such frames, a missing clip is all NaN.

    A request to the exported model holds the frames themselves, as encoded
    pictures: fewer than `num_frames` are padded, more are sampled.

    Examples:

    >>> video = keras_mm.Video(num_frames=4, size=(32, 32))
    >>> frames = [open("bird.jpg", "rb").read()] * 3
    >>> video.preprocess([frames]).shape
    TensorShape([1, 4, 32, 32, 3])

    Args:
        num_frames: int, how many frames of a clip the tensor holds.
        size: int or pair of ints, `(height, width)` of a frame in pixels.
        sampling: which frames those are. `"uniform"`: the middle ones of
            `num_frames` equal segments. `"random"`: one drawn from each
            segment, anew each time that a table is read: `fit` reads its
            table once, and so do `evaluate` and `predict`. What the exported
            model samples, and a `tf.data.Dataset` of rows, is uniform.
            `"dense"`: consecutive frames from the clip's middle.
        pad_to_aspect_ratio: bool, whether to keep the proportions and fill up
            with white; otherwise frames are stretched.
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
        # Reads a frame as the Image input reads a picture.
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

    def to_raw(self, column, name="column", base_dir=None, bad="error"):
        """Clips -> object array `(rows, num_frames)` of encoded frames.

        Frames that are not there are `b""`. Only the wanted frames of a video
        file are decoded, and what must be decoded before them; they are
        shrunk as far as `size` allows and kept as JPEG, so that a table of
        clips stays small. Frames that come as encoded pictures stay as they
        are. With `bad="missing"` a frame of a list that cannot be read is a
        missing frame, and a file that cannot be read a missing clip.
        """
        values = np.full((len(column), self.num_frames), b"", dtype=object)
        # Where in its segment each frame is taken.
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
                # A CSV file spells a list of frames.
                cell = from_text(cell)
                if is_missing(cell):
                    continue
                choose = _Choice(self, offsets[row])
                if not isinstance(cell, (str, os.PathLike, bytes, bytearray)):
                    keep(row, _read_frames, cell, choose, base_dir, bad)
                    continue
                if isinstance(cell, bytearray):
                    cell = bytes(cell)
                if not isinstance(cell, bytes):
                    cell = os.path.join(base_dir or "", cell)
                waiting[row] = pool.submit(_read_file, cell, choose, self.size)
            for row, result in waiting.items():
                keep(row, result.result)
        wrong = sorted(reason)
        if wrong and bad == "error":
            first = column.iloc[wrong[0]]
            shown = first if isinstance(first, (str, os.PathLike)) else type(first)
            refuse_rows(
                name,
                wrong,
                f"no readable clip ({reason[wrong[0]]})",
                "Correct the cells, or pass bad='missing' to treat them as missing.",
                shown,
            )
        return values

    def decode(self, raw):
        """Encoded frames `(batch, frames)` -> `((pixels, present), ok)`.

        A frame that cannot be read is missing from its clip, and costs no
        other; a clip is ok if one of its frames could be read.

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
        # Clips shorter than `num_frames` end with nothing.
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

        Raises `tf.errors.InvalidArgumentError` if no frame can be read; a clip
        that holds none is not wrong.
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
        """What `_Choice` gives, for a tensor of lengths; not at random."""
        import tensorflow as tf

        steps = tf.range(self.num_frames)
        if self.sampling == "dense":
            chosen = (length - self.num_frames) // 2 + steps
        else:
            chosen = (2 * steps + 1) * length // (2 * self.num_frames)
        return tf.where(length > self.num_frames, chosen, steps)

    def finish(self, compact):
        """`((pixels, present), ok)` -> `float32` in 0..1, NaN where not there."""
        import tensorflow as tf

        (pixels, present), ok = compact
        # Dividing by NaN marks what is missing in the same pass.
        highest = tf.where(present & ok[:, tf.newaxis], 255.0, np.nan)
        return tf.cast(pixels, tf.float32) / highest[..., None, None, None]

    def sample(self, random, bad=False):
        """A few small random pictures; some other bytes when `bad`."""
        count = int(random.integers(1, self.num_frames + 1))
        frames = [self.image.sample(random, bad) for _ in range(count)]
        return np.array(frames, dtype=object)

    def request_value(self):
        """What a row of a request holds, in words."""
        return (
            f"a list of frames, best {self.num_frames}, of which each is "
            + self.image.request_value()
        )

    def describe(self):
        """One line for people."""
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


class _Choice:
    """Which frames of a clip of some length are wanted, in order."""

    def __init__(self, video, offsets):
        self.num_frames = video.num_frames
        self.is_dense = video.sampling == "dense"
        self.offsets = offsets

    def __call__(self, length):
        steps = np.arange(self.num_frames)
        if length <= self.num_frames:
            return list(range(length))
        if self.is_dense:
            return ((length - self.num_frames) // 2 + steps).tolist()
        return ((steps + self.offsets) * length // self.num_frames).astype(int).tolist()


def _read_frames(cell, choose, base_dir, bad):
    """A list of pictures or an array -> encoded frames."""
    if isinstance(cell, np.ndarray) and cell.ndim not in (1, 4):
        raise ValueError(
            f"an array of shape {cell.shape} is no clip, which is (frames, height, "
            "width, 3)"
        )
    if not isinstance(cell, (list, tuple, np.ndarray)):
        raise ValueError(f"a cell of type {type(cell).__name__} is no clip")
    there = [place for place, frame in enumerate(cell) if not is_absent(frame)]
    frames = []
    for place in choose(there[-1] + 1 if there else 0):
        try:
            frames.append(_picture(cell[place], base_dir))
        except (OSError, ValueError) as error:
            if bad == "error":
                raise ValueError(f"frame {place}: {error}") from error
            frames.append(b"")
    return frames


def is_absent(frame):
    """Whether a frame of a list or an array is not there: `""`, None or NaN."""
    if isinstance(frame, np.ndarray) and frame.dtype.kind == "f":
        return bool(np.isnan(frame).all())
    return is_missing(frame)


def _picture(frame, base_dir):
    """One frame of a list: bytes, path or pixels -> encoded picture."""
    if is_absent(frame):
        return b""
    if isinstance(frame, (str, os.PathLike)):
        path = os.path.join(base_dir or "", frame)
        check_encoded(path)
        with open(path, "rb") as file:
            return file.read()
    if isinstance(frame, (bytes, bytearray)):
        check_encoded(bytes(frame))
        return bytes(frame)
    return encode_array(frame)


def _read_file(source, choose, size):
    """Path or bytes of a video file or an animated GIF -> encoded frames."""
    if isinstance(source, bytes):
        start = source[:4]
    else:
        if not os.path.isfile(source):
            raise ValueError("no such file")
        with open(source, "rb") as file:
            start = file.read(4)
    if not start:
        raise ValueError("empty file")
    if start == b"GIF8":
        return _read_gif(source, choose, size)
    return _read_video(source, choose, size)


def _smallest(height, width, size):
    """The least `(height, width)` of these proportions that holds `size`."""
    scale = max(size[0] / height, size[1] / width)
    if scale >= 1:
        return height, width
    # Not a pixel more for 64.00000001.
    return tuple(math.ceil(round(side * scale, 6)) for side in (height, width))


def _read_gif(source, choose, size):
    from PIL import Image as Pillow

    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    frames = []
    try:
        with Pillow.open(stream) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels are too many")
            shape = _smallest(height, width, size)
            for place in choose(picture.n_frames):
                picture.seek(place)
                frame = picture.convert("RGBA")
                paper = Pillow.new("RGBA", frame.size, "white")
                frame = Pillow.alpha_composite(paper, frame).convert("RGB")
                if shape != (height, width):
                    frame = frame.resize(shape[::-1], Pillow.Resampling.BOX)
                frames.append(encode_array(np.asarray(frame)))
    except (EOFError, OSError, SyntaxError) as error:
        raise ValueError(f"a broken GIF: {error}") from error
    return frames


def _read_video(source, choose, size):
    try:
        import av
    except ImportError as error:
        raise missing_extra("av", "video") from error

    try:
        with _open(av, source) as container:
            stream = _pictures_of(container)
            times, keys, count = _scan(container, stream)
            places = choose(count)
            encoder = _FrameEncoder(av, size)
            try:
                if times is None:
                    raise _NoSeek
                wanted = [times[place] for place in places]
                found = _seek_frames(container, stream, times, keys, wanted)
                frames = [encoder(frame) for frame in found]
            except _NoSeek:
                frames = None
        if frames is None:
            with _open(av, source) as container:
                decoded = container.decode(_pictures_of(container))
                frames = [encoder(frame) for frame in _numbered(decoded, places)]
    except av.error.FFmpegError as error:
        raise ValueError(f"no video file, or a broken one: {error.strerror}") from error
    if not frames:
        raise ValueError("a video file without frames")
    return frames


def is_clip(encoded):
    """Whether bytes start as a video file does, or are an animated GIF."""
    if encoded[:4] == b"GIF8":
        return _is_animated(io.BytesIO(encoded))
    if encoded[4:8] == b"ftyp":
        # The same box holds songs (M4A) and pictures (HEIC, AVIF).
        brand = encoded[8:12].lower()
        return not brand.startswith((b"m4a", b"m4b", b"hei", b"hev", b"mif", b"avi"))
    if encoded[:4] == b"\x1a\x45\xdf\xa3":
        return True
    return encoded[:4] == b"RIFF" and encoded[8:12] == b"AVI "


def is_clip_path(path):
    """Whether a path ends as that of a video file does, or is an animated GIF."""
    ending = os.path.splitext(path)[1].lower()
    if ending == ".gif" and os.path.isfile(path):
        return _is_animated(path)
    return ending in _ENDINGS


def _is_animated(source):
    from PIL import Image as Pillow

    try:
        with Pillow.open(source) as picture:
            return picture.n_frames > 1
    except (EOFError, OSError, SyntaxError, ValueError):
        return False


class _NoSeek(Exception):
    """The frames can be counted only, not found by their times."""


def _open(av, source):
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    else:
        # Not to be taken for an address.
        source = os.path.abspath(source)
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    return av.open(source, options=options)


def _pictures_of(container):
    """The video stream, which is not the cover of a song."""
    for stream in container.streams.video:
        if "attached_pic" in str(stream.disposition):
            continue
        context = stream.codec_context
        if context is None:
            raise ValueError("video of a kind that cannot be decoded")
        if context.width * context.height > MAX_PIXELS:
            raise ValueError(f"{context.width} x {context.height} pixels are too many")
        return stream
    raise ValueError("a file without video")


def _scan(container, stream):
    """Reads a file without decoding it: when its frames are shown.

    Returns:
        Sorted times of all frames, or None if they are not known; those of
        keyframes; the number of frames.
    """
    packets = [
        (packet.pts, packet.is_keyframe)
        for packet in container.demux(stream)
        if packet.size and not packet.is_discard
    ]
    if not packets or any(time is None for time, _ in packets):
        return None, None, len(packets)
    times = sorted(time for time, _ in packets)
    keys = sorted(time for time, is_key in packets if is_key)
    return times, keys, len(packets)


def _seek_frames(container, stream, times, keys, wanted):
    """Yields the frame of each time in `wanted`, which is sorted."""
    frame = None
    for time in wanted:
        before = bisect.bisect_right(keys, time)
        if not before:
            raise _NoSeek
        key = keys[before - 1]
        if frame is None or (
            bisect.bisect_left(times, key) - bisect.bisect_left(times, frame.pts)
            > _SEEK_COST
        ):
            container.seek(key, stream=stream)
            decoded = container.decode(stream)
            frame = next(decoded, None)
            if frame is None or frame.pts is None or frame.pts > time:
                raise _NoSeek
        # Some packets give no frame; the next one takes its place.
        while frame.pts < time:
            following = next(decoded, None)
            if following is None:
                break
            if following.pts is None:
                raise _NoSeek
            frame = following
        yield frame


def _numbered(frames, places):
    """Yields those of `frames` whose numbers are in `places`."""
    last = places[-1] if places else -1
    for number, frame in enumerate(frames):
        if number > last:
            return
        if number in places:
            yield frame


class _FrameEncoder:
    """Decoded frames of one clip -> small JPEG files."""

    def __init__(self, av, size):
        self.size = size
        self.reformatter = av.video.reformatter.VideoReformatter()

    def __call__(self, frame):
        from PIL import Image as Pillow

        if frame.width * frame.height > MAX_PIXELS:
            raise ValueError(f"{frame.width} x {frame.height} pixels are too many")
        # Telephones lie on their side and say so.
        quarters = round(frame.rotation / 90) % 4
        size = self.size[::-1] if quarters % 2 else self.size
        height, width = _smallest(frame.height, frame.width, size)
        small = self.reformatter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation="AREA"
        )
        pixels = np.rot90(small.to_ndarray(), quarters)
        stream = io.BytesIO()
        # Colours at full resolution: few pixels are left.
        Pillow.fromarray(np.ascontiguousarray(pixels)).save(
            stream, "JPEG", quality=95, subsampling=0
        )
        return stream.getvalue()
