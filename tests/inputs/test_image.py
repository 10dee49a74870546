"""Pictures: every kind of file, every kind of damage."""

import io
import struct
import zlib

import keras
import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

import keras_mm
from keras_mm.data.raw import read_files
from keras_mm.inputs.picture_cells import check_encoded, encode_array
from keras_mm.inputs.picture_limits import MAX_PIXELS
from keras_mm.serving.requests import raw_strings

from ..helpers import encode_picture, random_pixels

PIXELS = random_pixels()
IMAGE = keras_mm.Image((12, 10))


def column(*cells):
    return pd.Series(list(cells), dtype=object)


def decode_one(encoded, image=IMAGE):
    pixels, ok = image.decode([encoded])
    assert ok.numpy().tolist() == [True]
    return pixels.numpy()[0].astype(int)


def save(picture, format, **kwargs):
    stream = io.BytesIO()
    picture.save(stream, format, **kwargs)
    return stream.getvalue()


# --- what can be read ----------------------------------------------------------


@pytest.mark.parametrize(
    "format, mode, tolerance",
    [
        ("PNG", "RGB", 0), ("PNG", "L", 0), ("PNG", "1", 0), ("PNG", "P", 0),
        ("BMP", "RGB", 0), ("BMP", "L", 0), ("BMP", "RGBA", 0), ("BMP", "P", 0),
        ("BMP", "1", 0), ("GIF", "P", 1), ("WEBP", "RGB", 0),
        ("JPEG", "RGB", 4), ("JPEG", "L", 4), ("JPEG", "CMYK", 6),
    ],
)  # fmt: skip
def test_kinds_of_files_agree_with_pillow(format, mode, tolerance):
    options = {"lossless": True} if format == "WEBP" else {}
    picture = Pillow.fromarray(PIXELS).convert(mode)
    encoded = save(picture, format, **options)
    assert check_encoded(encoded)
    expected = np.asarray(Pillow.open(io.BytesIO(encoded)).convert("RGB")).astype(int)
    assert np.abs(decode_one(encoded) - expected).max() <= tolerance


def test_16_bit_keeps_the_upper_byte():
    deep = (np.arange(120).reshape(12, 10) * 500).astype("uint16")
    encoded = save(Pillow.fromarray(deep), "PNG")
    assert np.abs(decode_one(encoded)[..., 0] - deep / 257).max() <= 1


