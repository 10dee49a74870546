"""Sounds: what is read, what is refused, and the features, by other means."""

import builtins
import io
import struct
import wave

import numpy as np
import pandas as pd
import pytest
import scipy.fft
import scipy.signal
import tensorflow as tf

import keras_mm
from keras_mm.inputs import sounds as room

RATE = 8000


def samples_of(count=800, channels=1, seed=0):
    """Noise as floats, `(count, channels)`."""
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (count, channels))


def wav(samples, rate=RATE, bits=16):
    """Floats `(samples, channels)` -> a WAV file of 8, 16, 24 or 32 bits."""
    stream = io.BytesIO()
    whole = np.round(samples * 2.0 ** (bits - 1)).astype("int64")
    if bits == 8:
        data = (whole + 128).astype("u1").tobytes()
    else:
        data = b"".join(
            int(v).to_bytes(bits // 8, "little", signed=True) for v in whole.ravel()
        )
    with wave.open(stream, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(data)
    return stream.getvalue()


def float_wav(samples, rate=RATE):
    """Floats -> a WAV file of 32-bit floats."""
    data = samples.astype("<f4").tobytes()
    channels = samples.shape[1]
    form = struct.pack("<HHIIHH", 3, channels, rate, rate * channels * 4, channels * 4, 32)  # fmt: skip
    body = b"WAVEfmt " + struct.pack("<I", 16) + form
    body += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def waveform(**kwargs):
    kwargs = {"duration": 0.1, "sampling_rate": RATE, "features": "waveform", **kwargs}
    return keras_mm.Audio(**kwargs)


def read(audio, *cells):
    """Table cells -> the model's tensor, the whole way."""
    raw = audio.to_raw(pd.Series(list(cells), dtype=object), "sound")
    return audio.preprocess(tf.constant(raw.tolist(), tf.string)).numpy()


def test_samples_padding_and_missing():
    x = samples_of(500)
    got = read(waveform(), wav(x), None, wav(samples_of(2000)))
    assert got.shape == (3, 800, 1) and got.dtype == "float32"
    np.testing.assert_allclose(got[0, :500], x, atol=1 / 2**15)
    assert np.isnan(got[0, 500:]).all() and np.isnan(got[1]).all()
    np.testing.assert_allclose(got[2], samples_of(2000)[:800], atol=1 / 2**15)


def test_channels():
    x = samples_of(800, 3)
    tolerance = {"atol": 1 / 2**15}
    (mono,) = read(waveform(), wav(x))
    np.testing.assert_allclose(mono, x.mean(axis=1, keepdims=True), **tolerance)
    (two,) = read(waveform(num_channels=2), wav(x))
    np.testing.assert_allclose(two, x[:, :2], **tolerance)
    (four,) = read(waveform(num_channels=4), wav(x))
    np.testing.assert_allclose(four, x[:, [0, 1, 2, 2]], **tolerance)


@pytest.mark.parametrize(
    "rate, count", [(4000, 300), (4000, 301), (16000, 900), (16000, 901), (11025, 777)]
)
def test_resampling_is_scipys(rate, count):
    x = samples_of(count)
    new = round(count * RATE / rate)
    expected = scipy.signal.resample(np.round(x * 2**15) / 2**15, new)
    (got,) = read(waveform(duration=0.2), wav(x, rate))
    np.testing.assert_allclose(got[:new], expected, atol=2e-6)
    assert np.isnan(got[new:]).all()


def test_what_is_cut_off_is_not_resampled():
    x = samples_of(16000)
    (got,) = read(waveform(), wav(x, 16000))
    cut = np.round(x[:1600] * 2**15) / 2**15
    np.testing.assert_allclose(got, scipy.signal.resample(cut, 800), atol=2e-6)


def log_mel(x, rate, length, step, num_mels):
    """Log-mel features of one channel, step by step, in NumPy."""
    size = 2 ** int(np.ceil(np.log2(2 * length)))
    frequencies = np.arange(size // 2 + 1) * rate / size
    edges = np.linspace(
        *(1127 * np.log1p(np.array([20, rate / 2]) / 700)), num_mels + 2
    )
    mels = 1127 * np.log1p(frequencies / 700)
    # TensorFlow's window is periodic for even lengths, symmetric for odd ones.
    period = length - length % 2
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / period)
    features = []
    for start in range(0, len(x), step):
        frame = np.zeros(length)
        part = x[start : start + length]
        frame[: len(part)] = part
        power = np.abs(np.fft.rfft(frame * window, size)) ** 2 / (length / 4) ** 2
        row = []
        for low, middle, high in zip(edges, edges[1:], edges[2:]):
            up, down = (mels - low) / (middle - low), (high - mels) / (high - middle)
            row.append(np.maximum(np.minimum(up, down), 0)[1:] @ power[1:])
        features.append(row)
    return 1 - np.log(np.maximum(features, 1e-8)) / np.log(1e-8)


@pytest.mark.parametrize("rate, num_mels", [(8000, 20), (16000, 64), (22050, 128)])
def test_log_mel_is_numpys(rate, num_mels):
    audio = keras_mm.Audio(duration=0.1, sampling_rate=rate, num_mels=num_mels)
    count = round(0.07 * rate) + 3
    x = samples_of(count)
    (got,) = read(audio, wav(x, rate))
    quantised = np.round(x[:, 0] * 2**15) / 2**15
    step = round(0.01 * rate)
    expected = log_mel(quantised, rate, round(0.025 * rate), step, num_mels)
    assert got.shape == (-(-round(0.1 * rate) // step), num_mels)
    assert len(expected) == 8 and np.isnan(got[8:]).all()
    np.testing.assert_allclose(got[:8], expected, atol=1e-4)
    # Every band hears something.
    assert got[:7].min() > 0.2


def test_log_mel_range():
    time = np.arange(8000)[:, None] / RATE
    audio = keras_mm.Audio(duration=1, sampling_rate=RATE)
    loud, silent = read(audio, wav(0.999 * np.sin(2000 * time)), wav(0 * time))
    # The frames at the end reach into the padding.
    assert 0.95 < loud[:95].max(axis=1).min() and loud.max() < 1.1
    np.testing.assert_allclose(silent, 0, atol=1e-6)


def test_mfcc_is_scipys():
    log = keras_mm.Audio(duration=0.1, num_mels=32)
    mfcc = keras_mm.Audio(duration=0.1, num_mels=32, num_mfccs=13, features="mfcc")
    cell = wav(samples_of(1000), 16000)
    expected = scipy.fft.dct(read(log, cell)[0], type=2) / np.sqrt(2 * 32)
    (got,) = read(mfcc, cell)
    assert got.shape == (10, 13)
    np.testing.assert_allclose(got, expected[:, :13], atol=1e-4)
    assert np.isnan(got[7:]).all() and not np.isnan(got[:7]).any()


def test_channels_of_log_mel_have_their_mean_power():
    x = samples_of(800)
    audio = keras_mm.Audio(duration=0.1, sampling_rate=RATE, num_channels=2)
    both, one, opposite = read(
        audio, wav(np.hstack([x, x])), wav(x), wav(np.hstack([x, -x]))
    )
    np.testing.assert_allclose(both, one, atol=1e-6)
    np.testing.assert_allclose(opposite, one, atol=1e-3)


@pytest.mark.parametrize("bits", [8, 16, 24, 32, "float"])
def test_wav_formats(bits):
    x = samples_of(300, 2)
    encoded = float_wav(x) if bits == "float" else wav(x, bits=bits)
    got = read(waveform(num_channels=2), encoded)[0, :300]
    np.testing.assert_allclose(got, x, atol=2 / 2 ** (8 if bits == 8 else 15))


def with_chunk(encoded, chunk):
    return encoded[:36] + chunk + encoded[36:]


def test_odd_headers_are_read():
    x = samples_of(300)
    plain = wav(x)
    # An odd chunk is followed by a byte that TensorFlow takes for the next one.
    odd = with_chunk(plain, b"LIST\3\0\0\0abc\0")
    extended = bytearray(plain)
    extended[16:20] = struct.pack("<I", 40)
    extended[20:22] = struct.pack("<H", 0xFFFE)
    extended[36:36] = struct.pack("<HHI", 22, 16, 4) + b"\1\0" + bytes(14)
    for encoded in (odd, bytes(extended), with_chunk(plain, b"LIST\4\0\0\0abcd")):
        np.testing.assert_allclose(
            read(waveform(), encoded)[0, :300], x, atol=1 / 2**15
        )


@pytest.mark.parametrize("size", [0, 2**32 - 1, 2**31 - 1, 2**31 - 4096])
@pytest.mark.parametrize("with_title", [False, True])
def test_sounds_from_a_pipe(size, with_title):
    """Whoever writes into a pipe does not know how much will come."""
    whole = wav(samples_of(700))
    piped = bytearray(whole)
    at = whole.index(b"data") + 4
    piped[4:8] = piped[at : at + 4] = struct.pack("<I", size)
    # Half a sample may be left when the pipe breaks.
    piped = bytes(piped) + b"\1"
    if with_title:
        piped = with_chunk(piped, b"LIST\x05\0\0\0INFO!\0")
    got = read(waveform(), whole, piped)
    np.testing.assert_array_equal(got[0], got[1])
    # A server gets the bytes as they are.
    np.testing.assert_array_equal(waveform().preprocess([piped])[0], got[0])
    assert room.length_and_rate(piped) == (700 / RATE, RATE)


def test_truncated_sounds_are_refused_by_table_and_graph_alike():
    whole = wav(samples_of(700))
    _, ok = waveform().decode([whole[:-10], whole[:44], whole])
    assert ok.numpy().tolist() == [False, False, True]
    with pytest.raises(ValueError, match="truncated"):
        waveform().to_raw(pd.Series([whole[:-10]]))


def test_dicts_of_hugging_face():
    x = samples_of(400)
    cells = (
        {"bytes": wav(x), "path": "gone.wav"},
        {"array": x[:, 0], "sampling_rate": RATE, "path": None},
        {"array": np.repeat(x, 2, axis=0), "sampling_rate": 2 * RATE},
        {"bytes": None, "path": None},
    )
    got = read(waveform(), *cells)
    np.testing.assert_array_equal(got[0], got[1])
    assert np.isfinite(got[2, :400]).all() and np.isnan(got[2, 400:]).all()
    assert np.isnan(got[3]).all()


@pytest.mark.parametrize("format, subtype", [("FLAC", None), ("OGG", None), ("MP3", None), ("WAV", "ULAW")])  # fmt: skip
def test_other_formats(format, subtype):
    soundfile = pytest.importorskip("soundfile")
    time = np.arange(8000) / RATE
    x = 0.5 * np.sin(2 * np.pi * 440 * time)
    stream = io.BytesIO()
    soundfile.write(stream, x, RATE, format=format, subtype=subtype)
    audio = waveform(duration=1)
    raw = audio.to_raw(pd.Series([stream.getvalue()]), "sound")
    # Only what is needed is kept.
    assert len(waveform().to_raw(pd.Series([stream.getvalue()]))[0]) <= 44 + 2 * 800
    got = audio.preprocess(tf.constant(raw.tolist())).numpy()[0, :, 0]
    spectrum = np.abs(np.fft.rfft(got[2000:6000] * np.hanning(4000)))
    assert spectrum.argmax() == 220
    assert 0.4 < np.abs(got[2000:6000]).max() < 0.6
    assert room.length_and_rate(stream.getvalue()) == (pytest.approx(1, abs=0.2), RATE)


def test_soundfile_is_asked_for(monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "soundfile":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r'"keras_mm\[audio\]"'):
        waveform().to_raw(pd.Series([b"fLaC and what follows"]), "sound")


def patched(encoded, at, form, *values):
    encoded = bytearray(encoded)
    struct.pack_into(form, encoded, at, *values)
    return bytes(encoded)


BROKEN = {
    "no sound": (b"some text, long enough", "not a sound"),
    "picture": (b"\xff\xd8\xff\xe0" + bytes(40), "not a sound"),
    "header only": (b"RIFF\x24\0\0\0WAVE", "it holds no samples"),
    "truncated": (wav(samples_of())[:-7], "1600 bytes of sound are announced, 1593"),
    "no samples": (wav(samples_of(0)), "without samples"),
    "huge": (patched(wav(samples_of()), 40, "<I", 10**9), "1000000000 bytes"),
    "no rate": (patched(wav(samples_of()), 24, "<I", 0), "1 channels at 0 Hz"),
    "silly rate": (patched(wav(samples_of()), 24, "<I", 2**31), "at 2147483648 Hz"),
    "channels": (patched(wav(samples_of()), 22, "<H", 9999), "9999 channels"),
    "flac": (b"fLaC" + bytes(100), "cannot be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_cells_are_refused_with_their_rows(name):
    encoded, message = BROKEN[name]
    column = pd.Series([wav(samples_of()), encoded, None, encoded], dtype=object)
    with pytest.raises(ValueError, match="rows 1, 3") as caught:
        waveform().to_raw(column, "noise")
    assert message in str(caught.value)
    assert "Column 'noise': no readable sound" in str(caught.value)
    raw = waveform().to_raw(column, "noise", on_unreadable="missing")
    assert raw[0] == column[0] and list(raw[1:]) == [b"", b"", b""]


@pytest.mark.parametrize("features", ["waveform", "log_mel", "mfcc"])
def test_a_broken_sound_costs_its_own_row_only(features):
    audio = waveform(features=features)
    good = wav(samples_of())
    silly = patched(good, 24, "<II", 2**30, 2**31)
    broken = [encoded for encoded, _ in BROKEN.values()] + [silly, b""]
    batch = tf.constant([good, *broken, good])
    values, ok = tf.function(audio.decode)(batch)
    assert ok.numpy().tolist() == [True] + [False] * len(broken) + [True]
    got = audio.finish((values, ok)).numpy()
    assert got.shape == (len(batch), *audio.shape)
    np.testing.assert_array_equal(got[0], got[-1])
    assert np.isnan(got[1:-1]).all() and not np.isnan(got[0]).any()
    # Alone, broken or not at all.
    assert np.isnan(audio.preprocess(tf.constant(broken[:1]))).all()
    assert audio.preprocess(tf.constant([], tf.string)).shape == (0, *audio.shape)


def test_paths(tmp_path):
    x = samples_of()
    (tmp_path / "a.wav").write_bytes(wav(x))
    (tmp_path / "b.wav").write_bytes(wav(x, bits=24))
    (tmp_path / "empty.wav").write_bytes(b"")
    audio = waveform()

    def raw(*cells):
        return audio.to_raw(pd.Series(list(cells), dtype=object), base_dir=tmp_path)

    assert list(raw("a.wav", None)) == [str(tmp_path / "a.wav"), b""]
    # With others among them, all are read.
    assert list(raw("a.wav", wav(x))) == [wav(x)] * 2
    assert [type(value) for value in raw("a.wav", "b.wav")] == [bytes, bytes]
    for name, message in (("none.wav", "no such file"), ("empty.wav", "empty file")):
        with pytest.raises(ValueError, match=message):
            raw("a.wav", name)


def test_arrays():
    x = samples_of(400, 2)
    whole = np.round(x * 2**15).astype("int16")
    cells = [x, whole, x[:, 0].astype("f4"), whole.astype("int64"), np.full(9, np.nan)]
    got = read(waveform(num_channels=2), *cells)
    for row in (0, 1, 3):
        np.testing.assert_allclose(got[row, :400], x, atol=1 / 2**15)
    np.testing.assert_allclose(got[2, :400], x[:, [0, 0]], atol=1 / 2**15)
    assert np.isnan(got[4]).all()
    np.testing.assert_allclose(
        read(waveform(), np.array([-1.0, 1.0]))[0, :2, 0], [-1, 1 - 2**-15]
    )


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((2, 800)), "shape (2, 800) is not a sound"),
        (np.zeros((4, 2, 2)), "shape (4, 2, 2) is not a sound"),
        (np.array([0.0, 1.5]), "between -1 and 1"),
        (np.array([0.0, np.nan]), "between -1 and 1"),
        (np.array([0, 2**15]), "fit into 16 bits"),
        (np.zeros(5, "uint8"), "dtype uint8"),
        (np.array([True, False]), "dtype bool"),
    ],
)
def test_arrays_that_are_no_sound(array, message):
    with pytest.raises(ValueError) as caught:
        waveform().to_raw(pd.Series([None, array], dtype=object), "noise")
    assert message in str(caught.value) and "row 1" in str(caught.value)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"features": "mel"}, "Received: features='mel'"),
        ({"sampling_rate": 10}, "Received: sampling_rate=10"),
        ({"num_channels": 0}, "Received: num_channels=0"),
        ({"features": "mfcc", "num_mfccs": 65}, "Received: num_mels=64, num_mfccs=65"),
        ({"duration": 0}, "Received: duration=0"),
        ({"frame_step": 1e-9}, "Received: frame_step=1e-09"),
    ],
)
def test_arguments(kwargs, message):
    with pytest.raises(ValueError) as caught:
        keras_mm.Audio(**kwargs)
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize("features", ["waveform", "log_mel", "mfcc"])
def test_config_and_samples(features):
    audio = keras_mm.Audio(
        1.5, 11025, features, num_channels=2, num_mels=30, num_mfccs=9, frame_step=0.02
    )
    again = keras_mm.Audio.from_config(audio.get_config())
    assert again.get_config() == audio.get_config()
    assert again.shape == audio.shape and "1.5 s at 11025 Hz" in audio.describe()
    random = np.random.default_rng(0)
    raw = [audio.sample(random), audio.sample(random, bad=True), audio.sample(random)]
    values, ok = audio.decode(tf.constant(raw))
    assert ok.numpy().tolist() == [True, False, True]
    assert "WAV" in audio.request_value()


