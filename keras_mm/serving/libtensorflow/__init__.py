"""Runs a SavedModel in the C++ runtime that TF Serving uses, without Python TensorFlow.

What loads is not what runs: a model with a `py_function` loads anywhere and
runs only inside the Python process that made it. TF Serving is C++ over
libtensorflow, and the tensorflow wheel carries that library. This package opens
it with `ctypes`, loads a version directory and runs one signature. It is a
part of keras_mm and a program of its own: it imports NumPy and the standard library,
and never tensorflow, keras or the rest of keras_mm, which would bring the Python
kernels along.

    python libtensorflow MODEL_VERSION_DIR --list
    python libtensorflow MODEL_VERSION_DIR SIGNATURE INPUTS.npz OUTPUTS.npz

The last line on the standard output is JSON: the signatures, the outputs'
dtypes and shapes, or `{"error": ..., "message": ...}` with exit status 1.
"""

from .arrays import load_arrays, save_arrays
from .dtypes import DTYPES
from .session import run_saved_model
from .signatures import read_signatures

__all__ = [
    "DTYPES",
    "load_arrays",
    "read_signatures",
    "run_saved_model",
    "save_arrays",
]
