"""Which files of the package run while an image cell goes from a table to an answer.

python benchmarks/walk.py
"""

import io
import pathlib
import sys
import tempfile
import threading

import numpy as np
import pandas as pd
from PIL import Image

import keras_mm

ROOT = f"{pathlib.Path(keras_mm.__file__).parent}/"


def make_table(rows=24):
    cells = []
    for value in np.random.default_rng(0).integers(0, 255, rows):
        file = io.BytesIO()
        Image.fromarray(np.full((16, 16, 3), value, "uint8")).save(file, "PNG")
        cells.append(file.getvalue())
    return pd.DataFrame({"image": cells, "label": ["a", "b"] * (rows // 2)})


def files_of(function):
    """The result of a function, and the set of files whose functions it called."""
    files = set()

    def profile(frame, event, _):
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(ROOT):
            files.add(name.removeprefix(ROOT))

    sys.setprofile(profile)
    threading.setprofile(profile)
    try:
        return function(), files
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def main():
    table, path = make_table(), tempfile.mkdtemp()
    inputs = {"image": keras_mm.Image((16, 16))}
    schema = keras_mm.Schema(inputs, {"label": keras_mm.ClassLabel()})
    _, learned = files_of(lambda: schema.adapt(table))
    model, built = files_of(lambda: keras_mm.build_classifier(schema))
    _, fitted = files_of(lambda: model.fit(table, epochs=1, verbose=0))
    _, predicted = files_of(lambda: model.predict(table, verbose=0))
    _, exported = files_of(lambda: keras_mm.export(model, path, verbose=False))
    served = keras_mm.load_exported(path)
    _, answered = files_of(lambda: served(table))
    steps = {
        "adapt": learned,
        "build": built,
        "fit": fitted,
        "predict": predicted,
        "export": exported,
        "answer": answered,
    }
    for step, files in steps.items():
        print(f"{step:<8}{len(files):>3}")
    every = set().union(*steps.values())
    print(f"{'all':<8}{len(every):>3}", *sorted(every), sep="\n  ")


if __name__ == "__main__":
    main()
