import io
import os

import keras
import numpy as np

from .files import decode_each, files_to_raw
from .input import Input
from .items import check_count, flat_items, items_to_raw

# A picture larger than this is refused before it is decoded: 64 million
# pixels are 192 MB, a header can claim far more.
MAX_PIXELS = 64 * 2**20
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"


@keras.saving.register_keras_serializable(package="keras_mm")
class Image(Input):
    """A column of pictures: file paths, encoded bytes or arrays.

    JPEG, PNG, BMP and GIF (its first frame) are read. The tensor holds
    `float32` RGB values from 0 to 1, resized; a missing picture is all NaN.
    Transparent parts of a PNG become white.

    Examples:

    >>> image = keras_mm.Image((64, 64))
    >>> image.preprocess([open("bird.jpg", "rb").read(), b""]).shape
    TensorShape([2, 64, 64, 3])

    Several pictures a row, of which any may be missing:

    >>> photos = keras_mm.Image((64, 64), num_images=3)
    >>> photos.preprocess([[open("bird.jpg", "rb").read(), b""]]).shape
    TensorShape([1, 3, 64, 64, 3])

    Args:
        size: int or pair of ints, `(height, width)` of the tensor in pixels.
        pad_to_aspect_ratio: bool, whether to keep the picture's proportions
            and fill up with white; otherwise it is stretched.
        augmentation: `"light"` (mirroring, small shifts, rotations and zooms),
            None, or a Keras layer that takes and gives pictures of 0 to 1. Applied
            in training only, whichever the encoder is.
        num_images: int, how many pictures a cell may hold. If it is more than
            1, cells are lists, in a CSV file JSON lists; a picture alone is a
            list of one. The tensor is `(num_images, height, width, 3)`, one
            encoder reads each of the pictures, and pooled fusions see the mean
            of those that are there. Cells of more are refused.
    """

    kind = "image"
    default_encoder = "residual_cnn"
    is_file = True

    def __init__(
        self,
        size=(96, 96),
        pad_to_aspect_ratio=False,
        augmentation="light",
        num_images=1,
    ):
        size = (size, size) if isinstance(size, int) else tuple(size)
        if len(size) != 2 or min(size) < 1:
            raise ValueError(
                "`size` must be a pair of positive ints, (height, width). "
                f"Received: size={size}"
            )
        if isinstance(augmentation, dict):
            augmentation = keras.saving.deserialize_keras_object(augmentation)
        if augmentation not in (None, "light") and not isinstance(
            augmentation, keras.layers.Layer
        ):
            raise ValueError(
                "`augmentation` must be 'light', None or a Keras layer. "
                f"Received: augmentation={augmentation!r}"
            )
        self.size = tuple(int(side) for side in size)
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.augmentation = augmentation
        self.num_images = check_count("num_images", num_images)

    @property
    def num_items(self):
        """How many pictures a cell may hold, or None for a picture alone."""
        return self.num_images if self.num_images > 1 else None

    @property
    def raw_shape(self):
        """Shape of one row's raw form."""
        return (None,) if self.num_items else ()

    def one_item(self):
        """The input of one of several pictures."""
        return self.from_config({**self.get_config(), "num_images": 1})

    @property
    def shape(self):
        """Shape of one row's tensor, `(height, width, 3)` of each picture."""
        picture = (*self.size, 3)
        return (self.num_items, *picture) if self.num_items else picture

    @property
    def compact_bytes(self):
        """Bytes that one row's decoded pictures take in memory."""
        return int(np.prod(self.shape))

    def to_raw(self, column, name="column", base_dir=None, bad="error"):
        """Pictures -> object array of encoded bytes, or of file paths (`str`).

        A column that holds paths only stays a column of paths (its pictures
        are read when they are needed); in any other one paths are read here.
        Headers are checked, so that a text file, a truncated picture or a
        decompression bomb is found before training starts. Several pictures a
        row make an array `(rows, num_images)`, `b""` where there is none; with
        `bad="missing"` only the unreadable ones are missing.
        """

        def read(cells, rows=None):
            return files_to_raw(cells, name, base_dir, bad, "picture", _check, rows)

        if self.num_items:
            return items_to_raw(column, name, self.num_items, "num_images", read)
        return read(column)

    def decode(self, raw):
        """Encoded pictures `(batch,)` or `(batch, pictures)` -> `(pixels, ok)`.

        A picture that cannot be read costs no other: its `ok` is False and its
        pixels are 0.

        Returns:
            `uint8` tensor `(batch, height, width, 3)`, `bool` tensor
            `(batch,)`. Of several pictures a row, a pair of `uint8` tensor
            `(batch, num_images, height, width, 3)` and `bool` tensor `(batch,
            num_images)`; the latter again.
        """
        import tensorflow as tf

        if self.num_items:
            pixels, ok = self.one_item().decode(flat_items(raw, self.num_items))
            ok = tf.reshape(ok, [-1, self.num_items])
            return (tf.reshape(pixels, [-1, *self.shape]), ok), ok
        return decode_each(raw, self.decode_one, tf.zeros(self.shape, tf.uint8))

    def decode_one(self, encoded):
        """One encoded picture, scalar string, or its pixels -> `uint8` pixels.

        Raises `tf.errors.InvalidArgumentError` if it cannot be read; an empty
        string gives zeros. Of several pictures `(pictures,)` it gives pixels
        and which of them are there.
        """
        import tensorflow as tf

        if self.num_items:
            return self._decode_items(encoded)

        if encoded.dtype != tf.string:
            # Pixels already: only resizing is left to do.
            return self.resize(encoded)

        # Not inlined: in a graph even the operations of a branch that is not
        # taken cost time, and JPEG is what comes by the thousand.
        @tf.function(autograph=False, experimental_attributes={"_noinline": True})
        def decode_others(encoded):
            is_png = tf.strings.substr(encoded, 0, 8) == _PNG
            return tf.switch_case(
                tf.where(encoded == "", 0, tf.where(is_png, 1, 2)),
                [
                    lambda: tf.zeros(self.shape, tf.uint8),
                    lambda: self.resize(_decode_png(encoded)),
                    lambda: self.resize(_decode_other(encoded)),
                ],
            )

        pixels = tf.cond(
            tf.strings.substr(encoded, 0, 3) == _JPEG,
            lambda: self.decode_jpeg(encoded),
            lambda: decode_others(encoded),
        )
        return tf.ensure_shape(pixels, self.shape)

    def _decode_items(self, encoded):
        """Several pictures of one row -> `(pixels, present)`."""
        import tensorflow as tf

        if encoded.dtype != tf.string:
            pixels = tf.map_fn(
                self.one_item().resize, encoded, fn_output_signature=tf.uint8
            )
            left = self.num_items - tf.shape(pixels)[0]
            pixels = tf.pad(pixels, [[0, left], [0, 0], [0, 0], [0, 0]])
            present = tf.range(self.num_items) < self.num_items - left
            return tf.ensure_shape(pixels, self.shape), present
        (pixels, present), _ = self.decode(encoded[tf.newaxis])
        there = flat_items(encoded[tf.newaxis], self.num_items) != ""
        check = tf.debugging.Assert(
            tf.reduce_all(present[0] == there), ["a picture cannot be read"]
        )
        with tf.control_dependencies([check]):
            return tf.identity(pixels[0]), present[0]

    def row_decoder(self, raw):
        """`decode_one`, or `decode_jpeg` if that is all that `raw` holds."""
        if self.num_items:
            return self.decode_one
        # Each branch that need not be in the graph is time saved.
        only_jpeg = len(raw) > 0 and all(map(_is_jpeg, raw))
        return self.decode_jpeg if only_jpeg else self.decode_one

    def decode_jpeg(self, encoded):
        """`decode_one` for what is known to be a JPEG."""
        import tensorflow as tf

        shape = _checked(tf.image.extract_jpeg_shape(encoded)[:2])
        # libjpeg can halve a picture while it decodes, which saves most of
        # the work for photographs and smooths like a box filter. What is left
        # to shrink needs smoothing only if it is more than a half.
        factors = tf.cast(shape / tf.constant(self.size), tf.float32)
        power = tf.reduce_sum(
            tf.cast(tf.reduce_min(factors) >= [2.0, 4.0, 8.0], tf.int32)
        )
        left = tf.reduce_max(factors) / tf.cast(2**power, tf.float32)

        def decode_at(power):
            return lambda: tf.io.decode_jpeg(encoded, channels=3, ratio=2**power)

        pixels = tf.switch_case(power, [decode_at(power) for power in range(4)])
        smooth = tf.function(
            lambda: self.resize(pixels),
            autograph=False,
            experimental_attributes={"_noinline": True},
        )
        pixels = tf.cond(left > 2.5, smooth, lambda: self.resize(pixels, False))
        return tf.ensure_shape(pixels, self.shape)

    def resize(self, pixels, antialias=True):
        """Pixels `(height, width, 3)`, 0..255 -> `uint8` of the input's size."""
        import tensorflow as tf

        height, width = self.size
        pixels = tf.ensure_shape(pixels, [None, None, 3])
        if self.pad_to_aspect_ratio:
            shape = tf.cast(tf.shape(pixels)[:2], tf.float32)
            scale = tf.reduce_min(tf.constant([height, width], tf.float32) / shape)
            size = tf.maximum(tf.cast(tf.round(shape * scale), tf.int32), 1)
            pixels = tf.image.resize(pixels, size, antialias=antialias)
            top, left = (height - size[0]) // 2, (width - size[1]) // 2
            pixels = 255 + tf.image.pad_to_bounding_box(
                pixels - 255, top, left, height, width
            )
        else:
            pixels = tf.image.resize(pixels, self.size, antialias=antialias)
        pixels = tf.saturate_cast(tf.round(pixels), tf.uint8)
        return tf.ensure_shape(pixels, self.shape)

    def finish(self, compact):
        """`(pixels, ok)` -> `float32` tensor in 0..1, NaN where not ok."""
        import tensorflow as tf

        pixels, ok = compact
        if self.num_items:
            pixels, ok = pixels
        # Dividing by NaN marks what is missing in the same pass.
        highest = tf.where(ok, 255.0, np.nan)
        return tf.cast(pixels, tf.float32) / highest[..., None, None, None]

    def sample(self, random, bad=False):
        """A small random JPEG or PNG; some other bytes when `bad`.

        Of several pictures a row, the first one is bad.
        """
        from PIL import Image as Pillow

        if self.num_items:
            picture, count = self.one_item(), random.integers(1, self.num_items + 1)
            items = [picture.sample(random, bad and not n) for n in range(count)]
            return np.array(items, dtype=object)

        small = random.integers(0, 256, (6, 8, 3), dtype="uint8")
        picture = Pillow.fromarray(small).resize((50, 40))
        stream = io.BytesIO()
        picture.save(stream, random.choice(["JPEG", "PNG"]))
        encoded = stream.getvalue()
        return b"no picture at all" if bad else encoded

    def request_value(self):
        """What a row of a request holds, in words."""
        picture = 'a JPEG, PNG, BMP or GIF file of any size, as `{"b64": "<base64>"}`'
        if self.num_items:
            return f'a list of up to {self.num_items}, each {picture}, or `""`'
        return picture

    def describe(self):
        """One line for people."""
        several = f"up to {self.num_items} of " if self.num_items else ""
        return f"Image, {several}{self.size[0]} x {self.size[1]} pixels, RGB"

    def get_config(self):
        """The constructor's arguments."""
        augmentation = self.augmentation
        if isinstance(augmentation, keras.layers.Layer):
            augmentation = keras.saving.serialize_keras_object(augmentation)
        return {
            "size": list(self.size),
            "pad_to_aspect_ratio": self.pad_to_aspect_ratio,
            "augmentation": augmentation,
            "num_images": self.num_images,
        }


