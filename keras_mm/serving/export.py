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
    """Exports a model as a SavedModel for TF Serving, and verifies it.

    The model is written to `path/<version>`, the next free version number. It is
    staged under another name, reloaded, and every output of every signature is
    compared with the model, on rows with each modality missing in turn and with
    unreadable images. Only then is it renamed, so that a server that watches the
    folder never loads an incomplete or wrong model.

    Inputs and outputs have the names in `model.schema.served_names`.

    Signatures: `serving_default` takes raw values (encoded images, texts,
    numbers, names; `""` and NaN are missing) and returns class names and
    probabilities by name; `serving_tensors` takes the model's tensors; `embed` and
    `embed_<modality>` return embeddings; `explain` returns the fusion's weights, if
    it has any. For an autoencoder `serving_default` returns `<column>_embedding`, its
    code, as does `embed`. For a retriever it returns `<tower>_embedding` of each
    tower, and `embed_<tower>` one of them; with an index, `search` returns the `ids`
    and `scores` of the rows nearest to the sum of the query's embeddings.

    A model on the JAX or torch backend is exported by a second process that runs
    Keras on TensorFlow.

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
        index: `SearchIndex` of a retriever to serve with it, or None. The served
            search is exact, even if the index is approximate.
        k: int, number of rows that `search` returns.

    Returns:
        string, the path of the version.

    Raises:
        RuntimeError: if an output of the exported model differs.
        ValueError: if the model cannot be served, or not by that name.
    """
    if not isinstance(getattr(model, "schema", None), Schema):
        raise ValueError(
            "Only a model that was made by a builder can be exported: its schema "
            f"defines the raw inputs. Received: model={model!r}"
        )
    if index is not None and (index.model is not model or not len(index) or k < 1):
        raise ValueError(
            "The index must be of the same model object, and not empty; `k` must be "
            "positive: keras_mm.SearchIndex(model, tower). "
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
    # The server ignores folders whose name is not a number.
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
            "Values of this version may have different lengths: restart the server "
            "without --enable_batching, see SERVING.md."
        )
    if verbose:
        print(
            f"Exported to {final}: {report['rows']} rows compared with the model, "
            f"largest difference {report['largest_difference']:.1e}"
        )
        if not model.schema.is_adapted:
            print(
                "The schema is not adapted, so this export takes tensors, not raw "
                "values: model.schema.adapt(train) adds them."
            )
    return final


def write_saved_model(model, path, index=None, k=10):
    """Writes the SavedModel of a model that runs on TensorFlow."""
    import tensorflow as tf

    schema = model.schema
    if schema.is_adapted:
        # Lookup tables are created at first use, and must exist to be tracked.
        raw = verification_rows(schema)
        for name, value in schema.inputs.items():
            value.decode_array(raw[name][:1])
    functions = {
        name: tf.function(
            function, input_signature=[specs], autograph=False
        ).get_concrete_function()
        for name, (function, specs) in signatures(model, index, k).items()
    }
    # `keras.export.ExportArchive` would trace each function twice.
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
    # A single row of tensors is large enough.
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
    """The next free version number in a model's folder."""
    versions = [int(name) for name in os.listdir(path) if name.isdigit()]
    return max(versions, default=0) + 1


def _write_in_tensorflow(model, path, index, k):
    """Saves the model and the index, and exports them in a process on TensorFlow."""
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
                # The other framework may have allocated the GPU's memory.
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
            "The model could not be exported by Keras on TensorFlow. Custom layers and "
            "functions must be registered and importable in a new process. "
            f"Received: {process.stderr[-2000:]}"
        )
