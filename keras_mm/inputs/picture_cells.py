"""Image cells of any form -> files that the TensorFlow graph decodes."""

import io

import numpy as np

from .bmp import BMP_BITS, BMP_MASKS
from .files import open_file
from .picture_limits import check_size

# The formats that Pillow may try. Of the others, some run programs, and some take
# any text for an image.
_FORMATS = (
    "JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "AVIF", "JPEG2000",
    "ICO", "PPM", "HEIF",
)  # fmt: skip


def is_picture(source):
    """Whether a file begins like an image that Pillow reads.

    Args:
        source: bytes of a file, or its path.
    """
    try:
        with open_file(source) as file, _opened(file):
            return True
    except (OSError, ValueError):
        return False


def to_picture(cell, size=None):
    """One cell -> bytes or path of a file that the TensorFlow graph decodes.

    Files of other formats, Pillow images and arrays become PNG files.

    Args:
        cell: path (`str`), bytes, Pillow image or array.
        size: pair of ints, the `(height, width)` that will be needed: images
            that are encoded again are reduced, to no less than twice that.

    Raises:
        ValueError: if it is not a readable image.
    """
    from PIL import Image as Pillow

    if isinstance(cell, (list, tuple)) and isinstance(cell[0], (str, bytes)):
        raise ValueError("a list: Image(num_images=...) reads several images")
    if isinstance(cell, Pillow.Image):
        return _encode(cell, size)
    if not isinstance(cell, (str, bytes)):
        return encode_array(cell)
    if check_encoded(cell):
        return cell
    with open_file(cell) as file, _opened(file) as picture:
        return _encode(picture, size)


def check_encoded(source):
    """Raises `ValueError` unless `source` looks like a readable image.

    Reads the header and the last bytes; does not decode.

    Args:
        source: bytes of an encoded image, or the path of one.

    Returns:
        bool, whether the TensorFlow graph decodes this kind of file.
    """
    with open_file(source) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        start = file.read(70)
        file.seek(max(0, size - 4096))
        tail = file.read()
        file.seek(0)
        with _opened(file) as picture:
            kind = picture.format
    truncated = {
        "JPEG": b"\xff\xd9" not in tail and not _has_end(source),
        "PNG": b"IEND" not in tail,
        "BMP": size < int.from_bytes(start[2:6], "little"),
        "GIF": b"\x3b" not in tail,
        "WEBP": size < int.from_bytes(start[4:8], "little"),
    }
    if truncated.get(kind):
        raise ValueError(f"a truncated {kind} image")
    if kind == "BMP":
        bits, compression = start[28], start[30]
        is_plain = compression == 0 and bits in BMP_BITS
        has_masks = compression == 3 and bits == 32 and start[54:66] == BMP_MASKS
        return start[14] >= 40 and (is_plain or has_masks)
    if kind == "WEBP":
        return not (start[12:16] == b"VP8X" and start[20] & 2)  # not animated
    return kind in ("JPEG", "MPO", "PNG", "GIF")


def _opened(file):
    """A Pillow image of a file, with only its header read."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    Pillow.init()
    formats = [name for name in _FORMATS if name in Pillow.OPEN]
    try:
        picture = Pillow.open(file, formats=formats)
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise ValueError(f"too many pixels: {error}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ValueError("not an image, or a broken header") from error
    check_size(*picture.size)
    return picture


def _encode(picture, size=None):
    """A Pillow image -> PNG bytes, upright; transparency is kept."""
    from PIL import ImageOps

    check_size(*picture.size)
    try:
        picture.load()
        picture = ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"a broken {picture.format} image: {error}") from error
    if picture.mode.startswith("I;16"):
        # The upper byte, as of PNG files.
        return encode_array(np.asarray(picture) >> 8)
    if picture.mode in ("I", "F"):
        raise ValueError(
            "an image of 32 bits per channel, whose range is unknown; pass an array "
            "of integers 0..255 or floats 0..1"
        )
    picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if size is not None:
        height, width = size
        times = min(picture.height // (2 * height), picture.width // (2 * width))
        picture = picture.reduce(max(1, times))
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _has_end(source):
    """Whether a JPEG's pixels have an end marker, wherever it is.

    Phones append depth maps and short films, megabytes of them.
    """
    if not isinstance(source, bytes):
        with open(source, "rb") as file:
            source = file.read()
    at = 2
    # Segments state their length. The first scan follows the last of them;
    # the segments before may hold a preview with an end marker of its own.
    while source[at + 1 : at + 2] not in (b"\xda", b""):
        length = int.from_bytes(source[at + 2 : at + 4], "big")
        # A marker may be preceded by any number of 0xff.
        at += 1 if source[at + 1] == 0xFF else 2 + length
    return source.find(b"\xff\xd9", at) >= 0


def encode_array(array):
    """Pixels `(height, width)` or `(height, width, channels)` -> PNG bytes.

    Integers are 0..255, floats 0..1; channels are 1 (grey), 3 or 4 (alpha).
    """
    from PIL import Image as Pillow

    try:
        array = np.asarray(nested_lists(array))
    except ValueError as error:
        raise ValueError("lists of different lengths are not an image") from error
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(f"an array of shape {array.shape} is not an image")
    if 0 in array.shape:
        raise ValueError(f"an array of shape {array.shape} has no pixels")
    if array.dtype.kind not in "iuf":
        raise ValueError(f"an array of dtype {array.dtype} is not an image")
    if np.issubdtype(array.dtype, np.floating):
        # False for NaN, too.
        if not (array.min() >= 0 and array.max() <= 1):
            raise ValueError("float pixels must lie between 0 and 1")
        array = np.round(array * 255)
    elif array.min() < 0 or array.max() > 255:
        raise ValueError("integer pixels must lie between 0 and 255")
    stream = io.BytesIO()
    Pillow.fromarray(array.astype("uint8")).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def nested_lists(cell):
    """An array of arrays, as Parquet gives it -> nested lists; others unchanged."""
    if not isinstance(cell, np.ndarray):
        return cell
    return list(map(nested_lists, cell)) if cell.dtype == object and cell.ndim else cell
