"""Memory and time of requests that a stranger may send: huge pictures and texts.

    python benchmarks/request_limits.py

For each the graph of the input alone is run, as an exported model runs it, in
a process of its own after a small warm-up. Memory is what the process's peak
grew by.
"""

import io
import multiprocessing
import resource
import time

import numpy as np

SIDE = 8000


def text():
    """A text of 20 MB."""
    import keras_mm

    column = ["a red bird in the tree", "the blue car", "a house by the sea"] * 9
    words = keras_mm.Text().adapt(_column(column)).with_tokens("ngrams")
    return words, b"some words of no great worth " * (20 * 2**20 // 29)


def _column(cells):
    import pandas as pd

    return pd.Series(cells, dtype=object)


def _picture(mode, colour, format="PNG"):
    from PIL import Image as Pillow

    import keras_mm

    stream = io.BytesIO()
    Pillow.new(mode, (SIDE, SIDE), colour).save(stream, format)
    return keras_mm.Image(96), stream.getvalue()


def png():
    """A PNG of 8000 x 8000 pixels."""
    return _picture("RGB", (200, 10, 10))


def transparent_png():
    """A PNG of 8000 x 8000 half transparent pixels."""
    return _picture("RGBA", (200, 10, 10, 128))


def jpeg():
    """A JPEG of 8000 x 8000 pixels."""
    return _picture("RGB", (200, 10, 10), "JPEG")


def webp():
    """A WebP of 8000 x 8000 pixels."""
    return _picture("RGB", (200, 10, 10), "WEBP")


def gif():
    """A GIF of 8000 x 8000 pixels."""
    return _picture("P", 3, "GIF")


def bmp():
    """A BMP of 8000 x 8000 pixels of one bit."""
    return _picture("1", 1, "BMP")


def measure(make):
    """Prints bytes, peak memory and seconds of one request."""
    import tensorflow as tf

    value, encoded = make()
    run = tf.function(
        value.preprocess, input_signature=[value.serving_spec("raw")], autograph=False
    )
    run(tf.constant([value.sample(np.random.default_rng(0))]))
    encoded = tf.constant([encoded])
    # The peak that making the file took must not hide what reading it takes.
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before, cpu, start = _peak(), time.process_time(), time.perf_counter()
    run(encoded)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    grown = _peak() - before
    each = "" if make is text else f", {grown / SIDE**2:5.1f} bytes a pixel"
    size = len(encoded.numpy()[0]) / 2**20
    print(
        f"{make.__doc__:48} {size:6.2f} MB: {grown / 2**20:5.0f} MB of memory{each}, "
        f"{seconds:.2f} s, {cpu:.2f} CPU s"
    )


def _peak():
    try:
        with open("/proc/self/status") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    for make in (text, png, transparent_png, jpeg, webp, gif, bmp):
        process = multiprocessing.Process(target=measure, args=(make,))
        process.start()
        process.join()
