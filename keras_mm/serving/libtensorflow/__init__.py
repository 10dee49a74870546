"""Runs a SavedModel in the C++ runtime that TF Serving uses, without Python TensorFlow.

A model that loads may still fail to run: one with a `py_function` loads anywhere, but
runs only in the Python process that made it. TF Serving is built on libtensorflow, which
the tensorflow wheel contains. This package opens it with `ctypes`, loads a version
directory and runs one signature. It is a subpackage of keras_mm and also a standalone
program: it imports only NumPy and the standard library, never tensorflow, keras or the
rest of keras_mm, which would register Python kernels.

    python libtensorflow MODEL_VERSION_DIR --list
    python libtensorflow MODEL_VERSION_DIR SIGNATURE INPUTS.npz OUTPUTS.npz

The last line of the standard output is JSON: the signatures; or the outputs' dtypes and
shapes; or `{"error": ..., "message": ...}`, with exit status 1.
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
