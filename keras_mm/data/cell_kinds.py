"""What a single cell looks like, whatever its column is called or its dtype is."""

import datetime
import math
import numbers
import os
import re

import numpy as np

from ..inputs.cells import is_missing, to_number
from ..inputs.clips import is_clip, is_clip_path
from ..inputs.date import to_iso
from ..inputs.files import held_file
from ..inputs.items import items_of
from ..inputs.picture_cells import is_picture
from ..inputs.sounds import has_samples, is_sound

# The endings of files that are pictures, whether or not they can be read.
PICTURE_ENDINGS = (
    ".jpg .jpeg .jpe .jfif .png .gif .bmp .dib .webp .tif .tiff .avif .heic .heif "
    ".jp2 .j2k .ico .ppm .pgm .pbm"
).split()
_SOUND_ENDINGS = (
    ".wav .wave .flac .ogg .oga .opus .mp3 .m4a .aac .aif .aiff .aifc .au .caf"
).split()
# Digits that would lose something as numbers: 01234, a telephone's; a long code.
_CODE = re.compile(r"[+-]?0[0-9]+|[+][0-9]{7,}")
_LONG = re.compile(r"[+-]?[0-9]{16,}")
_DECIMAL_COMMA = re.compile(r"[+-]?([0-9]{1,3}([.][0-9]{3})+|[0-9]+),[0-9]+")


def is_number(cell):
    """Whether a cell is a number, or text that is one and loses nothing as one."""
    if isinstance(cell, (bool, np.bool_)):
        return False
    if isinstance(cell, str):
        if is_code(cell) or cell.strip().lower() in ("true", "false"):
            return False
        try:
            return not math.isnan(to_number(cell))
        except ValueError:
            return False
    # Decimal counts as one.
    if not isinstance(cell, numbers.Number) or isinstance(cell, complex):
        return False
    try:
        return not math.isnan(cell)
    except OverflowError:
        return False


def is_finite(cell):
    """Whether a cell is a number that a `Number` can read."""
    return is_number(cell) and math.isfinite(to_number(cell))


def is_code(cell):
    """Whether a text is digits that are more than a number: leading zeros, a plus."""
    return isinstance(cell, str) and bool(_CODE.fullmatch(cell.strip()))


def has_many_digits(cell):
    """Whether a cell is a whole number of which a float may lose digits."""
    text = str(cell) if isinstance(cell, numbers.Integral) else cell
    return isinstance(text, str) and bool(_LONG.fullmatch(text.strip()))


def has_decimal_comma(cell):
    """Whether a text is a number with a comma for the point."""
    return isinstance(cell, str) and bool(_DECIMAL_COMMA.fullmatch(cell.strip()))


def is_date(cell):
    """Whether a cell is a date in ISO form."""
    try:
        to_iso(cell)
    except ValueError:
        return False
    return True


def is_plain(cell):
    """Whether a cell is text, a number, a date: what `str` does not give an address."""
    import pandas as pd

    kinds = (str, numbers.Number, np.generic, datetime.date, datetime.time)
    kinds += (datetime.timedelta, pd.Period, pd.Interval, os.PathLike)
    return isinstance(cell, kinds) or type(cell).__module__ == "uuid"


def is_array(cell):
    """Whether a cell is an array."""
    return len(getattr(cell, "shape", ())) > 0


def is_series(cell):
    """Whether a cell is an array or a list."""
    return isinstance(cell, (list, tuple)) or is_array(cell)


def is_list(cell):
    """Whether a cell is a list of texts, paths, files or pictures, or spells one."""
    items = items_of(cell)
    if len(items) == 1 and items[0] is cell:
        return False
    kinds = (str, bytes, bytearray, os.PathLike)
    return all(
        is_missing(item)
        or isinstance(item, kinds)
        or (not is_array(item) and file_kind(item) is not None)
        for item in items
    )


def file_kind(cell, base_dir=None):
    """`"picture"`, `"sound"`, `"clip"`, `"other"` or None: which file a cell is.

    Args:
        cell: bytes, the path of a file that need not be there, a Pillow picture, an
            array of pixels, or a dict of Hugging Face's data sets.
        base_dir: folder that relative paths start from.

    Returns:
        string: `"other"` is the path of a file that is there and none of these.
    """
    if isinstance(cell, dict):
        if has_samples(cell):
            return "sound"
        held = held_file(cell)
        return None if held is cell else file_kind(held, base_dir)
    if isinstance(cell, (str, os.PathLike)):
        return _kind_of_path(os.path.join(base_dir or "", os.fspath(cell)))
    if isinstance(cell, (bytes, bytearray)):
        return _kind_of_content(bytes(cell))
    if type(cell).__module__.startswith("PIL."):
        return "picture"
    return "picture" if _is_pixels(cell) else None


def _kind_of_path(path):
    if os.path.isfile(path):
        with open(path, "rb") as file:
            kind = _kind_of_content(file.read(64), path)
        if kind:
            return kind
    ending = os.path.splitext(path)[1].lower()
    if is_clip_path(path):
        return "clip"
    if ending in PICTURE_ENDINGS:
        return "picture"
    if ending in _SOUND_ENDINGS:
        return "sound"
    return "other" if os.path.isfile(path) else None


def _kind_of_content(encoded, path=None):
    """What bytes are; with the file's path the first of them are enough."""
    if encoded[:4] == b"GIF8" and path:
        return "clip" if is_clip_path(path) else "picture"
    if is_clip(encoded):
        return "clip"
    if is_sound(encoded[:12]):
        return "sound"
    return "picture" if is_picture(path or encoded) else None


def _is_pixels(cell):
    """Whether a cell is an array of grey values, or of colours."""
    shape, dtype = getattr(cell, "shape", ()), getattr(cell, "dtype", None)
    if not shape or min(shape) < 1 or dtype is None:
        return False
    if str(dtype) == "uint8":
        return len(shape) in (2, 3)
    if len(shape) != 3 or shape[-1] not in (1, 3, 4):
        return False
    values = np.asarray(cell)
    if values.dtype.kind not in "iuf":
        return False
    # NaN is not in this range either.
    most = 1 if values.dtype.kind == "f" else 255
    return bool(values.min() >= 0 and values.max() <= most)


def is_video(cell, base_dir=None):
    """Whether a cell is a clip: a file, frames, or an array of frames."""
    if isinstance(cell, (list, tuple)) or str(getattr(cell, "dtype", "")) == "object":
        frames = [frame for frame in cell if not is_missing(frame)]
        return bool(frames) and file_kind(frames[0], base_dir) == "picture"
    shape = getattr(cell, "shape", ())
    if len(shape) == 4:
        return shape[-1] == 3 and str(cell.dtype) == "uint8"
    return file_kind(cell, base_dir) == "clip"