def _is_jpeg(value):
    if isinstance(value, str):
        with open(value, "rb") as file:
            value = file.read(3)
    return value[:3] == _JPEG


def _check(cell):
    if isinstance(cell, (list, tuple)) and isinstance(cell[0], (str, bytes)):
        raise ValueError("a list: Image(num_images=...) reads several pictures")
    if not isinstance(cell, (str, bytes)):
        return encode_array(cell)
    check_encoded(cell)
    return cell


def check_encoded(source):
    """Raises `ValueError` unless `source` looks like a readable picture.

    Reads the header and the last bytes; does not decode.

    Args:
        source: bytes of an encoded picture, or the path of one.
    """
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    if isinstance(source, bytes):
        stream, size = io.BytesIO(source), len(source)
    else:
        if not os.path.isfile(source):
            raise ValueError("no such file")
        stream, size = open(source, "rb"), os.path.getsize(source)
    with stream:
        if size == 0:
            raise ValueError("empty file")
        start = stream.read(16)
        stream.seek(max(0, size - 4096))
        tail = stream.read()
        stream.seek(0)
        try:
            # Pillow warns of bombs by itself; the limit here is our own.
            limit, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
            with Pillow.open(stream) as picture:
                kind, (width, height) = picture.format, picture.size
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise ValueError("not a picture, or a broken header") from error
        finally:
            Pillow.MAX_IMAGE_PIXELS = limit
    if kind not in ("JPEG", "PNG", "GIF", "BMP", "MPO"):
        raise ValueError(f"a {kind} picture; JPEG, PNG, GIF and BMP are read")
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels are too many")
    truncated = {
        "JPEG": b"\xff\xd9" not in tail and not _has_end(source),
        "PNG": b"IEND" not in tail,
        "BMP": size < int.from_bytes(start[2:6], "little"),
        "GIF": b"\x3b" not in tail,
    }
    if truncated.get(kind):
        raise ValueError(f"a truncated {kind} picture")