@pytest.mark.parametrize("colours", [2, 4, 16, 200])
def test_small_palettes_are_opaque(colours):
    """The decoder writes an alpha of 1, 3 or 15 below 8 bits a pixel."""
    palette = Pillow.fromarray(PIXELS).quantize(colours)
    for picture in (palette, palette.convert("L").point(lambda v: v // 128 * 255, "1")):
        got = decode_one(save(picture, "PNG"))
        np.testing.assert_array_equal(got, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_becomes_white(mode):
    picture = Pillow.fromarray(PIXELS).convert("RGBA")
    alpha = np.full((12, 10), 255, "uint8")
    alpha[:6] = 0
    picture.putalpha(Pillow.fromarray(alpha))
    if mode == "P":
        # A palette with transparency.
        palette = Pillow.fromarray(PIXELS).quantize(16)
        index = palette.getpixel((0, 0))
        encoded = save(palette, "PNG", transparency=index)
        got = decode_one(encoded)
        see_through = np.asarray(palette) == index
        assert (got[see_through] == 255).all()
        opaque = np.asarray(palette.convert("RGB"))[~see_through]
        np.testing.assert_array_equal(got[~see_through], opaque)
        return
    got = decode_one(save(picture.convert(mode), "PNG"))
    assert (got[:6] == 255).all()
    grey = np.asarray(Pillow.fromarray(PIXELS).convert("L" if mode == "LA" else "RGB"))
    np.testing.assert_array_equal(
        got[6:].reshape(6, 10, 3),
        np.broadcast_to(grey[6:].reshape(6, 10, -1), (6, 10, 3)),
    )


def as_viewers_show(encoded):
    """What Pillow reads, upright and on white paper."""
    picture = ImageOps.exif_transpose(Pillow.open(io.BytesIO(encoded)))
    paper = Pillow.new("RGBA", picture.size, "white")
    picture = Pillow.alpha_composite(paper, picture.convert("RGBA")).convert("RGB")
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_bmp_of_few_colours(bits):
    for width in (10, 7):
        picture = Pillow.fromarray(PIXELS[:, :width]).quantize(min(2**bits, 16))
        encoded = packed_bmp(picture, bits)
        assert check_encoded(encoded)
        got = decode_one(encoded, keras_mm.Image((12, width)))
        np.testing.assert_array_equal(got, as_viewers_show(encoded))


def packed_bmp(picture, bits):
    """A BMP of 1, 4 or 8 bits a pixel; the lowest row comes first."""
    width, height = picture.size
    places = np.asarray(picture)[::-1]
    each = 8 // bits
    stride = (width * bits + 31) // 32 * 4
    whole = np.zeros((height, stride * each), "uint8")
    whole[:, :width] = places
    shifts = np.arange(each)[::-1] * bits
    rows = (whole.reshape(height, stride, each) << shifts).sum(-1).astype("uint8")
    table = np.zeros((2**bits, 4), "uint8")
    colours = np.array(picture.getpalette(), "uint8").reshape(-1, 3)[: 2**bits]
    table[: len(colours), :3] = colours[:, ::-1]
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    start = 14 + len(header) + table.size
    size = start + rows.size
    head = b"BM" + struct.pack("<IHHI", size, 0, 0, start)
    return head + header + table.tobytes() + rows.tobytes()


def test_bmp_upside_down_and_of_colours_named_by_masks():
    rgba = np.dstack([PIXELS, PIXELS[..., 0]])
    masks = b"\0\0\xff\0\0\xff\0\0\xff\0\0\0\0\0\0\xff"
    data = rgba[..., [2, 1, 0, 3]].tobytes()
    header = struct.pack("<IiiHHIIiiII", 56, 10, -12, 1, 32, 3, 0, 0, 0, 0, 0) + masks
    start = 14 + len(header)
    head = b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start)
    encoded = head + header + data
    assert check_encoded(encoded)
    np.testing.assert_array_equal(decode_one(encoded), as_viewers_show(encoded))


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP"])
def test_transparent_pictures_agree_with_pillow(format):
    picture = Pillow.fromarray(PIXELS).quantize(16)
    if format == "WEBP":
        picture = Pillow.fromarray(np.dstack([PIXELS, PIXELS[..., 0]]))
        encoded = save(picture, format, lossless=True, exact=True)
    else:
        encoded = save(picture, format, transparency=3)
    np.testing.assert_array_equal(decode_one(encoded), as_viewers_show(encoded))


@pytest.mark.parametrize("transparency", [None, 2])
def test_gif_whose_frame_leaves_out_some_of_the_canvas(transparency):
    small = Pillow.fromarray(PIXELS[:6, :4]).quantize(8)
    options = {} if transparency is None else {"transparency": transparency}
    encoded = bytearray(save(small, "GIF", **options))
    encoded[6:10] = struct.pack("<HH", 10, 12)  # the canvas
    at = encoded.index(b",\0\0\0\0" + struct.pack("<HH", 4, 6))
    encoded[at + 1 : at + 5] = struct.pack("<HH", 3, 5)
    encoded = bytes(encoded)
    np.testing.assert_array_equal(decode_one(encoded), as_viewers_show(encoded))


@pytest.mark.parametrize("pad", [False, True])
def test_orientation(pad):
    """Upright as cameras say, in both byte orders, wherever the Exif data are."""
    tall = np.asarray(Pillow.fromarray(PIXELS[:3, :3]).resize((40, 60)))
    encoded = []
    for format in ("JPEG", "PNG", "WEBP"):
        for number in range(10):
            exif = Pillow.Exif()
            exif.endian = "<>"[number % 2]
            exif[0x010E], exif[0x0112] = "a title", number
            encoded.append(save(Pillow.fromarray(tall), format, exif=exif))
    # A profile in front; none at all; data that are cut off.
    first = encoded[6]
    encoded.append(first[:2] + b"\xff\xe2\0\x0aICC_PROF" + first[2:])
    encoded.append(save(Pillow.fromarray(tall), "JPEG", comment=b"Exif\0\0MM\0*"))
    encoded.append(first[: first.index(b"Exif")] + b"Exif\0\0MM\0*\xff\xff\xff\xff")
    encoded[-1] += first[len(encoded[-1]) :]
    image = keras_mm.Image((30, 20), pad_to_aspect_ratio=pad)
    read, ok = image.decode(encoded)
    assert ok.numpy().all()
    for place, one in enumerate(encoded[:-1]):
        shown = encode_array(as_viewers_show(one))
        wanted = image.decode([shown])[0][0].numpy().astype(int)
        assert np.abs(read[place].numpy() - wanted).max() <= 12, place


def test_animated_gif_gives_its_first_frame():
    frames = [
        Pillow.fromarray(random_pixels(seed, (12, 10))).quantize(64)
        for seed in range(5)
    ]
    encoded = save(frames[0], "GIF", save_all=True, append_images=frames[1:], loop=0)
    assert Pillow.open(io.BytesIO(encoded)).n_frames == 5
    check_encoded(encoded)
    expected = np.asarray(frames[0].convert("RGB")).astype(int)
    assert np.abs(decode_one(encoded) - expected).max() <= 1


def test_one_pixel():
    for format in ("PNG", "BMP", "GIF"):
        got = decode_one(encode_picture([[[9, 8, 7]]], format))
        assert (got == [9, 8, 7]).all()
    got = decode_one(
        encode_picture([[[9, 8, 7]]]), keras_mm.Image(8, pad_to_aspect_ratio=True)
    )
    assert (got == [9, 8, 7]).all()


def test_thin_pictures_keep_a_row():
    image = keras_mm.Image((8, 8), pad_to_aspect_ratio=True)
    got = decode_one(encode_picture(np.zeros((1, 300, 3))), image)
    assert (got == 0).all(-1).sum() == 8 and (got == 255).all(-1).sum() == 56


def test_aspect_ratio_is_kept_on_white():
    image = keras_mm.Image((8, 8), pad_to_aspect_ratio=True)
    got = decode_one(encode_picture(np.zeros((10, 20, 3))), image)
    assert (got[2:6] == 0).all() and (got[:2] == 255).all() and (got[6:] == 255).all()


def test_large_jpegs_are_halved_while_decoding_without_a_visible_difference():
    pixels = np.asarray(Pillow.fromarray(random_pixels(3)).resize((320, 240)))
    encoded = encode_picture(pixels, "JPEG", quality=95)
    expected = Pillow.fromarray(pixels).resize((16, 12), Pillow.BOX)
    got = decode_one(encoded, keras_mm.Image((12, 16)))
    assert np.abs(got - np.asarray(expected).astype(int)).max() < 12


def test_preprocess_scales_and_marks_the_missing():
    tensor = IMAGE.preprocess([encode_picture(PIXELS), b"", b"garbage"]).numpy()
    np.testing.assert_allclose(tensor[0], PIXELS / 255, atol=1e-6)
    assert np.isnan(tensor[1:]).all()
    assert tensor.dtype == "float32"


def test_preprocess_of_no_rows():
    import tensorflow as tf

    assert IMAGE.preprocess(tf.constant([], tf.string)).shape == (0, 12, 10, 3)


def test_preprocess_runs_in_a_graph():
    import tensorflow as tf

    run = tf.function(
        IMAGE.preprocess, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    raw = tf.constant([b"bad", encode_picture(PIXELS), b""])
    np.testing.assert_allclose(run(raw), IMAGE.preprocess(raw))


# --- cells ---------------------------------------------------------------------


def test_arrays_of_all_sorts():
    grey, colour = PIXELS[..., 0], PIXELS
    cells = column(grey, grey[..., None], colour, colour / 255.0, colour.tolist())
    raw = IMAGE.to_raw(cells)
    for row, expected in enumerate([grey[..., None].repeat(3, -1)] * 2 + [colour] * 3):
        np.testing.assert_array_equal(decode_one(raw[row]), expected)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (np.zeros(4), "of shape"),
        (np.array(3), "of shape"),
        (np.zeros((2, 2, 2)), "of shape"),
        (np.zeros((2, 2, 3, 1)), "of shape"),
        (np.full((2, 2), 1.5), "between 0 and 1"),
        (np.array([[0.5, np.nan]]), "between 0 and 1"),
        (np.full((2, 2), 65535, "uint16"), "between 0 and 255"),
        (np.full((2, 2), -1), "between 0 and 255"),
        (np.array([["a", "b"]]), "dtype"),
        (np.ones((2, 2), bool), "dtype"),
        (np.ones((2, 2), complex), "dtype"),
        ([[], []], "no pixels"),
        ([[1, 2], [3]], "no readable image"),
        (7, "of shape"),
    ],
)
def test_arrays_that_are_no_picture(wrong, message):
    cells = column(PIXELS, wrong)
    with pytest.raises(ValueError, match=message) as error:
        IMAGE.to_raw(cells, "photo")
    assert "row 1 (1 in all" in str(error.value) and "Received: photo=" in str(
        error.value
    )
    assert IMAGE.to_raw(cells, "photo", on_unreadable="missing")[1] == b""


def test_missing_cells():
    cells = column(
        None, float("nan"), pd.NA, b"", "", np.full((2, 2, 3), np.nan), np.array([])
    )
    assert IMAGE.to_raw(cells).tolist() == [b""] * 7


def test_paths_stay_paths_unless_mixed(tmp_path):
    (tmp_path / "a.png").write_bytes(encode_picture(PIXELS))
    raw = IMAGE.to_raw(column("a.png", None, tmp_path / "a.png"), base_dir=tmp_path)
    assert raw.tolist() == [str(tmp_path / "a.png"), b"", str(tmp_path / "a.png")]
    mixed = IMAGE.to_raw(column("a.png", PIXELS), base_dir=tmp_path)
    assert all(isinstance(value, bytes) for value in mixed)


def test_other_formats_become_png():
    big = np.asarray(Pillow.fromarray(PIXELS).resize((100, 120)))
    animated = [Pillow.fromarray(PIXELS), Pillow.fromarray(255 - PIXELS)]
    turned = Pillow.Exif()
    turned[0x0112] = 6
    cells = {
        "TIFF": save(Pillow.fromarray(PIXELS), "TIFF"),
        "turned TIFF": save(Pillow.fromarray(PIXELS), "TIFF", exif=turned),
        "AVIF": save(Pillow.fromarray(PIXELS), "AVIF", quality=100),
        "JPEG2000": save(Pillow.fromarray(PIXELS), "JPEG2000"),
        "animated WebP": save(
            animated[0],
            "WEBP",
            save_all=True,
            append_images=animated[1:],
            lossless=True,
        ),
    }
    raw = IMAGE.to_raw(column(*cells.values()))
    for name, encoded, value in zip(cells, cells.values(), raw):
        assert not check_encoded(encoded) and value.startswith(b"\x89PNG"), name
        wanted = as_viewers_show(encoded)
        got = decode_one(value, keras_mm.Image(wanted.shape[:2]))
        assert np.abs(got - wanted).max() <= 3, name
    # As a server gets them they cannot be read, and cost no other.
    _, ok = IMAGE.decode([*cells.values(), encode_picture(PIXELS)])
    assert ok.numpy().tolist() == [False] * len(cells) + [True]
    # No more is kept than is read.
    (value,) = IMAGE.to_raw(column(save(Pillow.fromarray(big), "TIFF")))
    assert Pillow.open(io.BytesIO(value)).size == (20, 24)
    deep = Pillow.fromarray((PIXELS[..., 0].astype("uint16") << 8) + 7)
    (value,) = IMAGE.to_raw(column(save(deep, "TIFF")))
    np.testing.assert_array_equal(decode_one(value)[..., 0], PIXELS[..., 0])
    floats = save(Pillow.fromarray(PIXELS[..., 0].astype("float32")), "TIFF")
    with pytest.raises(ValueError, match="32 bits per channel.*Received"):
        IMAGE.to_raw(column(floats))


def test_pillow_pictures_and_dicts_of_hugging_face(tmp_path):
    encoded = encode_picture(PIXELS)
    (tmp_path / "a.dat").write_bytes(encoded)
    palette = Pillow.fromarray(PIXELS).quantize(16)
    turned = Pillow.fromarray(PIXELS.transpose(1, 0, 2))
    turned.getexif()[0x0112] = 5
    for cell, wanted in (
        (Pillow.fromarray(PIXELS), PIXELS),
        (palette, np.asarray(palette.convert("RGB"))),
        (turned, PIXELS),
        ({"bytes": encoded, "path": "gone.png"}, PIXELS),
        ({"bytes": None, "path": "a.dat"}, PIXELS),
        ({"path": "a.dat"}, PIXELS),
        (tmp_path / "a.dat", PIXELS),
    ):
        # An array beside it, so that paths are read.
        raw = IMAGE.to_raw(column(cell, PIXELS), base_dir=tmp_path)
        np.testing.assert_array_equal(decode_one(raw[0]), wanted, str(cell))
    missing = column({"bytes": None, "path": None}, {"bytes": b""})
    assert IMAGE.to_raw(missing).tolist() == [b"", b""]
    several = keras_mm.Image((12, 10), num_images=2)
    (raw,) = several.to_raw(column([{"bytes": encoded}, Pillow.fromarray(PIXELS)]))
    assert all(value.startswith(b"\x89PNG") for value in raw)


# --- damage --------------------------------------------------------------------


def chunk(kind, data):
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )


def png_bomb(width=20_000, height=20_000):
    packer = zlib.compressobj(9)
    row = bytes(width * 3 + 1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def patched(format, position, fields):
    options = {"lossless": True} if format == "WEBP" else {}
    encoded = Pillow.fromarray(np.zeros((64, 64, 3), "uint8"))
    encoded = bytearray(save(encoded, format, **options))
    if format == "JPEG":
        position += encoded.index(b"\xff\xc0")
    encoded[position : position + len(fields)] = fields
    return bytes(encoded)


def gif_bomb(canvas):
    encoded = bytearray(save(Pillow.new("P", (20_000, 20_000)), "GIF"))
    encoded[6:10] = struct.pack("<HH", *canvas)
    return bytes(encoded)


def gif_with_canvas(width, height):
    encoded = encode_picture(PIXELS, "GIF")
    return encoded[:6] + struct.pack("<HH", width, height) + encoded[10:]


BOMBS = {
    "png": png_bomb,
    "jpeg": lambda: patched("JPEG", 5, struct.pack(">HH", 20_000, 20_000)),
    "bmp": lambda: patched("BMP", 18, struct.pack("<ii", 20_000, 20_000)),
    "bmp_upside_down": lambda: patched("BMP", 18, struct.pack("<ii", 20_000, -20_000)),
    "gif": lambda: gif_bomb((20_000, 20_000)),
    "gif_with_a_small_canvas": lambda: gif_bomb((10, 10)),
    "png_of_one_row": lambda: patched("PNG", 16, struct.pack(">ii", 100_000, 100)),
    "webp": lambda: patched("WEBP", 21, b"\xff\xff\xff\x0f"),
    "gif_of_a_large_canvas": lambda: gif_with_canvas(20_000, 20_000),
    "png_of_many_more": lambda: patched(
        "PNG", 16, struct.pack(">ii", 2**31 - 1, 2**31 - 1)
    ),
}


def test_large_pictures_take_8_bytes_a_pixel():
    """Also transparent ones, which were decoded to floats."""
    side = 3000
    encoded = save(Pillow.new("RGBA", (side, side), (9, 9, 9, 9)), "PNG")
    image = keras_mm.Image(8)
    image.decode([encode_picture(np.zeros((4, 4, 4)))])
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak so far is forgotten
    before = psutil.Process().memory_info().rss
    image.decode([encoded])
    with open("/proc/self/status") as file:
        (peak,) = [line.split()[1] for line in file if line.startswith("VmHWM")]
    assert int(peak) * 1024 - before < 10 * side**2


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_take_no_memory(name):
    encoded = BOMBS[name]()
    assert 20_000 * 20_000 > MAX_PIXELS
    good = encode_picture(PIXELS)
    process = psutil.Process()
    IMAGE.decode([good])
    before = process.memory_info().rss
    with pytest.raises(ValueError, match=r"row 1 .*Received: photo="):
        IMAGE.to_raw(column(good, encoded), "photo")
    pixels, ok = IMAGE.decode([good, encoded, good])
    assert ok.numpy().tolist() == [True, False, True]
    assert process.memory_info().rss - before < 100 * 2**20


def test_later_frames_of_a_gif_take_no_memory():
    frames = [Pillow.fromarray(PIXELS).quantize(16), Pillow.new("P", (20_000, 10_000))]
    first, second = save(frames[0], "GIF"), save(frames[1], "GIF")
    # The second file's blocks from its image descriptor on.
    flags = second[10]
    start = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 128 else 0)
    encoded = first[:-1] + second[start:]
    process = psutil.Process()
    IMAGE.decode([first])
    before = process.memory_info().rss
    np.testing.assert_array_equal(decode_one(encoded), decode_one(first))
    assert process.memory_info().rss - before < 100 * 2**20


