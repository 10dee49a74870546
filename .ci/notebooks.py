"""Runs every notebook with a part of the rows and of the epochs.

`python .ci/notebooks.py [NAME ...]` shows that each cell still works; `.ci/full`
executes the notebooks as readers see them. All run in one process, so that
TensorFlow starts once.
"""

import functools
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

os.environ["MPLBACKEND"] = "agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
import pandas  # noqa: E402

import keras_mm  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Of clip art all rows to test on, and about so many others of each class; so many
# epochs and batches of each training.
ROWS, EPOCHS, BATCHES = 40, 1, 3


def shorten():
    """Makes trainings and the bundled data set short."""
    fit, clipart = keras.Model.fit, keras_mm.data.clipart

    @functools.wraps(fit)
    def short_fit(self, x=None, *args, epochs=1, **kwargs):
        if hasattr(x, "take") and hasattr(x, "element_spec"):
            x = x.take(BATCHES)
        return fit(self, x, *args, epochs=min(epochs, EPOCHS), **kwargs)

    def short_clipart():
        table = clipart()
        is_test = table["split"] == "test"
        classes = table[~is_test].groupby("category", sort=False)
        parts = [rows.iloc[:: max(1, len(rows) // ROWS)] for _, rows in classes]
        parts.append(table[is_test])
        return pandas.concat(parts).sort_index().reset_index(drop=True)

    keras.Model.fit = short_fit
    keras_mm.data.clipart = short_clipart


def run(path):
    """Runs one notebook; returns whether it ended, and prints its seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    keras.utils.clear_session()
    code = compile(path.read_text(), str(path), "exec")
    failed = None
    try:
        exec(code, {"__name__": "__main__"})
    except Exception:
        failed = traceback.format_exc()
    plt.close("all")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{wall:6.1f} s wall {cpu:6.1f} s CPU  {path.name}", flush=True)
    if failed:
        print(failed, flush=True)
    return not failed


def main():
    # A copy, for notebooks that write files, beside the data of benchmarks.
    with tempfile.TemporaryDirectory() as folder:
        for name in ("notebooks", "benchmarks"):
            shutil.copytree(ROOT / name, os.path.join(folder, name))
        os.chdir(os.path.join(folder, "notebooks"))
        sys.path.insert(0, "")
        shorten()
        paths = sorted(pathlib.Path(".").glob("[0-9]*.py"))
        wanted = sys.argv[1:]
        results = [
            run(path)
            for path in paths
            if not wanted or any(part in path.name for part in wanted)
        ]
    print(f"notebooks: {sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()
