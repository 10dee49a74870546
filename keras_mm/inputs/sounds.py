"""Sound files -> 16-bit WAV files, which TensorFlow decodes."""

import io
import math
import os
import struct
import wave

import numpy as np

from ..errors import missing_extra
from .wav import is_unknown

# Limits of what a header may claim. The graph checks the rate, too: otherwise a
# request could take any amount of memory and time.
MIN_RATE, MAX_RATE = 1_000, 384_000
MAX_CHANNELS = 32
MAX_BYTES = 2**30
# First bytes of formats other than WAV: FLAC, OGG, MP3 with ID3, AIFF, CAF, AU.
_OTHERS = (b"fLaC", b"OggS", b"ID3", b"FORM", b"caff", b".snd")


def is_sound(start):
    """Whether the first 12 bytes of a file are those of a sound."""
    if start[:4] == b"RIFF":
        return start[8:12] == b"WAVE"
    # An MP3 file without an ID3 tag begins with a frame of MPEG layer 3.
    is_mp3 = start[:1] == b"\xff" and start[1:2] and start[1] & 0xE6 == 0xE2
    return bool(is_mp3) or start.startswith(_OTHERS)


def to_wav(source, duration=None):
    """A sound's bytes or path -> WAV bytes, or a path, that TensorFlow decodes.

    16-bit WAV files are returned unchanged, after a check of the header; all others
    are converted.

    Args:
        source: bytes of an encoded sound, or its path.
        duration: float, seconds that are converted; None: all.
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
    """The checked header of a WAV file; None for compressed sounds.

    Args:
        source: bytes of an encoded sound, or its path.

    Returns:
        dict: `rate`, `channels`, `bits`, `is_float`, `frames` (samples per channel),
        `start` (offset of the samples) and `is_plain` (whether TensorFlow decodes
        it).
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
        riff = int.from_bytes(start[4:8], "little")
        form, padded = None, False
        while True:
            head = file.read(8)
            if len(head) < 8:
                raise ValueError("a truncated WAV file: it holds no samples")
            kind, length = struct.unpack("<4sI", head)
            if kind == b"data":
                break
            if kind == b"fmt ":
                form = file.read(min(length, 40))
                length -= len(form)
            # Chunks are padded to even lengths, which TensorFlow ignores.
            padded |= length % 2 == 1
            file.seek(length + length % 2, io.SEEK_CUR)
        begin = file.tell()
    if form is None or len(form) < 16:
        raise ValueError("a WAV file without a format chunk")
    code, channels, rate, bytes_a_second, block, bits = struct.unpack(
        "<HHIIHH", form[:16]
    )
    is_extended = code == 0xFFFE and len(form) >= 26
    if is_extended:
        code = int.from_bytes(form[24:26], "little")
    if not (1 <= channels <= MAX_CHANNELS and MIN_RATE <= rate <= MAX_RATE):
        raise ValueError(f"{channels} channels at {rate} Hz")
    left = size - begin
    if is_unknown(length, riff, begin) and left > 0:
        length = left
    if length > left:
        raise ValueError(
            f"a truncated WAV file: {length} bytes of sound are announced, "
            f"{left} are present"
        )
    is_pcm = code == 1 and bits in (8, 16, 24, 32)
    if not (is_pcm or (code == 3 and bits in (32, 64))):
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
    """Samples of a WAV file of 8 to 64 bits per sample -> `int16`."""
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
    """Whether a cell is a decoded sound as Hugging Face datasets hold it."""
    return isinstance(cell, dict) and {"array", "sampling_rate"} <= cell.keys()


def samples_to_wav(cell, rate=None):
    """Samples, or `{"array": samples, "sampling_rate": rate}` -> WAV bytes."""
    if has_samples(cell):
        cell, rate = cell["array"], int(cell["sampling_rate"])
        if not MIN_RATE <= rate <= MAX_RATE:
            raise ValueError(f"{rate} samples per second")
    return encode_samples(array_samples(cell), rate)


def array_samples(array):
    """Samples `(samples,)` or `(samples, channels)` -> `int16`, two axes.

    Floats are from -1 to 1, integers in the range of 16 bits.
    """
    array = np.asarray(array)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not 1 <= array.shape[1] <= MAX_CHANNELS or not len(array):
        raise ValueError(
            f"an array of shape {array.shape} is not a sound, (samples, channels)"
        )
    if array.dtype.kind == "f":
        # False for NaN, too.
        if not (array.min() >= -1 and array.max() <= 1):
            raise ValueError("samples that are floats must lie between -1 and 1")
        return _from_floats(array)
    if array.dtype not in ("int16", "int32", "int64"):
        raise ValueError(f"an array of dtype {array.dtype} is not a sound")
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
