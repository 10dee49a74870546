"""What kind of value a single cell holds, whatever the dtype of its column."""

import datetime
import decimal
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

# Extensions of image files, whether or not they can be read.
PICTURE_ENDINGS = (
    ".jpg .jpeg .jpe .jfif .png .gif .bmp .dib .webp .tif .tiff .avif .heic .heif "
    ".jp2 .j2k .ico .ppm .pgm .pbm"
).split()
_SOUND_ENDINGS = (
    ".wav .wave .flac .ogg .oga .opus .mp3 .m4a .aac .aif .aiff .aifc .au .caf"
).split()
# Digits that would lose something as numbers: 01234, phone numbers, long codes.
_CODE = re.compile(r"[+-]?0[0-9]+|[+][0-9]{7,}")
_LONG = re.compile(r"[+-]?[0-9]{16,}")
_DECIMAL_COMMA = re.compile(r"[+-]?([0-9]{1,3}([.][0-9]{3})+|[0-9]+),[0-9]+")


def is_number(cell):
    """Whether a cell is a number, or text that can become one without loss."""
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
    if not isinstance(cell, (numbers.Real, decimal.Decimal)):
        return False
    try:
        return not math.isnan(cell)
    except OverflowError:
        return False


def is_finite(cell):
    """Whether a cell is a number that a `Number` can read."""
    return is_number(cell) and math.isfinite(to_number(cell))


def is_code(cell):
    """Whether a text is a code of digits, with leading zeros or a plus sign."""
    return isinstance(cell, str) and bool(_CODE.fullmatch(cell.strip()))


def has_many_digits(cell):
    """Whether a cell is an integer with more digits than a float can hold."""
    text = str(cell) if isinstance(cell, numbers.Integral) else cell
    return isinstance(text, str) and bool(_LONG.fullmatch(text.strip()))


def has_decimal_comma(cell):
    """Whether a text is a number with a decimal comma."""
    return isinstance(cell, str) and bool(_DECIMAL_COMMA.fullmatch(cell.strip()))


def is_date(cell):
    """Whether a cell is a date in ISO form."""
    try:
        to_iso(cell)
    except ValueError:
        return False
    return True


def is_plain(cell):
    """Whether a cell is text, a number or a date, and `str` of it is meaningful."""
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
    """Whether a cell is a list of texts, paths, files or images, also as text."""
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
    """The kind of file that a cell holds: `"picture"`, `"sound"`, `"clip"`, ...

    Args:
        cell: bytes, the path of a file that need not exist, a Pillow image, an
            array of pixels, or a dict of a Hugging Face dataset.
        base_dir: folder that relative paths start from.

    Returns:
        string, or None: `"other"` is the path of an existing file of another kind;
        None is not a file.
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
    """The kind of a file's bytes; given its path, the first 64 are enough."""
    if encoded[:4] == b"GIF8" and path:
        return "clip" if is_clip_path(path) else "picture"
    if is_clip(encoded):
        return "clip"
    if is_sound(encoded[:12]):
        return "sound"
    return "picture" if is_picture(path or encoded) else None


def _is_pixels(cell):
    """Whether a cell is an array of grey or colour pixels."""
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
    # False for NaN, too.
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
