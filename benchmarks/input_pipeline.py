"""JPEG files to shuffled batches, against a bare `tf.data` map; memory, too.

    python benchmarks/input_pipeline.py

5,000 JPEG files of 256 pixels become batches of 96 pixels. The rival is
`list of paths -> shuffle -> map(read, decode_jpeg, resize) -> batch`. Memory is
measured in processes of their own with 1,000 and 20,000 rows.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import io
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
from PIL import Image as Pillow

FILES, SIDE, SIZE, BATCH = 5000, 256, 96, 32


def write_files(folder, count):
    """Clip art, enlarged to 256 pixels: real pictures, not noise."""
    import keras_mm

    pictures = keras_mm.data.clipart().image
    paths = []
    for index in range(count):
        path = os.path.join(folder, f"{index}.jpg")
        picture = Pillow.open(io.BytesIO(pictures[index % len(pictures)]))
        picture.convert("RGB").resize((SIDE, SIDE)).save(path, quality=90)
        paths.append(path)
    return paths


def table_of(paths, rows):
    chosen = [paths[index % len(paths)] for index in range(rows)]
    return pd.DataFrame({"image": chosen, "label": np.arange(rows) % 10})


def schema_of(table):
    import keras_mm

    return keras_mm.Schema(
        {"image": keras_mm.Image((SIZE, SIZE))}, {"label": keras_mm.ClassLabel()}
    ).adapt(table)


def ours(table, schema):
    import keras_mm.data.dataset as dataset

    # The table would fit in memory once decoded; here decoding is measured.
    dataset.MEMORY_LIMIT = 0
    return dataset.to_dataset(table, schema, BATCH, shuffle=True, seed=0)


def bare(table):
    import tensorflow as tf

    def load(path, label):
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(pixels, (SIZE, SIZE)) / 255.0, label

    data = tf.data.Dataset.from_tensor_slices((table.image.tolist(), table.label))
    data = data.shuffle(len(table), seed=0)
    data = data.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return data.batch(BATCH).prefetch(tf.data.AUTOTUNE)


def pictures_per_second(data, count):
    started = time.perf_counter()
    for _ in data:
        pass
    return count / (time.perf_counter() - started)


def memory(folder, rows):
    """Peak memory in MB of a process that reads `rows` rows twice."""
    command = [sys.executable, __file__, "--memory", folder, str(rows)]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


def main(rounds=5):
    if "--memory" in sys.argv:
        folder, rows = sys.argv[2], int(sys.argv[3])
        paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
        table = table_of(paths, rows)
        data = ours(table, schema_of(table))
        for _ in range(2):
            pictures_per_second(data, rows)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(folder, FILES)
        table = table_of(paths, FILES)
        schema = schema_of(table)
        started = time.perf_counter()
        data = ours(table, schema)
        checked = time.perf_counter() - started
        rivals = {"keras_mm": data, "bare tf.data": bare(table)}
        speeds = {name: [] for name in rivals}
        for _ in range(rounds):
            for name, rival in rivals.items():
                speeds[name].append(pictures_per_second(rival, FILES))
        ratios = [a / b for a, b in zip(*speeds.values())]
        for name, values in speeds.items():
            print(f"{name}: {statistics.median(values):.0f} pictures/s")
        print(
            f"keras_mm / bare tf.data: {statistics.median(ratios):.3f} (lowest "
            f"{min(ratios):.3f}, highest {max(ratios):.3f}, {rounds} pairs)"
        )
        print(f"checking {FILES} headers beforehand: {checked:.2f} s, once")
        for rows in (1000, 20000):
            print(f"peak memory with {rows} rows: {memory(folder, rows):.0f} MB")


if __name__ == "__main__":
    main()
