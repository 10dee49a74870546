import io
import math
import os
import struct
import wave

import keras
import numpy as np

from ..errors import missing_extra
from .files import decode_each, files_to_raw
from .input import Input

# What a header may claim. The graph checks the rate, too: a row would
# otherwise cost as much memory and time as a stranger likes.
MIN_RATE, MAX_RATE = 1_000, 384_000
MAX_CHANNELS = 32
MAX_BYTES = 2**30
# How other formats than WAV begin: FLAC, OGG, MP3 with a title, AIFF, CAF, AU.
_OTHERS = (b"fLaC", b"OggS", b"ID3", b"FORM", b"caff", b".snd")
# Mel power below 80 dB under a full-scale sine counts as silence.
_FLOOR = 1e-8


@keras.saving.register_keras_serializable(package="keras_mm")
class Audio(Input):
    """A column of sounds: file paths, encoded bytes or arrays of samples.

    Arrays have the input's own sampling rate, those in dicts `{"array": ...,
    "sampling_rate": ...}` the one that stands there.

    The first `duration` seconds are read, mixed and resampled, and made into
    features. The tensor is a sequence of steps, NaN behind a sound's end; a
    missing sound is all NaN. The raw form is a WAV file of 16 bits a sample;
    other WAV files are converted when a table is read, FLAC, OGG and MP3 files
    through the `soundfile` package (`pip install "keras_mm[audio]"`).

    Examples:

    >>> sound = keras_mm.Audio(duration=1)
    >>> sound.preprocess([open("bird.wav", "rb").read(), b""]).shape
    TensorShape([2, 100, 64])

    Args:
        duration: float, seconds that are read; what follows is cut off.
        sampling_rate: int, samples a second of the tensor, whatever the file
            has. Arrays are taken to have this rate already.
        features: what a step holds: `"log_mel"`, the logarithm of the power in
            mel bands, 0 for silence and 1 for the loudest sine; `"mfcc"`, the
            first mel-frequency cepstral coefficients of that; `"waveform"`,
            samples from -1 to 1, one for each channel.
        num_channels: int, 1 mixes all to their mean; a sound that has fewer
            repeats its last. Log-mel features take the mean power over them.
        num_mels: int, mel bands.
        num_mfccs: int, coefficients of `"mfcc"`.
        frame_length: float, seconds that a log-mel or MFCC step looks at.
        frame_step: float, seconds from one step to the next.

    Reference:
        Davis and Mermelstein 1980, "Comparison of Parametric Representations
        for Monosyllabic Word Recognition in Continuously Spoken Sentences".
    """

    kind = "sequence"
    is_file = True

    def __init__(
        self,
        duration=5.0,
        sampling_rate=16000,
        features="log_mel",
        num_channels=1,
        num_mels=64,
        num_mfccs=20,
        frame_length=0.025,
        frame_step=0.01,
    ):
        if features not in ("log_mel", "mfcc", "waveform"):
            raise ValueError(
                "`features` must be 'log_mel', 'mfcc' or 'waveform'. "
                f"Received: features={features!r}"
            )
        if not MIN_RATE <= sampling_rate <= MAX_RATE:
            raise ValueError(
                f"`sampling_rate` must lie between {MIN_RATE} and {MAX_RATE}. "
                f"Received: sampling_rate={sampling_rate}"
            )
        if not 1 <= num_channels <= MAX_CHANNELS:
            raise ValueError(
                f"`num_channels` must lie between 1 and {MAX_CHANNELS}. "
                f"Received: num_channels={num_channels}"
            )
        most = num_mels if features == "mfcc" else math.inf
        if num_mels < 1 or not 1 <= num_mfccs <= most:
            raise ValueError(
                "`num_mels` must be positive and `num_mfccs` at most as large. "
                f"Received: num_mels={num_mels}, num_mfccs={num_mfccs}"
            )
        for name, seconds in (
            ("duration", duration),
            ("frame_length", frame_length),
            ("frame_step", frame_step),
        ):
            if not 1 <= seconds * sampling_rate < math.inf:
                raise ValueError(
                    f"`{name}` is in seconds and must hold at least one sample. "
                    f"Received: {name}={seconds}"
                )
        self.duration = float(duration)
        self.sampling_rate = int(sampling_rate)
        self.features = features
        self.num_channels = num_channels
        self.num_mels = num_mels
        self.num_mfccs = num_mfccs
        self.frame_length = frame_length
        self.frame_step = frame_step

    @property
    def default_encoder(self):
        """What the builder takes when no encoder is named."""
        is_waveform = self.features == "waveform"
        return "waveform_cnn" if is_waveform else "spectrogram_cnn"

    @property
    def num_samples(self):
        """Samples of the longest sound."""
        return round(self.duration * self.sampling_rate)

    @property
    def shape(self):
        """`(steps, channels)` of one sound's tensor."""
        if self.features == "waveform":
            return (self.num_samples, self.num_channels)
        steps = -(-self.num_samples // round(self.frame_step * self.sampling_rate))
        return (steps, self.num_mels if self.features == "log_mel" else self.num_mfccs)

    def to_raw(self, column, name="column", base_dir=None, bad="error"):
        """Sounds -> object array of bytes of WAV files, or of their paths (`str`).

        A column that holds only paths of WAV files that TensorFlow reads stays
        a column of paths. Arrays are `(samples,)` or `(samples, channels)`,
        floats from -1 to 1 or `int16`. Headers are checked, so that a text
        file, a truncated or an empty sound is found before training starts.
        """
        return files_to_raw(column, name, base_dir, bad, "sound", self._to_wav)

    def _to_wav(self, cell):
        if isinstance(cell, (str, bytes)):
            return to_wav(cell, self.duration)
        return samples_to_wav(cell, self.sampling_rate)

    def decode(self, raw):
        """WAV files `(batch,)` -> `(features, ok)`.

        A sound that cannot be read costs only its own row: its `ok` is False
        and its features are NaN.

        Returns:
            `float32` tensor `(batch, steps, channels)`, NaN behind the end,
            and `bool` tensor `(batch,)`.
        """
        return decode_each(raw, self.decode_one, self._blank())

    def decode_one(self, encoded):
        """One WAV file, scalar string, or its samples -> `float32` features.

        Features are smaller than samples, and need not be computed again in
        every epoch. Raises `tf.errors.InvalidArgumentError` if the sound cannot
        be read; an empty string gives NaN.
        """
        import tensorflow as tf

        if encoded.dtype == tf.string:
            features = tf.cond(
                encoded == "",
                self._blank,
                lambda: self._features(self._decode_wav(encoded)),
            )
        else:
            samples = tf.cast(encoded, tf.float32)
            if encoded.dtype.is_integer:
                samples /= 2.0**15
            samples = tf.where(tf.math.is_finite(samples), samples, 0.0)
            if samples.shape.rank == 1:
                samples = samples[:, tf.newaxis]
            features = self._features(self._mix(samples[: self.num_samples]))
        return tf.ensure_shape(features, self.shape)

    def _blank(self):
        import tensorflow as tf

        return tf.fill(self.shape, np.nan)

    def _decode_wav(self, encoded):
        import tensorflow as tf

        samples, rate = tf.audio.decode_wav(encoded)
        is_sound = (rate >= MIN_RATE) & (rate <= MAX_RATE) & (tf.size(samples) > 0)
        check = tf.debugging.Assert(is_sound, ["no samples, or a silly rate"])
        with tf.control_dependencies([check]):
            rate = tf.cast(rate, tf.float64)
        # What is cut off must cost nothing more.
        limit = tf.cast(tf.math.ceil(self.duration * rate), tf.int32)
        samples = self._mix(samples[:limit])
        samples = tf.cond(
            rate == self.sampling_rate,
            lambda: samples,
            lambda: resample(samples, self.sampling_rate / rate),
        )
        return samples[: self.num_samples]

    def _mix(self, samples):
        import tensorflow as tf

        if self.num_channels == 1:
            return tf.reduce_mean(samples, axis=1, keepdims=True)
        last = tf.shape(samples)[1] - 1
        places = tf.minimum(tf.range(self.num_channels), last)
        return tf.gather(samples, places, axis=1)

    def _features(self, samples):
        """Samples `(samples, channels)` -> features, NaN behind the end."""
        import tensorflow as tf

        if self.features == "waveform":
            features = samples
        else:
            features = self._log_mel(samples)
        if self.features == "mfcc":
            features = tf.signal.mfccs_from_log_mel_spectrograms(features)
            features = features[:, : self.num_mfccs]
        left = self.shape[0] - tf.shape(features)[0]
        return tf.pad(features, [[0, left], [0, 0]], constant_values=np.nan)

    def _log_mel(self, samples):
        """Samples -> logarithm of mel power, 0 for silence, 1 for a loud sine."""
        import tensorflow as tf

        length = round(self.frame_length * self.sampling_rate)
        # Twice as many bins as the frame gives, so that no mel band is empty.
        size = 2 ** math.ceil(math.log2(2 * length))
        spectrum = tf.signal.stft(
            tf.transpose(samples),
            length,
            round(self.frame_step * self.sampling_rate),
            size,
            window_fn=tf.signal.hann_window,
            pad_end=True,
        )
        # The peak of a sine of amplitude 1 is half the sum of the window.
        power = tf.square(tf.abs(spectrum) * (4.0 / length))
        power = tf.reduce_mean(power, axis=0)
        bands = tf.signal.linear_to_mel_weight_matrix(
            self.num_mels,
            size // 2 + 1,
            self.sampling_rate,
            lower_edge_hertz=20.0,
            upper_edge_hertz=self.sampling_rate / 2,
        )
        mel = tf.maximum(tf.matmul(power, bands), _FLOOR)
        return 1.0 - tf.math.log(mel) / math.log(_FLOOR)

    def finish(self, compact):
        """`(features, ok)` -> `float32` tensor `(batch, steps, channels)`."""
        import tensorflow as tf

        features, ok = compact
        return tf.where(tf.reshape(ok, [-1, 1, 1]), features, np.nan)

    def sample(self, random, bad=False):
        """A sine with noise as a short WAV file; some other bytes when `bad`."""
        if bad:
            return b"no sound at all"
        rate = int(random.choice([self.sampling_rate, 8000, 22050]))
        seconds = min(0.3, self.duration) * random.uniform(0.5, 1.0)
        time = np.arange(max(2, round(seconds * rate))) / rate
        sine = 0.5 * np.sin(2 * np.pi * random.uniform(100, 400) * time)
        samples = sine + random.normal(scale=0.05, size=len(time))
        return encode_samples(array_samples(np.clip(samples, -1, 1)), rate)

    def request_value(self):
        """What a row of a request holds, in words."""
        return (
            "a WAV file of 16 bits a sample, of any length and rate, as "
            '`{"b64": "<base64>"}`'
        )

    def describe(self):
        """One line for people."""
        words = {
            "log_mel": f"{self.num_mels} log-mel bands",
            "mfcc": f"{self.num_mfccs} MFCCs",
            "waveform": f"waveform, channels: {self.num_channels}",
        }[self.features]
        return f"Audio, {self.duration:g} s at {self.sampling_rate} Hz, {words}"

    def get_config(self):
        """The constructor's arguments."""
        return {
            "duration": self.duration,
            "sampling_rate": self.sampling_rate,
            "features": self.features,
            "num_channels": self.num_channels,
            "num_mels": self.num_mels,
            "num_mfccs": self.num_mfccs,
            "frame_length": self.frame_length,
            "frame_step": self.frame_step,
        }


def resample(samples, ratio):
    """Samples `(samples, channels)` -> `ratio` times as many, in the graph.

    The spectrum is cut off or filled up with zeros (the Fourier method), as
    `scipy.signal.resample` does.

    Args:
        samples: `float32` tensor `(samples, channels)`.
        ratio: `float64` scalar tensor.
    """
    import tensorflow as tf

    old = tf.shape(samples)[0]
    new = tf.cast(tf.round(tf.cast(old, tf.float64) * ratio), tf.int32)
    new = tf.maximum(new, 1)
    spectrum = tf.signal.rfft(tf.transpose(samples))
    # The highest frequency of an even length stands for itself and its mirror
    # image: one of them is lost in a shorter sound, or halves in a longer one.
    shorter = tf.minimum(old, new)
    spectrum = spectrum[:, : shorter // 2 + 1]
    highest = tf.where(new < old, 2.0, tf.where(new > old, 0.5, 1.0))
    highest = tf.where(shorter % 2 == 0, highest, 1.0)
    scale = tf.concat([tf.ones([shorter // 2]), highest[tf.newaxis]], 0)
    spectrum *= tf.cast(scale, tf.complex64)
    resampled = tf.transpose(tf.signal.irfft(spectrum, [new]))
    return resampled * tf.cast(new, tf.float32) / tf.cast(old, tf.float32)


def is_sound(start):
    """Whether a file's first 12 bytes are those of a sound."""
    if start[:4] == b"RIFF":
        return start[8:12] == b"WAVE"
    # An MP3 file without a title begins with a frame of MPEG layer 3.
    is_mp3 = start[:1] == b"\xff" and start[1:2] and start[1] & 0xE6 == 0xE2
    return bool(is_mp3) or start.startswith(_OTHERS)


def to_wav(source, duration=None):
    """A sound's bytes or path -> what TensorFlow decodes: WAV bytes or the path.

    WAV files of 16 bits a sample come back as they are, after a look at the
    header; all others are converted.

    Args:
        source: bytes of an encoded sound, or its path.
        duration: float, seconds that are converted; all if not given.
    """
    header = read_header(source)
    if header is not None and header["is_plain"]:
        return source
    if header is None:
        samples, rate = _read_other(source, duration)
    else:
        samples, rate = _read_wav(source, header, duration), header["rate"]
    return encode_samples(samples, rate)


def length_and_rate(source):
    """Seconds and sampling rate of a sound, from its header."""
    header = read_header(source)
    if header is not None:
        return header["frames"] / header["rate"], header["rate"]
    with _open_other(source) as sound:
        return sound.frames / sound.samplerate, sound.samplerate


def _open(source):
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not os.path.isfile(source):
        raise ValueError("no such file")
    return open(source, "rb")


def read_header(source):
    """What a WAV file's header says, checked; None for compressed sounds.

    Args:
        source: bytes of an encoded sound, or its path.

    Returns:
        dict: `rate`, `channels`, `bits`, `is_float`, `frames` (samples of a
        channel), `start` (where they begin) and `is_plain`, whether TensorFlow
        decodes it.
    """
    with _open(source) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if size == 0:
            raise ValueError("empty file")
        if size > MAX_BYTES:
            raise ValueError(f"{size} bytes are too many")
        start = file.read(12)
        if not is_sound(start):
            raise ValueError("not a sound, or a broken header")
        if start[:4] != b"RIFF":
            return None
        form, padded = None, False
        while True:
            head = file.read(8)
            if len(head) < 8:
                raise ValueError("a truncated WAV file: there are no samples in it")
            kind, length = struct.unpack("<4sI", head)
            if kind == b"data":
                break
            if kind == b"fmt ":
                form = file.read(min(length, 40))
                length -= len(form)
            # Chunks have even lengths, but TensorFlow does not know.
            padded |= length % 2 == 1
            file.seek(length + length % 2, io.SEEK_CUR)
        begin = file.tell()
    if form is None or len(form) < 16:
        raise ValueError("a WAV file that does not say what its samples are")
    code, channels, rate, bytes_a_second, block, bits = struct.unpack(
        "<HHIIHH", form[:16]
    )
    is_extended = code == 0xFFFE and len(form) >= 26
    if is_extended:
        code = int.from_bytes(form[24:26], "little")
    if not (1 <= channels <= MAX_CHANNELS and MIN_RATE <= rate <= MAX_RATE):
        raise ValueError(f"{channels} channels at {rate} Hz")
    if length > size - begin:
        raise ValueError(
            f"a truncated WAV file: {length} bytes of sound are announced, "
            f"{size - begin} are there"
        )
    known = (code == 1 and bits in (8, 16, 24, 32)) or (code == 3 and bits in (32, 64))
    if not known:
        return None
    frames = length // (channels * bits // 8)
    if not frames:
        raise ValueError("a WAV file without samples")
    is_plain = code == 1 and bits == 16 and not is_extended and not padded
    return {
        "rate": rate,
        "channels": channels,
        "bits": bits,
        "is_float": code == 3,
        "frames": frames,
        "start": begin,
        "is_plain": is_plain
        and len(form) in (16, 18)
        and block == 2 * channels
        and bytes_a_second == rate * block,
    }


def _read_wav(source, header, duration):
    """Samples of a WAV file of 8, 16, 24, 32 or 64 bits -> `int16`."""
    bits, channels = header["bits"], header["channels"]
    frames = _frames(header["frames"], header["rate"], duration)
    with _open(source) as file:
        file.seek(header["start"])
        data = file.read(frames * channels * bits // 8)
    if header["is_float"]:
        samples = np.frombuffer(data, f"<f{bits // 8}")
        samples = _from_floats(np.nan_to_num(samples, posinf=1.0, neginf=-1.0))
    elif bits == 8:
        # Bytes are unsigned, with silence at 128.
        samples = (np.frombuffer(data, "u1").astype("int16") - 128) * 256
    else:
        # The two highest bytes of each sample.
        samples = np.frombuffer(data, "u1").reshape(-1, bits // 8)[:, -2:]
        samples = np.ascontiguousarray(samples).view("<i2")
    return samples.reshape(-1, channels)


def _open_other(source):
    try:
        import soundfile
    except ImportError as error:
        raise missing_extra("soundfile", "audio") from error
    try:
        sound = soundfile.SoundFile(
            io.BytesIO(source) if isinstance(source, bytes) else source
        )
    except RuntimeError as error:
        raise ValueError(f"a sound that cannot be read: {error}") from error
    rate, channels = sound.samplerate, sound.channels
    if not (1 <= channels <= MAX_CHANNELS and MIN_RATE <= rate <= MAX_RATE):
        raise ValueError(f"{channels} channels at {rate} Hz")
    return sound


def _read_other(source, duration):
    """Samples as `int16`, and their rate, of any format that soundfile reads."""
    with _open_other(source) as sound:
        frames = _frames(sound.frames, sound.samplerate, duration)
        try:
            samples = sound.read(frames, "int16", always_2d=True)
        except RuntimeError as error:
            raise ValueError(f"a sound that cannot be read: {error}") from error
        if not len(samples):
            raise ValueError("a sound without samples")
        return samples, sound.samplerate


def _frames(frames, rate, duration):
    return frames if duration is None else min(frames, math.ceil(duration * rate))


def has_samples(cell):
    """Whether a cell is a sound as data sets of Hugging Face hold it decoded."""
    return isinstance(cell, dict) and {"array", "sampling_rate"} <= cell.keys()


def samples_to_wav(cell, rate=None):
    """Samples, or `{"array": samples, "sampling_rate": rate}` -> WAV bytes."""
    if has_samples(cell):
        cell, rate = cell["array"], int(cell["sampling_rate"])
        if not MIN_RATE <= rate <= MAX_RATE:
            raise ValueError(f"{rate} samples a second")
    return encode_samples(array_samples(cell), rate)


def array_samples(array):
    """Samples `(samples,)` or `(samples, channels)` -> `int16`, two axes.

    Floats are -1..1, integers those of 16 bits.
    """
    array = np.asarray(array)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not 1 <= array.shape[1] <= MAX_CHANNELS or not len(array):
        raise ValueError(
            f"an array of shape {array.shape} is no sound, (samples, channels)"
        )
    if array.dtype.kind == "f":
        # NaN is not in this range either.
        if not (array.min() >= -1 and array.max() <= 1):
            raise ValueError("samples that are floats must lie between -1 and 1")
        return _from_floats(array)
    if array.dtype not in ("int16", "int32", "int64"):
        raise ValueError(f"an array of dtype {array.dtype} is no sound")
    if array.min() < -(2**15) or array.max() >= 2**15:
        raise ValueError("samples that are integers must fit into 16 bits")
    return array.astype("int16")


def _from_floats(samples):
    return np.clip(np.round(samples * 2.0**15), -(2**15), 2**15 - 1).astype("int16")


def encode_samples(samples, rate):
    """`int16` samples `(samples, channels)` -> bytes of a WAV file."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return stream.getvalue()