def _has_end(source):
    """Whether a JPEG's pixels have an end mark, wherever it is.

    Phones write depth maps and short films behind it, megabytes of them.
    """
    if not isinstance(source, bytes):
        with open(source, "rb") as file:
            source = file.read()
    at = 2
    # Segments state their length. The first scan follows the last of them;
    # what stands before it may hold a preview with an end mark of its own.
    while source[at + 1 : at + 2] not in (b"\xda", b""):
        length = int.from_bytes(source[at + 2 : at + 4], "big")
        # Any number of 0xff may fill up before a mark.
        at += 1 if source[at + 1] == 0xFF else 2 + length
    return source.find(b"\xff\xd9", at) >= 0


def encode_array(array):
    """Pixels `(height, width)` or `(height, width, channels)` -> PNG bytes.

    Integers are 0..255, floats 0..1; channels are 1 (grey), 3 or 4 (alpha).
    """
    from PIL import Image as Pillow

    array = np.asarray(array)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(f"an array of shape {array.shape} is no picture")
    if 0 in array.shape:
        raise ValueError(f"an array of shape {array.shape} has no pixels")
    if array.dtype.kind not in "iuf":
        raise ValueError(f"an array of dtype {array.dtype} is no picture")
    if np.issubdtype(array.dtype, np.floating):
        # NaN is not in this range either.
        if not (array.min() >= 0 and array.max() <= 1):
            raise ValueError("float pixels must lie between 0 and 1")
        array = np.round(array * 255)
    elif array.min() < 0 or array.max() > 255:
        raise ValueError("integer pixels must lie between 0 and 255")
    stream = io.BytesIO()
    Pillow.fromarray(array.astype("uint8")).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _checked(shape):
    """`shape`, after an assertion that it has not too many pixels."""
    import tensorflow as tf

    pixels = tf.reduce_prod(tf.cast(shape, tf.int64))
    # Text alone as data: with numbers, TensorFlow would add a branch.
    check = tf.debugging.Assert(pixels <= MAX_PIXELS, ["too many pixels"])
    with tf.control_dependencies([check]):
        return tf.identity(shape)


