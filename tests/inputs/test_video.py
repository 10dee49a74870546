"""Clips, from files to tensors. Frame number n has the brightness 10 + 6 n."""

import io

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

import keras_mm
from keras_mm.data import dataset as dataset_room
from keras_mm.data import infer_schema, to_dataset
from keras_mm.inputs.clips import _scan, _seek_frames

from ..helpers import encode_picture

av = pytest.importorskip("av")

CODECS = {"mp4": "libx264", "webm": "libvpx-vp9", "avi": "mpeg4", "mkv": "libx264"}


def brightness(number):
    return 10 + 6 * number


def frames_of(count, size=(32, 48)):
    """Grey frames that carry their number."""
    return [np.full((*size, 3), brightness(n), dtype="uint8") for n in range(count)]


def clip(frames, format="mp4", codec=None, gop=5, times=None, b_frames=2, audio=None):
    """Bytes of a video file; `times` in milliseconds."""
    stream = io.BytesIO()
    with av.open(stream, "w", format={"mkv": "matroska"}.get(format, format)) as file:
        video = None
        if len(frames):
            rate = 1000 if times else 10
            video = file.add_stream(codec or CODECS[format], rate=rate)
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            video.gop_size, video.bit_rate = gop, 2_000_000
            if video.codec.name == "libx264":
                # No keyframes of its own choice.
                video.options = {"x264-params": "scenecut=0"}
            video.codec_context.max_b_frames = b_frames
        sound = file.add_stream("aac", rate=8000) if audio else None
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = times[number] if times else number
            file.mux(video.encode(frame))
        if video:
            file.mux(video.encode())
        if sound:
            samples = np.zeros((1, 8000), dtype="float32")
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.rate = 8000
            file.mux(sound.encode(frame))
            file.mux(sound.encode())
    return stream.getvalue()


def gif(count, size=(8, 6)):
    pictures = [Pillow.fromarray(frame) for frame in frames_of(count, size)]
    stream = io.BytesIO()
    pictures[0].save(stream, "GIF", save_all=True, append_images=pictures[1:])
    return stream.getvalue()


def pngs(numbers, size=(4, 6)):
    return [encode_picture(np.full((*size, 3), brightness(n))) for n in numbers]


def numbers_of(raw):
    """Row of encoded frames -> frame numbers, None where there is none."""
    found = []
    for encoded in raw:
        if encoded == b"":
            found.append(None)
            continue
        pixels = np.asarray(Pillow.open(io.BytesIO(encoded)).convert("RGB"))
        number = (pixels.mean() - 10) / 6
        assert abs(number - round(number)) < 0.4, number
        found.append(round(number))
    return found


def read(cells, on_unreadable="error", base_dir=None, **arguments):
    video = keras_mm.Video(**{"num_frames": 4, "size": (16, 16)} | arguments)
    column = pd.Series(list(cells), dtype=object)
    return video.to_raw(column, "clip", base_dir, on_unreadable)


def tensor_of(raw, **arguments):
    video = keras_mm.Video(**{"num_frames": 4, "size": (16, 16)} | arguments)
    return video.preprocess(raw.tolist()).numpy()


@pytest.mark.parametrize("gop", [1, 5, 100])
@pytest.mark.parametrize("format", list(CODECS))
def test_the_middles_of_equal_segments_are_read(format, gop):
    encoded = clip(frames_of(24), format, gop=gop)
    assert numbers_of(read([encoded])[0]) == [3, 9, 15, 21]
    assert numbers_of(read([encoded], num_frames=5)[0]) == [2, 7, 12, 16, 21]
    assert numbers_of(read([encoded], sampling="dense")[0]) == [10, 11, 12, 13]


@pytest.mark.parametrize("codec", ["libvpx", "mjpeg", "mpeg2video", "libx265"])
def test_other_codecs(codec):
    if codec not in av.codecs_available:
        pytest.skip(f"no {codec} here")
    format = {"libvpx": "webm", "mjpeg": "avi", "libx265": "mp4"}.get(codec, "mpegts")
    frames = frames_of(24, (48, 64))
    if codec == "mjpeg":
        b_frames = 0
    else:
        b_frames = 2
    encoded = clip(frames, format, codec, b_frames=b_frames)
    assert numbers_of(read([encoded])[0]) == [3, 9, 15, 21]


