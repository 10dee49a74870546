"""Cells of clips -> encoded frames: video files, animated GIFs, lists of images."""

import bisect
import io
import math
import os

import numpy as np

from ..errors import missing_extra
from .cells import is_missing
from .files import open_file, unwrapped
from .picture_cells import encode_array, to_picture
from .picture_limits import check_size

_ENDINGS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg")
# Containers that are read. A playlist, which FFmpeg also reads, would make it
# open other files and URLs.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,ogg,flv,asf,mxf,ivf,h264,hevc"
)
# A seek costs about as much as decoding this many frames.
_SEEK_COST = 4


class Choice:
    """The indices of the frames to keep of a clip with `length` frames, in order."""

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


def read_frames(cell, choose, size, base_dir, on_unreadable):
    """A list of images or an array -> encoded frames."""
    if isinstance(cell, np.ndarray) and cell.ndim not in (1, 4):
        raise ValueError(
            f"an array of shape {cell.shape} is not a clip, which is (frames, height, "
            "width, 3)"
        )
    if not isinstance(cell, (list, tuple, np.ndarray)):
        raise ValueError(f"a cell of type {type(cell).__name__} is not a clip")
    present = [place for place, frame in enumerate(cell) if not is_absent(frame)]
    frames = []
    for place in choose(present[-1] + 1 if present else 0):
        try:
            frames.append(_picture(cell[place], size, base_dir))
        except (OSError, ValueError) as error:
            if on_unreadable == "error":
                raise ValueError(f"frame {place}: {error}") from error
            frames.append(b"")
    return frames


def is_absent(frame):
    """Whether a frame of a list or an array is missing: `""`, None or NaN."""
    if isinstance(frame, np.ndarray) and frame.dtype.kind == "f":
        return bool(np.isnan(frame).all())
    return is_missing(frame)


def _picture(frame, size, base_dir):
    """One frame of a list, in any form that an `Image` cell has -> encoded bytes."""
    frame = unwrapped(frame, base_dir)
    if is_absent(frame):
        return b""
    frame = to_picture(frame, size)
    if isinstance(frame, bytes):
        return frame
    with open(frame, "rb") as file:
        return file.read()


def read_file(source, choose, size):
    """Path or bytes of a video file or an animated GIF -> encoded frames."""
    with open_file(source) as file:
        start = file.read(4)
    if start == b"GIF8":
        return _read_gif(source, choose, size)
    return _read_video(source, choose, size)


def _smallest(height, width, size):
    """The smallest `(height, width)` of the same aspect ratio that covers `size`."""
    scale = max(size[0] / height, size[1] / width)
    if scale >= 1:
        return height, width
    # 64.00000001 must not become 65.
    return tuple(math.ceil(round(side * scale, 6)) for side in (height, width))


def _read_gif(source, choose, size):
    from PIL import Image as Pillow

    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    frames = []
    try:
        with Pillow.open(stream) as picture:
            width, height = picture.size
            check_size(width, height)
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
                decoded = _seek_frames(container, stream, times, keys, wanted)
                frames = [encoder(frame) for frame in decoded]
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
    """Whether bytes begin like a video file, or are an animated GIF."""
    if encoded[:4] == b"GIF8":
        return _is_animated(io.BytesIO(encoded))
    if encoded[4:8] == b"ftyp":
        # The same box holds songs (M4A) and images (HEIC, AVIF).
        brand = encoded[8:12].lower()
        return not brand.startswith((b"m4a", b"m4b", b"hei", b"hev", b"mif", b"avi"))
    if encoded[:4] == b"\x1a\x45\xdf\xa3":
        return True
    return encoded[:4] == b"RIFF" and encoded[8:12] == b"AVI "


def is_clip_path(path):
    """Whether a path has the ending of a video file, or is an animated GIF."""
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
    """The file has no usable timestamps: its frames can only be counted."""


def _open(av, source):
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    else:
        # Not to be read as a URL.
        source = os.path.abspath(source)
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    return av.open(source, options=options)


def _pictures_of(container):
    """The video stream; the cover image of a song is none."""
    for stream in container.streams.video:
        if "attached_pic" in str(stream.disposition):
            continue
        context = stream.codec_context
        if context is None:
            raise ValueError("video of a kind that cannot be decoded")
        check_size(context.width, context.height)
        return stream
    raise ValueError("a file without video")


def _scan(container, stream):
    """Reads the presentation times of all frames, without decoding them.

    Returns:
        Sorted times of all frames, or None if the file has none; times of the
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
    """Yields the frames whose indices are in `places`."""
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

        check_size(frame.width, frame.height)
        # Phones store clips rotated, with the angle.
        quarters = round(frame.rotation / 90) % 4
        size = self.size[::-1] if quarters % 2 else self.size
        height, width = _smallest(frame.height, frame.width, size)
        small = self.reformatter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation="AREA"
        )
        pixels = np.rot90(small.to_ndarray(), quarters)
        stream = io.BytesIO()
        # No chroma subsampling: the frames are small.
        Pillow.fromarray(np.ascontiguousarray(pixels)).save(
            stream, "JPEG", quality=95, subsampling=0
        )
        return stream.getvalue()
