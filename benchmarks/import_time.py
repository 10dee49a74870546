"""`import keras_mm` against `import keras`: whole processes, in turn.

python benchmarks/import_time.py

In an environment of what `pip install .` brings. TensorFlow imports JAX where it is
installed; the times of that differ by more than this package's.
"""

import statistics
import subprocess
import sys
import time


def seconds(module):
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", f"import {module}"], check=True, capture_output=True
    )
    return time.perf_counter() - started


def main(runs=7):
    for module in ("keras", "keras_mm"):
        seconds(module)
    ratios, times = [], []
    for _ in range(runs):
        keras, keras_mm = seconds("keras"), seconds("keras_mm")
        ratios.append(keras_mm / keras)
        times.append((keras, keras_mm))
    print(f"import keras     {statistics.median(t[0] for t in times):.2f} s")
    print(f"import keras_mm  {statistics.median(t[1] for t in times):.2f} s")
    print(
        f"ratio            {statistics.median(ratios):.3f} "
        f"(lowest {min(ratios):.3f}, highest {max(ratios):.3f}, {runs} pairs)"
    )


if __name__ == "__main__":
    main()
