import os
import shutil
import subprocess
import sys
import tempfile

import keras
import numpy as np

from ..data import Schema
from ..errors import warn
from .address import check_model_name
from .companions import move_companions, served_inputs, write_companions
from .libtensorflow import read_signatures
from .signatures import signatures
from .verify import verification_rows, verify

_IN_TENSORFLOW = """
import sys, keras, keras_mm
from keras_mm.serving.export import write_saved_model
from keras_mm.serving.search_index import SearchIndex
file, path, saved, k = sys.argv[1:]
model = keras.models.load_model(file)
index = SearchIndex.load(saved, model, approximate=False) if saved else None
write_saved_model(model, path, index, int(k))
"""


def export(model, path, rows=None, verbose=True, index=None, k=10):
    """Writes a model as a SavedModel that TF Serving answers from, and proves it.

    The model goes to `path/<version>`, the next free version number. It is
    written under another name, reloaded, and compared with the model on rows
    with every modality missing in turn and with unreadable pictures, every output
    of every signature; only then does it get its name, so that a server that watches the folder never sees
    half a model, or a wrong one.

    Columns of any name are called by `model.schema.served_names`.

    Signatures: `serving_default` takes raw values (encoded pictures, texts,
    numbers, names; `""` and NaN are missing) and gives class names and
    probabilities by name; `serving_tensors` takes what the model takes;
    `embed` and `embed_<modality>` give vectors; `explain` gives the fusion's
    weights where it has some. Of an autoencoder `serving_default` gives
    `<column>_embedding`, its code, and `embed` the same. Of a retriever it gives
    `<tower>_embedding` for each tower, and `embed_<tower>` one of them; with an
    index, `search` gives the `ids` and `scores` of the rows nearest to the sum of
    whatever a query has.

    A model of the JAX or torch backend is exported by a second process that
    runs Keras on TensorFlow.

    Examples:

    >>> path = keras_mm.export(model, "saved_models/birds")
    >>> path
    'saved_models/birds/1'

    Args:
        model: a model made by a builder.
        path: folder of the model; its name is the model's name in the server, of
            letters, digits, `_`, `.` and `-`.
        rows: a table to compare on, besides generated rows; or None.
        verbose: bool, whether to print what was verified.
        index: `SearchIndex` of a retriever, which is served with it; or None. The
            served search is exact, even where the index is approximate.
        k: int, how many rows `search` gives.

    Returns:
        string, the path of the version.

    Raises:
        RuntimeError: if the exported model answers differently.
        ValueError: if the model cannot be served, or not by that name.
    """
    if not isinstance(getattr(model, "schema", None), Schema):
        raise ValueError(
            "Only a model that was made by a builder can be exported: the schema "
            f"says what the raw inputs are. Received: model={model!r}"
        )
    if index is not None and (index.model is not model or not len(index) or k < 1):
        raise ValueError(
            "The index must be one of this very model, and hold rows: "
            "keras_mm.SearchIndex(model, tower). "
            f"Received: index of {len(index)} rows, k={k}"
        )
    if index is not None:
        index.check()
    path = os.fspath(path).rstrip("/")
    name = os.path.basename(os.path.abspath(path))
    check_model_name(name)
    os.makedirs(path, exist_ok=True)
    batching = os.path.join(path, "batching.config")
    had_batching = os.path.exists(batching)
    # A name that is no number is invisible to the server.
    staged = tempfile.mkdtemp(prefix=".export-", dir=path)
    try:
        version = os.path.join(staged, str(next_version(path)))
        if keras.backend.backend() == "tensorflow":
            write_saved_model(model, version, index, k)
        else:
            _write_in_tensorflow(model, version, index, k)
        requests = _requests(model.schema, version)
        write_companions(staged, name, version, model.schema, requests)
        report = verify(version, model, rows, index)
        final = os.path.join(path, str(next_version(path)))
        move_companions(staged, path)
        os.chmod(version, 0o755)
        os.rename(version, final)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    if had_batching and not os.path.exists(batching):
        warn(
            "Values of this version may have different lengths: start its server "
            "anew, without --enable_batching, as SERVING.md says."
        )
    if verbose:
        print(
            f"Exported to {final}: {report['rows']} rows compared with the model, "
            f"largest difference {report['largest_difference']:.1e}"
        )
        if not model.schema.is_adapted:
            print(
                "The schema has seen no table, so this export takes tensors, not "
                "raw values: model.schema.adapt(train) adds them."
            )
    return final


def write_saved_model(model, path, index=None, k=10):
    """Writes the SavedModel of a model that runs on TensorFlow."""
    import tensorflow as tf

    schema = model.schema
    if schema.is_adapted:
        # A lookup table is made when it is first needed, and must be there to
        # be tracked.
        raw = verification_rows(schema)
        for name, value in schema.inputs.items():
            value.decode_array(raw[name][:1])
    functions = {
        name: tf.function(
            function, input_signature=[specs], autograph=False
        ).get_concrete_function()
        for name, (function, specs) in signatures(model, index, k).items()
    }
    # Saved through `keras.export.ExportArchive` each function is traced twice.
    module = tf.Module()
    module.weights = list(
        {id(v): v for f in functions.values() for v in f.variables}.values()
    )
    module.tables = [t for value in schema.inputs.values() for t in value.tables]
    tf.saved_model.save(module, path, signatures=functions)


def _requests(schema, path):
    """Example rows for every signature that takes raw values."""
    signatures = read_signatures(path)
    random = np.random.default_rng(1)
    # One row of tensors is long enough.
    count = 2 if schema.is_adapted else 1
    rows = {
        name: value.raw_array([value.sample(random) for _ in range(count)])
        for name, value in served_inputs(schema, signatures).items()
    }
    return {
        name: {key: rows[key] for key in signature["inputs"]}
        for name, signature in signatures.items()
        if name != "serving_tensors"
    }


def next_version(path):
    """One more than the highest version in a model's folder."""
    versions = [int(name) for name in os.listdir(path) if name.isdigit()]
    return max(versions, default=0) + 1


def _write_in_tensorflow(model, path, index, k):
    """Saves the model and the index, and lets a process on TensorFlow export them."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "model.keras")
        model.save(file)
        saved = ""
        if index is not None:
            saved = os.path.join(folder, "index.parquet")
            index.save(saved)
        root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
        process = subprocess.run(
            [sys.executable, "-c", _IN_TENSORFLOW, file, path, saved, str(k)],
            env={
                **os.environ,
                "KERAS_BACKEND": "tensorflow",
                # The other framework may hold the GPU's memory.
                "CUDA_VISIBLE_DEVICES": "",
                "PYTHONPATH": os.pathsep.join(
                    [root, os.environ.get("PYTHONPATH", "")]
                ).rstrip(os.pathsep),
            },
            capture_output=True,
            text=True,
        )
    if process.returncode:
        raise RuntimeError(
            "The model could not be exported by Keras on TensorFlow. Layers and "
            "functions of your own must be registered and importable there. "
            f"Received: {process.stderr[-2000:]}"
        )
