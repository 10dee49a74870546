"""Fits one method on one split, in a process of its own: `fit_one.py FOLDER`.

The folder holds `task.json`, `train.parquet`, `validation.parquet` and
`test.parquet` (without the target), and gets `predictions.npy` and `answer.json`:
seconds, processor seconds, megabytes on disk, and rows predicted in a second. The
interpreter may be another than the caller's, where a rival is installed apart.
"""

import json
import os
import pickle
import sys
import time


def megabytes(kept):
    """Size of a file or folder, or of objects when pickled."""
    if isinstance(kept, str):
        paths = [kept]
        if os.path.isdir(kept):
            paths = [os.path.join(f, n) for f, _, names in os.walk(kept) for n in names]
        return sum(map(os.path.getsize, paths)) / 1e6
    return len(pickle.dumps(kept)) / 1e6


def method_of(name):
    """The function `fit(task, train, validation)` of a method."""
    if name.startswith("keras_mm"):
        import ours

        return ours.OURS[name]
    import networks
    import rivals

    return {**rivals.RIVALS, **networks.NETWORKS}[name]


def main(folder):
    import numpy as np
    import pandas as pd

    with open(os.path.join(folder, "task.json"), encoding="utf-8") as file:
        task = json.load(file) | {"folder": folder}
    train, validation, test = (
        pd.read_parquet(os.path.join(folder, f"{part}.parquet"))
        for part in ("train", "validation", "test")
    )
    method = method_of(task["method"])
    started, processor = time.time(), time.process_time()
    predict, kept = method(task, train, validation)
    answer = {
        "seconds": time.time() - started,
        "processor_seconds": time.process_time() - processor,
        "megabytes": megabytes(kept),
    }
    started = time.time()
    predictions = np.asarray(predict(test), float)
    answer["rows_per_second"] = len(test) / (time.time() - started)
    np.save(os.path.join(folder, "predictions.npy"), predictions)
    with open(os.path.join(folder, "answer.json"), "w", encoding="utf-8") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