FORMATS = ["PNG", "JPEG", "BMP", "GIF", "WEBP"]


@pytest.mark.parametrize("format", FORMATS)
def test_truncated(format):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    encoded = encode_picture(noise, format)[:-200]
    if format != "GIF":
        # A GIF ends in a semicolon, which may stand anywhere: decoding tells.
        why = "not an image" if format == "WEBP" else f"truncated {format}"
        with pytest.raises(ValueError, match=f"{why}.* in row 0 "):
            IMAGE.to_raw(column(encoded))
    _, ok = IMAGE.decode([encoded, encode_picture(PIXELS)])
    assert ok.numpy().tolist() == [False, True]


def _with_preview(encoded):
    """A JPEG that holds a smaller one in its first segment, as cameras do."""
    preview = encode_picture(PIXELS[:4, :4], "JPEG")
    length = (len(preview) + 2).to_bytes(2, "big")
    return encoded[:2] + b"\xff\xe1" + length + preview + encoded[2:]


def test_jpeg_with_a_film_behind_it():
    encoded = _with_preview(encode_picture(PIXELS, "JPEG"))
    film = np.random.default_rng(0).integers(0, 255, 50_000, "uint8").tobytes()
    (raw,) = IMAGE.to_raw(column(encoded + film))
    np.testing.assert_array_equal(decode_one(raw), decode_one(encoded))


