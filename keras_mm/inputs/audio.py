import math

import keras
import numpy as np

from ..deprecated import renamed
from .files import decode_each, files_to_raw
from .input import Input
from .sounds import (
    MAX_CHANNELS,
    MAX_RATE,
    MIN_RATE,
    array_samples,
    encode_samples,
    samples_to_wav,
    to_wav,
)
from .wav import decode_wav, resample

# Mel power below 80 dB under a full-scale sine counts as silence.
_FLOOR = 1e-8


@keras.saving.register_keras_serializable(package="keras_mm")
class Audio(Input):
    """A column of sounds: file paths, encoded bytes or arrays of samples.

    Arrays are taken to have the input's own sampling rate; a dict `{"array": ...,
    "sampling_rate": ...}` has its own rate.

    The first `duration` seconds are read, mixed down, resampled and turned into
    features. The tensor is a sequence of steps, NaN after the end of the sound; a
    missing sound is all NaN. The raw form is a WAV file of 16 bits per sample;
    other WAV files are converted when a table is read, FLAC, OGG and MP3 files
    by the `soundfile` package (`pip install "keras_mm[audio]"`).

    Examples:

    >>> sound = keras_mm.Audio(duration=1)
    >>> sound.preprocess([open("bird.wav", "rb").read(), b""]).shape
    TensorShape([2, 100, 64])

    Args:
        duration: float, seconds that are read; the rest is cut off.
        sampling_rate: int, samples per second of the tensor; files of other
            rates are resampled. Arrays are taken to have this rate already.
        features: what a step holds: `"log_mel"`, the logarithm of the power in
            mel bands, 0 for silence and 1 for the loudest sine; `"mfcc"`, the
            first mel-frequency cepstral coefficients of that; `"waveform"`,
            samples from -1 to 1, one for each channel.
        num_channels: int, 1 mixes all channels to their mean; a sound with
            fewer channels repeats its last one. Log-mel features are the mean
            power over the channels.
        num_mels: int, number of mel bands.
        num_mfccs: int, number of coefficients of `"mfcc"`.
        frame_length: float, window length of a log-mel or MFCC step, in seconds.
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
        """The encoder that is built when none is named."""
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

    @renamed(bad="on_unreadable")
    def to_raw(self, column, name="column", base_dir=None, on_unreadable="error"):
        """Sounds -> object array of bytes of WAV files, or of their paths (`str`).

        A column that holds only paths of WAV files that TensorFlow reads stays
        a column of paths. Arrays are `(samples,)` or `(samples, channels)`,
        floats from -1 to 1 or `int16`; Hugging Face's dicts `{"array": ...,
        "sampling_rate": ...}` and `{"bytes": ..., "path": ...}` are read, too.
        Headers are checked, so that text files, truncated and empty sounds are
        rejected before training starts.
        """
        return files_to_raw(
            column, name, base_dir, on_unreadable, "sound", self._to_wav
        )

    def _to_wav(self, cell):
        if isinstance(cell, (str, bytes)):
            return to_wav(cell, self.duration)
        return samples_to_wav(cell, self.sampling_rate)

    def decode(self, raw):
        """WAV files `(batch,)` -> `(features, ok)`.

        A sound that cannot be decoded affects only its own row: its `ok` is
        False and its features are NaN.

        Returns:
            `float32` tensor `(batch, steps, channels)`, NaN after the end,
            and `bool` tensor `(batch,)`.
        """
        return decode_each(raw, self.decode_one, self._blank())

    def decode_one(self, encoded):
        """One WAV file, scalar string, or its samples -> `float32` features.

        Features are smaller than samples, and are computed once, not in every
        epoch. Raises `tf.errors.InvalidArgumentError` if the sound cannot
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

        samples, rate = decode_wav(encoded)
        is_sound = (rate >= MIN_RATE) & (rate <= MAX_RATE) & (tf.size(samples) > 0)
        check = tf.debugging.Assert(
            is_sound, ["no samples, or an impossible sampling rate"]
        )
        with tf.control_dependencies([check]):
            rate = tf.cast(rate, tf.float64)
        # Nothing is computed for samples that are cut off.
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
        """Samples `(samples, channels)` -> features, NaN after the end."""
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
        """The value of one row in a request, in words."""
        return (
            "a WAV file of 16 bits per sample, of any length and rate, as "
            '`{"b64": "<base64>"}`; of FLAC, MP3 and others `_ok` is false'
        )

    def describe(self):
        """A one-line description."""
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