def _header_shape(encoded, start, dtype, little_endian):
    """Reads `(width, height)` from an encoded picture's header."""
    import tensorflow as tf

    size = 2 * tf.as_dtype(dtype).size
    header = tf.strings.substr(encoded, start, size)
    shape = tf.io.decode_raw(header, dtype, little_endian=little_endian)
    return tf.abs(tf.cast(shape, tf.int64))


def _decode_png(encoded):
    import tensorflow as tf

    shape = _checked(_header_shape(encoded, 16, tf.int32, False))
    with tf.control_dependencies([shape]):
        pixels = tf.cast(tf.io.decode_png(encoded, channels=4), tf.float32)
    alpha = pixels[..., 3:]
    # Below 8 bits a pixel the decoder writes 1, 3 or 15 for opaque, not 255.
    depth = tf.io.decode_raw(tf.strings.substr(encoded, 24, 1), tf.uint8)[0]
    opaque = tf.reduce_all(alpha == 2.0 ** tf.cast(depth, tf.float32) - 1.0)
    alpha = tf.where(opaque, 1.0, alpha / 255.0)
    pixels = pixels[..., :3] * alpha + 255.0 * (1.0 - alpha)
    return tf.cast(tf.round(pixels), tf.uint8)


def _decode_other(encoded):
    """GIF (first frame) and BMP."""
    import tensorflow as tf

    encoded, start = tf.cond(
        tf.strings.substr(encoded, 0, 3) == b"GIF",
        lambda: _first_frame(encoded),
        lambda: (encoded, 0),
    )
    shapes = tf.cond(
        start > 0,
        # The canvas and the frame; either may be the larger one.
        lambda: tf.stack(
            [
                _header_shape(encoded, 6, tf.uint16, True),
                _header_shape(encoded, start + 5, tf.uint16, True),
            ]
        ),
        lambda: _header_shape(encoded, 18, tf.int32, True)[tf.newaxis],
    )
    shape = _checked(tf.reduce_max(shapes, axis=0))
    with tf.control_dependencies([shape]):
        return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def _first_frame(encoded):
    """An animated GIF -> a GIF of its first frame, and where that frame starts.

    The decoder would unpack all frames, each as large as it claims to be.
    """
    import tensorflow as tf

    data = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int32)

    def colours(flags):
        """Bytes of the colour table that a byte of flags announces."""
        size = 3 * tf.bitwise.left_shift(2, tf.bitwise.bitwise_and(data[flags], 7))
        return tf.where(data[flags] >= 128, size, 0)

    def skip(at):
        """The place after a chain of blocks, each with its length in front."""
        return (
            1
            + tf.while_loop(
                lambda at: data[at] > 0, lambda at: [at + data[at] + 1], [at]
            )[0]
        )

    start = tf.while_loop(
        lambda at: data[at] == 0x21,  # an extension: comment, timing, ...
        lambda at: [skip(at + 2)],
        [13 + colours(10)],
    )[0]
    end = skip(start + 11 + colours(start + 9))
    return tf.strings.join([tf.strings.substr(encoded, 0, end), b"\x3b"]), start