def test_truncated_jpeg_with_a_preview():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3))
    encoded = _with_preview(encode_picture(noise, "JPEG"))[:-200]
    assert encoded.rfind(b"\xff\xd9") < len(encoded) - 4096  # the preview's
    with pytest.raises(ValueError, match="truncated JPEG"):
        IMAGE.to_raw(column(encoded))


@pytest.mark.parametrize("format", FORMATS)
def test_any_cut_costs_only_its_own_row(format):
    encoded = encode_picture(PIXELS, format)
    cuts = [
        encoded[:length]
        for length in range(0, len(encoded), max(1, len(encoded) // 25))
    ]
    pixels, ok = IMAGE.decode([*cuts, encode_picture(PIXELS)])
    assert ok.numpy()[-1]
    np.testing.assert_array_equal(pixels[-1], PIXELS)
    assert (pixels.numpy()[~ok.numpy()] == 0).all()


@pytest.mark.parametrize("format", FORMATS)
def test_flipped_bytes_never_crash(format):
    random = np.random.default_rng(0)
    encoded = encode_picture(PIXELS, format)
    damaged = []
    for _ in range(40):
        copy = bytearray(encoded)
        for _ in range(3):
            copy[random.integers(min(len(copy), 60))] = random.integers(256)
        damaged.append(bytes(copy))
    pixels, ok = IMAGE.decode([*damaged, encoded])
    assert ok.numpy()[-1] and pixels.shape == (41, 12, 10, 3)


@pytest.mark.parametrize(
    "cell, why",
    [
        (b"just some text, no picture at all", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "not an image"),
        (b"\xff\xd8\xff", "not an image"),
        (b"GIF89a", "not an image"),
        (b"BM", "not an image"),
        (b"\0", "not an image"),
        (b"RIFF\x10\0\0\0WEBPVP8L\0\0", "not an image"),
    ],
)
def test_no_picture(cell, why):
    with pytest.raises(ValueError, match=r"row 1 .*(?s:.)*Received: photo="):
        IMAGE.to_raw(column(None, cell), "photo")
    with pytest.raises(ValueError, match=why):
        check_encoded(cell)
    IMAGE.decode([cell])


def test_files_that_are_missing_or_empty(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    good = tmp_path / "good.png"
    good.write_bytes(encode_picture(PIXELS))
    cells = column("good.png", "none.png", "empty.png", "text.png", "folder.png")
    with pytest.raises(
        ValueError, match=r"rows 1, 2, 3, 4 \(4 in all.*Received: x='none.png'$"
    ):
        IMAGE.to_raw(cells, "x", base_dir=tmp_path)
    raw = IMAGE.to_raw(cells, "x", base_dir=tmp_path, on_unreadable="missing")
    assert [bool(value) for value in raw] == [True, False, False, False, False]


def test_pillows_own_limit_is_left_alone():
    before = Pillow.MAX_IMAGE_PIXELS
    with pytest.raises(ValueError):
        check_encoded(b"no")
    assert Pillow.MAX_IMAGE_PIXELS == before


# --- configuration -------------------------------------------------------------


def test_config_round_trip():
    layer = keras.layers.RandomFlip("horizontal")
    image = keras_mm.Image((8, 9), pad_to_aspect_ratio=True, augmentation=layer)
    again = keras_mm.Image.from_config(image.get_config())
    assert again.size == (8, 9) and again.pad_to_aspect_ratio
    assert isinstance(again.augmentation, keras.layers.RandomFlip)
    assert keras_mm.Image(7).size == (7, 7)


@pytest.mark.parametrize(
    "kwargs", [{"size": (0, 3)}, {"size": (3, 3, 3)}, {"augmentation": "wild"}]
)
def test_wrong_arguments(kwargs):
    with pytest.raises(ValueError, match=f"Received: {next(iter(kwargs))}="):
        keras_mm.Image(**kwargs)


def test_samples():
    random = np.random.default_rng(0)
    good = [IMAGE.sample(random) for _ in range(6)]
    bad = [IMAGE.sample(random, bad=True) for _ in range(6)]
    _, ok = IMAGE.decode(good + bad)
    assert ok.numpy().tolist() == [True] * 6 + [False] * 6


def test_encode_array_keeps_alpha():
    rgba = np.dstack([PIXELS, np.zeros((12, 10), "uint8")])
    assert (decode_one(encode_array(rgba)) == 255).all()


# --- cells of other files than tables ------------------------------------------


def test_cells_as_files_of_tables_hold_them(tmp_path):
    encoded = encode_picture(PIXELS)
    (tmp_path / "a.png").write_bytes(encoded)
    rows = column(*(column(*row).to_numpy() for row in PIXELS)).to_numpy()
    cells = column(
        b"a.png",
        str({"bytes": None, "path": "a.png"}),
        str({"bytes": encoded, "path": None}),
        str(PIXELS.tolist()),
        # Parquet gives arrays of arrays.
        rows,
    )
    for raw in (
        read_files(IMAGE.to_raw(cells, base_dir=tmp_path)),
        raw_strings(cells, "image", is_file=True, base_dir=tmp_path),
    ):
        for value in raw:
            np.testing.assert_array_equal(decode_one(value), decode_one(encoded))
    with pytest.raises(ValueError, match="different lengths"):
        IMAGE.to_raw(column("[[1, 2], [3]]"))
    several = keras_mm.Image((12, 10), num_images=2)
    found = several.to_raw(column(f"[{cells[1]}, {cells[2]}]"), base_dir=tmp_path)
    assert read_files(found).tolist() == [[encoded, encoded]]
