import functools
import io

import keras
import numpy as np

from ..deprecated import renamed
from .files import decode_each, files_to_raw
from .input import Input
from .items import check_count, flat_items, items_to_raw
from .orientation import has_exif, is_turned, jpeg_orientation, upright
from .picture_cells import to_picture
from .picture_limits import limited
from .pictures import FORMATS, STARTS, decode_picture, formats_of
from .same_size import check_same_size


@keras.saving.register_keras_serializable(package="keras_mm")
class Image(Input):
    """A column of images: file paths, encoded bytes, Pillow images or arrays.

    JPEG, PNG, BMP, GIF (its first frame) and WebP are decoded, also by an
    exported model; TIFF, AVIF and whatever else Pillow reads become PNG when a
    table is read. The format is detected from a file's content, not its name. The
    tensor holds `float32` RGB values from 0 to 1, resized; a missing image is
    all NaN. Images are turned upright by their Exif orientation, and transparent
    pixels become white. Images of more than 64 million pixels cannot be read.

    Examples:

    >>> image = keras_mm.Image((64, 64))
    >>> image.preprocess([open("bird.jpg", "rb").read(), b""]).shape
    TensorShape([2, 64, 64, 3])

    Several images per row, of which any may be missing:

    >>> photos = keras_mm.Image((64, 64), num_images=3)
    >>> photos.preprocess([[open("bird.jpg", "rb").read(), b""]]).shape
    TensorShape([1, 3, 64, 64, 3])

    Args:
        size: int or pair of ints, `(height, width)` of the tensor in pixels.
        pad_to_aspect_ratio: bool, whether to keep the image's aspect ratio
            and pad it with white; otherwise it is stretched.
        augmentation: `"light"` (mirroring, small shifts, rotations and zooms),
            None, or a Keras layer that takes and returns images of 0 to 1, of the
            same size. Applied in training only, with any encoder.
        num_images: int, largest number of images per cell. If it is more
            than 1, cells are lists, in a CSV file JSON lists; a single image is
            a list of one. The tensor is `(num_images, height, width, 3)`, one
            encoder reads each of the images, and pooled fusions see the mean
            over those that are present. Cells with more are refused.
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
        if isinstance(augmentation, keras.layers.Layer):
            check_same_size(augmentation, (*self.size, 3))
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.augmentation = augmentation
        self.num_images = check_count("num_images", num_images)
        self._graphs = {}

    @property
    def num_items(self):
        """Largest number of images per cell, or None if cells are not lists."""
        return self.num_images if self.num_images > 1 else None

    @property
    def raw_shape(self):
        """Shape of one row's raw form."""
        return (None,) if self.num_items else ()

    def one_item(self):
        """The input of one of several images."""
        return self.from_config({**self.get_config(), "num_images": 1})

    @property
    def shape(self):
        """Shape of one row's tensor, `(height, width, 3)` of each image."""
        picture = (*self.size, 3)
        return (self.num_items, *picture) if self.num_items else picture

    @property
    def compact_bytes(self):
        """Bytes that one row's decoded images take in memory."""
        return int(np.prod(self.shape))

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """Images -> object array of encoded bytes, or of file paths (`str`).

        Cells are paths, bytes, Pillow images, arrays, or Hugging Face's
        `{"bytes": ..., "path": ...}`. A column of paths alone stays a column of
        paths (its images are read when they are needed); in a mixed column the
        files are read here. Headers are checked, so that text files, truncated
        images and decompression bombs are rejected before training starts.
        Several images per row make an array `(rows, num_images)`, `b""` where
        there is none; with `on_unreadable="missing"` only the
        unreadable ones are missing.
        """

        def read(cells, rows=None):
            return files_to_raw(
                cells, name, base_dir, on_unreadable, "image", picture, rows
            )

        def picture(cell):
            return to_picture(cell, self.size)

        if self.num_items:
            return items_to_raw(column, name, self.num_items, "num_images", read)
        return read(column)

    def decode(self, raw):
        """Encoded images `(batch,)` or `(batch, images)` -> `(pixels, ok)`.

        An image that cannot be decoded does not affect the others: its `ok` is
        False and its pixels are 0.

        Returns:
            `uint8` tensor `(batch, height, width, 3)`, `bool` tensor `(batch,)`.
            With several images per row, a pair of `uint8` tensor `(batch,
            num_images, height, width, 3)` and `bool` tensor `(batch,
            num_images)`; and that second tensor again.
        """
        import tensorflow as tf

        if isinstance(raw, (list, tuple)):
            # NumPy would take bytes for ASCII text.
            raw = np.array(raw, dtype=object)
        if (
            tf.executing_eagerly()
            and np.size(raw)
            and np.ndim(raw) == len(self.raw_shape) + 1
        ):
            return self.decode_array(np.array(raw, dtype=object))
        return self._decode(raw, FORMATS)

    def _decode(self, raw, formats):
        """`decode` of files of some formats."""
        import tensorflow as tf

        if self.num_items:
            raw = flat_items(raw, self.num_items)
            pixels, ok = self.one_item()._decode(raw, formats)
            ok = tf.reshape(ok, [-1, self.num_items])
            return (tf.reshape(pixels, [-1, *self.shape]), ok), ok
        decode_one = functools.partial(self.decode_one, formats=formats)
        return decode_each(raw, decode_one, tf.zeros(self.shape, tf.uint8))

    def decode_array(self, raw):
        """`decode` of an array, eagerly, by a graph for the formats that occur."""
        import tensorflow as tf

        formats = formats_of(raw.flat)
        if formats not in self._graphs:
            self._graphs[formats] = tf.function(
                lambda raw: self._decode(raw, formats),
                input_signature=[self.serving_spec("raw")],
                autograph=False,
            )
        return self._graphs[formats](tf.constant(raw.tolist(), tf.string))

    def decode_one(self, encoded, formats=FORMATS):
        """One encoded image, scalar string, or its pixels -> `uint8` pixels.

        Raises `tf.errors.InvalidArgumentError` if it cannot be decoded; an empty
        string gives zeros. For several images `(images,)` it returns their
        pixels, and a mask of those that are present.
        """
        import tensorflow as tf

        if self.num_items:
            return self._decode_items(encoded, formats)

        if encoded.dtype != tf.string:
            # Pixels already: only resizing is left to do.
            return self.resize(encoded)

        others = tuple(name for name in formats if name != "JPEG")

        # Not inlined: in a graph even the operations of a branch that is not
        # taken cost time, and JPEG is what comes by the thousand.
        @tf.function(autograph=False, experimental_attributes={"_noinline": True})
        def decode_others(encoded):
            return tf.cond(
                encoded == "",
                lambda: tf.zeros(self.shape, tf.uint8),
                lambda: self.resize(decode_picture(encoded, others or ("BMP",))),
            )

        if "JPEG" not in formats:
            pixels = decode_others(encoded)
        else:
            pixels = tf.cond(
                tf.strings.substr(encoded, 0, 3) == STARTS["JPEG"],
                lambda: self.decode_jpeg(encoded),
                lambda: decode_others(encoded),
            )
        return tf.ensure_shape(pixels, self.shape)

    def _decode_items(self, encoded, formats):
        """Several images of one row -> `(pixels, present)`."""
        import tensorflow as tf

        if encoded.dtype != tf.string:
            pixels = tf.map_fn(
                self.one_item().resize, encoded, fn_output_signature=tf.uint8
            )
            left = self.num_items - tf.shape(pixels)[0]
            pixels = tf.pad(pixels, [[0, left], [0, 0], [0, 0], [0, 0]])
            present = tf.range(self.num_items) < self.num_items - left
            return tf.ensure_shape(pixels, self.shape), present
        (pixels, present), _ = self._decode(encoded[tf.newaxis], formats)
        given = flat_items(encoded[tf.newaxis], self.num_items) != ""
        check = tf.debugging.Assert(
            tf.reduce_all(present[0] == given), ["an image cannot be read"]
        )
        with tf.control_dependencies([check]):
            return tf.identity(pixels[0]), present[0]

    def row_decoder(self, raw):
        """`decode_one` of the formats in `raw`, or `decode_jpeg`."""
        # Each branch that is left out of the graph saves time.
        formats = formats_of(raw.flat)
        if self.num_items is None and formats == ("JPEG",) and all(raw):
            return self.decode_jpeg
        return functools.partial(self.decode_one, formats=formats)

    def decode_jpeg(self, encoded):
        """`decode_one` for JPEG files."""
        import tensorflow as tf

        shape = tf.image.extract_jpeg_shape(encoded)[:2]
        encoded = limited(encoded, shape[1], shape[0])

        # libjpeg can halve an image while it decodes, which saves most of the
        # work for photographs and smooths like a box filter. The rest of the
        # resizing needs antialiasing only if it shrinks further, by more than 2.5.
        def halvings(shape):
            factors = tf.cast(shape / tf.constant(self.size), tf.float32)
            halved = tf.reduce_min(factors) >= [2.0, 4.0, 8.0]
            return tf.reduce_sum(tf.cast(halved, tf.int32))

        def decode_at(power):
            return lambda: tf.io.decode_jpeg(encoded, channels=3, ratio=2**power)

        halved = [decode_at(power) for power in range(4)]

        # The Exif orientation.
        @tf.function(autograph=False, experimental_attributes={"_noinline": True})
        def turned():
            orientation = jpeg_orientation(encoded)
            upright_shape = tf.where(is_turned(orientation), shape[::-1], shape)
            return upright(tf.switch_case(halvings(upright_shape), halved), orientation)

        kind = tf.where(has_exif(encoded), len(halved), halvings(shape))
        pixels = tf.switch_case(kind, [*halved, turned])
        left = tf.reduce_max(tf.shape(pixels)[:2] / tf.constant(self.size))
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

        With several images per row, the first one is bad.
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
        """The value of one row in a request, in words."""
        picture = (
            "a JPEG, PNG, BMP, GIF or still WebP file of up to 64 million pixels, as "
            '`{"b64": "<base64>"}`; of TIFF, AVIF and others `_ok` is false'
        )
        if self.num_items:
            return f'a list of up to {self.num_items}, each {picture}, or `""`'
        return picture

    def describe(self):
        """A one-line description."""
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
