"""WAV files to batches, against bare decoding, and against TensorFlow by hand.

    python benchmarks/sound_pipeline.py

2,000 WAV files of 2 seconds, half of them at 16 kHz and half at 22.05 kHz. The
rivals are `tf.data` maps of the same files: one decodes and does no more, not
even resampling; one makes log-mel features with `tf.signal`, of the sounds that
need no resampling. Peak memory of an epoch is measured in processes of their
own.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
import tensorflow as tf
from scipy.io import wavfile

import keras_mm

FILES, SECONDS, RATE, OTHER_RATE, BATCH = 2000, 2, 16000, 22050, 32
MELS, FRAME, STEP = 64, 400, 160


def write_files(folder, rate):
    """Paths of noise that fades: what is heard does not matter here."""
    random = np.random.default_rng(rate)
    paths = []
    for number in range(FILES // 2):
        samples = random.normal(size=SECONDS * rate) * np.linspace(
            0.3, 0, SECONDS * rate
        )
        path = os.path.join(folder, f"{rate}_{number}.wav")
        wavfile.write(path, rate, (samples * 20000).astype("int16"))
        paths.append(path)
    return paths


def ours(paths, features):
    table = pd.DataFrame({"sound": paths, "label": np.arange(len(paths)) % 2})
    sound = keras_mm.Audio(SECONDS, RATE, features, num_mels=MELS)
    schema = keras_mm.Schema({"sound": sound}, {"label": keras_mm.ClassLabel()})
    return keras_mm.data.to_dataset(table, schema.adapt(table), BATCH)


def bare(paths, features):
    to_mels = tf.signal.linear_to_mel_weight_matrix(MELS, 257, RATE, 20.0, RATE / 2)

    def decode(path):
        samples, _ = tf.audio.decode_wav(tf.io.read_file(path), desired_channels=1)
        if not features:
            return samples[:, 0]
        power = tf.abs(tf.signal.stft(samples[:, 0], FRAME, STEP, 512)) ** 2
        return tf.math.log(power @ to_mels + 1e-8)

    data = tf.data.Dataset.from_tensor_slices(paths)
    data = data.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return data.batch(BATCH).prefetch(tf.data.AUTOTUNE)


def compare(ours, rival, count, rounds=5):
    """Sounds a second of both, in turn."""
    speeds = []
    for data in (ours, rival):
        sum(1 for _ in data)
    for _ in range(rounds):
        pair = []
        for data in (ours, rival):
            started = time.perf_counter()
            for _ in data:
                pass
            pair.append(count / (time.perf_counter() - started))
        speeds.append(pair)
    ratios = [a / b for a, b in speeds]
    first, second = (statistics.median(side) for side in zip(*speeds))
    return (
        f"{first:.0f} against {second:.0f} sounds/s: {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}, {rounds} pairs)"
    )


def peak_memory(paths, features):
    for _ in ours(paths, features):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main():
    with tempfile.TemporaryDirectory() as folder:
        # Ours keeps a small table in memory once read; here reading counts.
        keras_mm.data.dataset.MEMORY_LIMIT = 0
        same, other = write_files(folder, RATE), write_files(folder, OTHER_RATE)
        for name, paths, features, hand in [
            ("waveform / bare decoding, 16 kHz", same, "waveform", None),
            ("waveform / bare decoding, 22.05 kHz", other, "waveform", None),
            ("log-mel / tf.signal by hand, 16 kHz", same, "log_mel", True),
            ("log-mel / bare decoding, 22.05 kHz", other, "log_mel", None),
        ]:
            line = compare(ours(paths, features), bare(paths, hand), len(paths))
            print(f"{name}: {line}", flush=True)
        for count in (200, len(same)):
            command = [sys.executable, __file__, folder, str(count)]
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout
            print(f"peak memory, {count} sounds as log-mel: {output.split()[-1]} MB")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        keras_mm.data.dataset.MEMORY_LIMIT = 0
        files = [
            os.path.join(sys.argv[1], f"{RATE}_{number}.wav")
            for number in range(int(sys.argv[2]))
        ]
        peak_memory(files, "log_mel")
    else:
        main()