def sounds(rows=12):
    """High and low sines, one missing."""
    random = np.random.default_rng(0)
    time = np.arange(600)[:, None] / RATE
    cells = []
    for row in range(rows):
        sine = 0.5 * np.sin(2 * np.pi * [300, 2000][row % 2] * time)
        cells.append(wav(sine + random.normal(scale=0.02, size=sine.shape)))
    cells[4] = None
    return pd.DataFrame({"sound": cells, "pitch": ["low", "high"] * (rows // 2)})


@pytest.mark.parametrize("features", ["log_mel", "waveform"])
def test_streamed_rows_are_those_of_memory(features, monkeypatch):
    table = sounds()
    schema = keras_mm.Schema(
        {"sound": waveform(features=features)}, {"pitch": keras_mm.ClassLabel()}
    ).adapt(table)

    def tensors():
        ((x, _),) = keras_mm.data.to_dataset(table, schema, batch_size=12)
        return x["sound"].numpy()

    in_memory = tensors()
    assert np.isnan(in_memory[4]).all()
    monkeypatch.setattr(keras_mm.data.dataset, "MEMORY_LIMIT", 0)
    np.testing.assert_allclose(tensors(), in_memory, atol=1e-6)
    # Rows of a dataset may hold samples instead of files.
    rows = tf.data.Dataset.from_tensor_slices(
        {"sound": [[0, 2**14]] * 2, "pitch": ["low", "high"]}
    )
    ((x, _),) = keras_mm.data.to_dataset(rows, schema)
    if features == "waveform":
        np.testing.assert_allclose(x["sound"][0, :2, 0], [0, 0.5])


@pytest.mark.large
def test_from_table_to_export(tmp_path):
    table = sounds()
    schema = keras_mm.infer_schema(table, "pitch", verbose=False)
    found = schema.inputs["sound"]
    assert (found.duration, found.sampling_rate) == (1, RATE)
    schema = keras_mm.Schema(
        {"sound": waveform(features="log_mel")}, {"pitch": keras_mm.ClassLabel()}
    ).adapt(table)
    encoder = keras_mm.encoders.SpectrogramCNN((4, 4), units=8)
    model = keras_mm.build_classifier(schema, encoders={"sound": encoder}, seed=0)
    model.fit(table, epochs=2, verbose=0)
    keras_mm.export(model, tmp_path / "sounds")
    served = keras_mm.load_exported(tmp_path / "sounds")
    answer = served(table.drop(columns="pitch"))
    assert answer["sound_ok"].tolist() == [row != 4 for row in range(12)]
    # What training converts, a request does, too.
    eight_bit = pd.DataFrame({"sound": [wav(samples_of(600), bits=8), b"fLaC"]})
    assert served(eight_bit)["sound_ok"].tolist() == [True, False]
    with pytest.raises(ValueError, match="send a WAV file.* row 0"):
        served(pd.DataFrame({"sound": [np.zeros(600)]}))


def test_infer(tmp_path):
    stereo = wav(samples_of(20000, 2), 44100)
    (tmp_path / "long.wav").write_bytes(wav(samples_of(13 * 4000), 4000))
    (tmp_path / "mid.wav").write_bytes(wav(samples_of(9000), 4000))
    table = pd.DataFrame(
        {
            "bytes": [stereo, b"broken", None, stereo],
            "path": ["long.wav", "mid.wav", None, "none.WAV"],
            "y": ["a", "b", "a", "b"],
        }
    )
    schema = keras_mm.infer_schema(table, "y", base_dir=tmp_path, verbose=False)
    assert schema.inputs["bytes"].get_config() == keras_mm.Audio(1).get_config()
    path = schema.inputs["path"]
    assert (path.duration, path.sampling_rate) == (10, 4000)