def test_a_path_is_read_as_its_bytes_are(tmp_path):
    encoded = clip(frames_of(12))
    (tmp_path / "a.mp4").write_bytes(encoded)
    by_path, by_bytes = read(["a.mp4", encoded], base_dir=tmp_path)
    assert by_path.tolist() == by_bytes.tolist()
    assert by_path.tolist() == read([tmp_path / "a.mp4"])[0].tolist()


def test_random_frames_come_from_their_segments():
    encoded = clip(frames_of(24))
    video = keras_mm.Video(4, (16, 16), "random", seed=1)
    again = keras_mm.Video.from_config(video.get_config())
    column = pd.Series([encoded] * 6)
    first, second = video.to_raw(column), video.to_raw(column)
    numbers = np.array([numbers_of(row) for row in first])
    assert (numbers // 6 == np.arange(4)).all()
    assert len(np.unique(numbers, axis=0)) > 1
    # Another draw each time that the table is read; the same from the start.
    assert first.tolist() != second.tolist()
    assert again.to_raw(column).tolist() == first.tolist()


@pytest.mark.parametrize("sampling", ["uniform", "random", "dense"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_short_clips_end_with_missing_frames(sampling, count):
    expected = list(range(count)) + [None] * (4 - count)
    arrays = np.stack(frames_of(count))
    cells = [clip(frames_of(count)), pngs(range(count)), arrays]
    for row in read(cells, sampling=sampling):
        assert numbers_of(row) == expected
    tensor = tensor_of(read(cells, sampling=sampling))
    assert np.isnan(tensor).all(axis=(2, 3, 4)).tolist() == [
        [number is None for number in expected]
    ] * len(cells)


def test_variable_frame_rate_counts_frames():
    times = np.cumsum([10, 400, 10, 10, 10, 900, 10, 10, 10, 10, 300, 10]).tolist()
    for format in ("mp4", "mkv"):
        encoded = clip(frames_of(12), format, times=times)
        assert numbers_of(read([encoded])[0]) == [1, 4, 7, 10]


def test_packets_without_times_are_counted():
    stream = io.BytesIO()
    with av.open(stream, "w", format="h264") as file:
        video = file.add_stream("libx264", rate=10)
        video.height, video.width, video.pix_fmt = 32, 48, "yuv420p"
        for pixels in frames_of(12):
            file.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(video.encode())
    (row,) = read([stream.getvalue()])
    assert numbers_of(row) == [1, 4, 7, 10]


def test_only_what_is_needed_is_decoded():
    """A long clip with many keyframes: few frames are unpacked."""
    encoded = clip(frames_of(40) * 5, gop=10, b_frames=0)
    decoded = []

    class Counting:
        def __init__(self, container):
            self.container = container

        def seek(self, *args, **kwargs):
            self.container.seek(*args, **kwargs)

        def decode(self, stream):
            for frame in self.container.decode(stream):
                decoded.append(frame.pts)
                yield frame

    with av.open(io.BytesIO(encoded)) as container:
        stream = container.streams.video[0]
        times, keys, count = _scan(container, stream)
        assert count == 200 and len(keys) == 20
        wanted = [times[place] for place in (25, 75, 125, 175)]
        found = list(_seek_frames(Counting(container), stream, times, keys, wanted))
    assert [frame.pts for frame in found] == wanted
    assert len(decoded) == 4 * 6


def test_frames_are_shrunk_to_what_the_size_needs():
    raw = read([clip(frames_of(3, (120, 200)))], size=(30, 40))
    picture = Pillow.open(io.BytesIO(raw[0, 0]))
    assert picture.format == "JPEG" and picture.size == (50, 30)
    # A smaller one is not enlarged.
    raw = read([clip(frames_of(3, (32, 48)))], size=(64, 64))
    assert Pillow.open(io.BytesIO(raw[0, 0])).size == (48, 32)


def test_colours_and_places_survive():
    frame = np.zeros((64, 64, 3), dtype="uint8")
    frame[:32, :32], frame[32:, 32:] = (200, 30, 30), (30, 30, 200)
    tensor = tensor_of(read([clip([frame] * 4)], size=(32, 32)), size=(32, 32))
    expected = frame[::2, ::2] / 255
    assert np.abs(tensor[0] - expected).mean() < 0.02


def test_telephones_lie_on_their_side():
    """A quarter turn clockwise, written into the track's header."""
    frame = np.zeros((32, 64, 3), dtype="uint8")
    frame[:16, :32] = (250, 20, 20)
    encoded = bytearray(clip([frame] * 4))
    at = encoded.index(b"tkhd") + 44
    turn = np.array([0, 2**16, 0, -(2**16), 0, 0, 0, 0, 2**30], dtype=">i4")
    encoded[at : at + 36] = turn.tobytes()
    raw = read([bytes(encoded)], size=(64, 32))
    assert Pillow.open(io.BytesIO(raw[0, 0])).size == (32, 64)
    tensor = tensor_of(raw, size=(64, 32))[0, 0]
    assert tensor[:28, 18:, 0].min() > 0.8 and tensor[:, :14].max() < 0.2


def test_gif(tmp_path):
    (tmp_path / "a.gif").write_bytes(gif(12))
    for row in read([gif(12), tmp_path / "a.gif"]):
        assert numbers_of(row) == [1, 4, 7, 10]
    assert numbers_of(read([gif(1)])[0]) == [0, None, None, None]


def test_transparent_parts_of_a_gif_are_white():
    pictures = [Pillow.new("RGBA", (8, 8), (0, 0, 0, 0)) for _ in range(2)]
    for number, picture in enumerate(pictures):
        picture.paste((200, 0, 0, 255), (number, 0, number + 2, 2))
    stream = io.BytesIO()
    pictures[0].save(
        stream, "GIF", save_all=True, append_images=pictures[1:], disposal=2
    )
    (row,) = read([stream.getvalue()], size=(8, 8))
    tensor = tensor_of(row[None], size=(8, 8))[0]
    assert (tensor[:2, 4:] == 1).all()
    assert tensor[0, 0, 0].tolist() == tensor[1, 0, 1].tolist() != [1, 1, 1]


def test_lists_of_pictures(tmp_path):
    for number, encoded in enumerate(pngs(range(8))):
        (tmp_path / f"{number}.png").write_bytes(encoded)
    paths = [f"{number}.png" for number in range(8)]
    cells = [pngs(range(8)), paths, np.array(pngs(range(8)), dtype=object)]
    for row in read(cells, base_dir=tmp_path):
        assert row.tolist() == [pngs([n])[0] for n in (1, 3, 5, 7)]
    # A frame that is not there stays a gap; at the end it is no frame at all.
    holes = pngs([0]) + [None, b""] + pngs([3]) + ["", None]
    assert numbers_of(read([holes])[0]) == [0, None, None, 3]


@pytest.mark.parametrize("scale", [1, 255.0])
def test_arrays(scale):
    array = np.stack(frames_of(8)) / scale if scale > 1 else np.stack(frames_of(8))
    raw = read([array])
    assert numbers_of(raw[0]) == [1, 3, 5, 7]
    # Pixels are kept to the bit.
    expected = np.array([brightness(n) for n in (1, 3, 5, 7)]) / 255
    assert tensor_of(raw)[0, :, 0, 0, 0] == pytest.approx(expected)


def test_arrays_with_missing_frames():
    array = np.stack(frames_of(3)).astype("float32") / 255
    array[1:] = np.nan
    rows = read([array, np.full((2, 4, 4, 3), np.nan)])
    assert numbers_of(rows[0]) == [0, None, None, None]
    assert rows[1].tolist() == [b""] * 4


def test_missing_clips():
    raw = read([None, np.nan, "", b"", [], [None, ""], pd.NA, np.zeros((0, 4, 4, 3))])
    assert (raw == b"").all()
    assert np.isnan(tensor_of(raw)).all()


@pytest.mark.parametrize(
    "cell, reason",
    [
        (b"garbage " * 100, "no video file, or a broken one"),
        ("absent.mp4", "no such file"),
        ("empty.mp4", "empty file"),
        ("half.mp4", "no video file, or a broken one"),
        ("song.mp4", "a file without video"),
        ("list.m3u8", "no video file, or a broken one"),
        (b"GIF89a", "a broken GIF"),
        (pngs([0]) + [b"text"], "frame 1: not an image"),
        (["absent.png"], "frame 0: no such file"),
        (np.zeros((4, 4, 3)), r"an array of shape \(4, 4, 3\) is not a clip"),
        (np.full((2, 4, 4, 3), 2.0), "frame 0: float pixels must lie"),
        (np.zeros((2, 4, 4, 5)), "frame 0: an array of shape"),
        (3.5, "a cell of type float"),
        ({"a": 1}, "a cell of type dict"),
        ([1.5], "frame 0: an array of shape"),
    ],
)
def test_cells_that_are_no_clips(cell, reason, tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    encoded = clip(frames_of(12))
    (tmp_path / "half.mp4").write_bytes(encoded[: len(encoded) // 2])
    (tmp_path / "song.mp4").write_bytes(clip([], audio=True))
    (tmp_path / "a.mp4").write_bytes(encoded)
    playlist = "#EXTM3U\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(playlist)
    cells = [None, cell, clip(frames_of(4))]
    with pytest.raises(ValueError, match=f"'clip': no readable clip .{reason}") as info:
        read(cells, base_dir=tmp_path)
    assert "in row 1 (1 in all" in str(info.value)
    assert "Received: clip=" in str(info.value)
    rows = read(cells, on_unreadable="missing", base_dir=tmp_path)
    assert numbers_of(rows[2]) == [0, 1, 2, 3]
    expected = [0, None, None, None] if isinstance(cell, list) else [None] * 4
    assert numbers_of(rows[1]) in (expected, [None] * 4)


def test_damage_inside_a_file_costs_the_clip_or_nothing():
    """Whatever the decoder makes of it, no other row notices."""
    random = np.random.default_rng(0)
    good = clip(frames_of(24), "mkv")
    cells = []
    for _ in range(20):
        damaged = bytearray(good)
        start = int(random.integers(100, len(good) - 50))
        damaged[start : start + 50] = random.bytes(50)
        cells += [bytes(damaged), good]
    rows = read(cells, on_unreadable="missing")
    for row in rows[1::2]:
        assert numbers_of(row) == [3, 9, 15, 21]


def test_too_many_pixels(monkeypatch):
    monkeypatch.setattr("keras_mm.inputs.picture_limits.MAX_PIXELS", 1000)
    for cell in (clip(frames_of(3)), gif(3, (40, 40))):
        with pytest.raises(ValueError, match="pixels are too many"):
            read([cell])


def test_sound_beside_the_pictures():
    encoded = clip(frames_of(12), audio=True)
    assert numbers_of(read([encoded])[0]) == [1, 4, 7, 10]


def test_without_the_package(monkeypatch):
    import sys

    encoded = clip(frames_of(3))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"keras_mm\[video\]"):
        read([encoded])
    # Frames and arrays need no such package.
    assert numbers_of(read([pngs([0, 1])])[0]) == [0, 1, None, None]


def test_requests_of_any_length():
    """More frames are sampled as a table's are, fewer are padded."""
    import tensorflow as tf

    for sampling in ("uniform", "dense"):
        video = keras_mm.Video(4, (4, 6), sampling)
        preprocess = tf.function(
            video.preprocess, input_signature=[video.serving_spec("clip")]
        )
        for count in (0, 1, 3, 4, 5, 9, 10):
            frames = pngs(range(count))
            raw = np.array([frames, [b""] * count], dtype=object).reshape(2, count)
            got = preprocess(tf.constant(raw, tf.string)).numpy()
            column = pd.Series([frames, None], dtype=object)
            expected = preprocess(tf.constant(video.to_raw(column).tolist())).numpy()
            np.testing.assert_array_equal(got, expected)
            assert np.isnan(got[1]).all()


def test_padding_is_no_part_of_a_clip():
    video = keras_mm.Video(4, (4, 6))
    short, long = pngs([3, 5]), pngs(range(9))
    alone = video.preprocess([short]).numpy()
    together = video.preprocess([short + [b""] * 7, long]).numpy()
    np.testing.assert_array_equal(alone[0], together[0])


def test_a_broken_frame_costs_itself_only():
    video = keras_mm.Video(3, (4, 6))
    one, two = pngs([1, 2])
    raw = [[one, b"broken", two], [b"broken", b"broken", b""], [one, two, one]]
    (pixels, present), ok = video.decode(raw)
    assert present.numpy().tolist() == [[True, False, True], [False] * 3, [True] * 3]
    assert ok.numpy().tolist() == [True, False, True]
    assert pixels.shape == (3, 3, 4, 6, 3) and pixels.dtype == "uint8"
    tensor = video.finish(((pixels, present), ok)).numpy()
    assert np.isnan(tensor[0, 1]).all() and np.isnan(tensor[1]).all()
    assert np.isfinite(tensor[0, [0, 2]]).all() and np.isfinite(tensor[2]).all()


def test_graph_with_unknown_sizes_and_no_rows():
    import tensorflow as tf

    video = keras_mm.Video(3, (4, 6))
    spec = video.serving_spec("clip")
    assert spec.shape.as_list() == [None, None] and spec.dtype == tf.string
    function = tf.function(video.preprocess, input_signature=[spec])
    assert function(tf.zeros((0, 2), tf.string)).shape == (0, 3, 4, 6, 3)
    assert function(tf.zeros((2, 0), tf.string)).shape == (2, 3, 4, 6, 3)
    operations = {
        node.op for node in function.get_concrete_function().graph.as_graph_def().node
    }
    assert not operations & {"PyFunc", "EagerPyFunc"}


def test_strings_of_a_wrong_shape():
    video = keras_mm.Video(3, (4, 6))
    with pytest.raises(ValueError, match=r"Received: strings of shape \(1,\)"):
        video.preprocess([b"x"])


def table_of_clips():
    cells = [clip(frames_of(12)), gif(3), None, pngs(range(6)), np.stack(frames_of(5))]
    return pd.DataFrame({"clip": cells, "label": [0, 1, 0, 1, 0]})


def schema_of(table, **arguments):
    video = keras_mm.Video(**{"num_frames": 4, "size": (16, 16)} | arguments)
    return keras_mm.Schema({"clip": video}, {"label": keras_mm.ClassLabel()}).adapt(
        table
    )


def all_rows(data):
    return np.concatenate([inputs["clip"].numpy() for inputs, _ in data])


def test_in_memory_and_row_by_row_agree(monkeypatch):
    table = table_of_clips()
    table.at[4, "clip"] = pngs([1]) + [b"broken"] + pngs([2, 3])
    schema = schema_of(table)
    in_memory = all_rows(to_dataset(table, schema, 2, on_unreadable="missing"))
    monkeypatch.setattr(dataset_room, "MEMORY_LIMIT", 0)
    row_by_row = all_rows(to_dataset(table, schema, 2, on_unreadable="missing"))
    np.testing.assert_array_equal(in_memory, row_by_row)
    assert in_memory.shape == (5, 4, 16, 16, 3)
    there = ~np.isnan(in_memory).all(axis=(2, 3, 4))
    assert there.sum(axis=1).tolist() == [4, 3, 0, 4, 3]


def test_frames_that_only_decoding_finds_broken(monkeypatch):
    """Headers are fine, pixels are not: the row is named, or missing."""
    broken = bytearray(encode_picture(np.full((4, 6, 3), 9)))
    at = broken.index(b"IDAT") + 6
    broken[at : at + 4] = b"\xff" * 4
    table = table_of_clips()
    table.at[3, "clip"] = [bytes(broken)] * 2
    schema = schema_of(table)
    with pytest.raises(ValueError, match="'clip': a file that cannot.*row 3"):
        to_dataset(table, schema)
    in_memory = all_rows(to_dataset(table, schema, on_unreadable="missing"))
    assert np.isnan(in_memory[3]).all()
    monkeypatch.setattr(dataset_room, "MEMORY_LIMIT", 0)
    row_by_row = all_rows(to_dataset(table, schema, on_unreadable="missing"))
    np.testing.assert_array_equal(in_memory, row_by_row)
    model = keras_mm.build_classifier(
        schema, encoders={"clip": keras_mm.encoders.Conv3D(2)}
    )
    with pytest.raises(ValueError, match="'clip': a file that cannot.*row 3"):
        model.fit(table, verbose=0)


def test_rows_of_a_dataset():
    import tensorflow as tf

    table = table_of_clips()
    schema = schema_of(table)

    def rows(cells, spec):
        labels = [0] * len(cells)
        return tf.data.Dataset.from_generator(
            lambda: ({"clip": c, "label": n} for c, n in zip(cells, labels)),
            output_signature={"clip": spec, "label": tf.TensorSpec([], tf.int64)},
        )

    cells = [pngs(range(6)), pngs([0]), [b""]]
    got = all_rows(to_dataset(rows(cells, tf.TensorSpec([None], tf.string)), schema, 2))
    (expected,) = [
        all_rows(to_dataset(pd.DataFrame({"clip": cells, "label": [0, 1, 0]}), schema))
    ]
    np.testing.assert_array_equal(got, expected)
    arrays = [np.stack(frames_of(n, (4, 6))) for n in (6, 1)] + [
        np.zeros((0, 4, 6, 3), "uint8")
    ]
    spec = tf.TensorSpec([None, None, None, 3], tf.uint8)
    got = all_rows(to_dataset(rows(arrays, spec), schema, 2))
    np.testing.assert_array_equal(got, expected)
    with pytest.raises(Exception, match="no readable clip"):
        all_rows(to_dataset(rows([b"x"], tf.TensorSpec([], tf.string)), schema))


def test_config_sample_and_words():
    video = keras_mm.Video(3, 20, "dense", True, seed=4)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(video)
    )
    assert again.get_config() == video.get_config()
    assert again.shape == (3, 20, 20, 3)
    assert repr(video) == "Video, 3 frames (dense) of 20 x 20 pixels, RGB"
    assert "list of frames, best 3" in video.request_value()
    random = np.random.default_rng(0)
    samples = [video.sample(random) for _ in range(5)]
    (_, present), ok = video.decode(video.raw_array(samples).tolist())
    assert ok.numpy().all()
    assert present.numpy().sum(axis=1).tolist() == [len(s) for s in samples]
    bad = video.raw_array([video.sample(random, bad=True), video.missing])
    assert not video.decode(bad.tolist())[1].numpy().any()


@pytest.mark.parametrize(
    "arguments, received",
    [
        ({"num_frames": 0}, "num_frames=0"),
        ({"num_frames": 1.5}, "num_frames=1.5"),
        ({"sampling": "best"}, "sampling='best'"),
        ({"size": (0, 3)}, r"size=\(0, 3\)"),
    ],
)
def test_wrong_arguments(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        keras_mm.Video(**arguments)


@pytest.mark.parametrize("format", [*CODECS, "gif", "paths", "pngs", "arrays", "mov"])
def test_inferred(format, tmp_path):
    if format == "paths":
        (tmp_path / "a.gif").write_bytes(gif(3))
        cells = ["a.gif", "b.MP4", "c.webm"] * 2
    elif format == "pngs":
        # Up to 16 are a column of several pictures.
        cells = [pngs(range(n, n + 17)) for n in range(6)]
    elif format == "arrays":
        cells = [np.stack(frames_of(n + 1, (4, 4))) for n in range(6)]
    elif format == "gif":
        cells = [gif(n) for n in range(2, 8)]
    else:
        codec = CODECS.get(format, "libx264")
        cells = [clip(frames_of(n), format, codec) for n in range(2, 8)]
    table = pd.DataFrame({"clip": cells, "label": [0, 1] * 3})
    schema = infer_schema(table, "label", base_dir=tmp_path, verbose=False)
    assert isinstance(schema.inputs["clip"], keras_mm.Video)


def test_pictures_and_songs_are_no_clips(tmp_path):
    still = tmp_path / "still.gif"
    still.write_bytes(gif(1))
    for cells in ([gif(1)] * 4, [str(still)] * 4, pngs(range(4))):
        table = pd.DataFrame({"clip": cells, "label": [0, 1] * 2})
        schema = infer_schema(table, "label", verbose=False)
        assert isinstance(schema.inputs["clip"], keras_mm.Image)
