"""Runs a SavedModel in the C++ runtime that TF Serving uses, without Python TensorFlow.

What loads is not what runs: a model with a `py_function` loads anywhere and
runs only inside the Python process that made it. TF Serving is C++ over
libtensorflow, and the tensorflow wheel carries that library. This file opens
it with `ctypes`, loads a version directory and runs one signature. It is a
module and a script of its own: it imports NumPy and the standard library, and
never tensorflow, keras or keras_mm, which would bring the Python kernels along.

    python libtensorflow.py MODEL_VERSION_DIR --list
    python libtensorflow.py MODEL_VERSION_DIR SIGNATURE INPUTS.npz OUTPUTS.npz

The last line on the standard output is JSON: the signatures, the outputs'
dtypes and shapes, or `{"error": ..., "message": ...}` with exit status 1.

The `.npz` files need no pickle. Numbers named `x` are the entry `x:values`.
Strings named `x` are two entries: `x:bytes`, `uint8`, all of them one after
the other; and `x:lengths`, `int64`, the number of bytes of each, in the shape
of the array.
"""

import argparse
import ctypes
import importlib.util
import json
import os
import sys

import numpy as np

# DataType of tensorflow/core/framework/types.proto, by number.
DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    9: "int64",
    10: "bool",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
_NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
_STRING_SIZE = 24  # sizeof(TF_TString)


class _Output(ctypes.Structure):
    """`TF_Output`: one output of one operation of the graph."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


# The functions of tensorflow/c/c_api.h in use: what they return, what they
# take. Without it ctypes would cut pointers to 32 bits.
_POINTER, _TEXT, _INT, _SIZE = (
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_size_t,
)
_FUNCTIONS = {
    "TF_NewStatus": (_POINTER, []),
    "TF_DeleteStatus": (None, [_POINTER]),
    "TF_GetCode": (_INT, [_POINTER]),
    "TF_Message": (_TEXT, [_POINTER]),
    "TF_NewGraph": (_POINTER, []),
    "TF_DeleteGraph": (None, [_POINTER]),
    "TF_GraphOperationByName": (_POINTER, [_POINTER, _TEXT]),
    "TF_NewSessionOptions": (_POINTER, []),
    "TF_DeleteSessionOptions": (None, [_POINTER]),
    # options, run options, folder, tags, how many tags, graph, meta graph,
    # status
    "TF_LoadSessionFromSavedModel": (
        _POINTER,
        [_POINTER, _POINTER, _TEXT, _POINTER, _INT, _POINTER, _POINTER, _POINTER],
    ),
    # session, run options; inputs, their tensors, how many; outputs, their
    # tensors, how many; targets, how many; metadata, status
    "TF_SessionRun": (
        None,
        [_POINTER, _POINTER]
        + 2 * [_POINTER, _POINTER, _INT]
        + [_POINTER, _INT, _POINTER, _POINTER],
    ),
    "TF_CloseSession": (None, [_POINTER, _POINTER]),
    "TF_DeleteSession": (None, [_POINTER, _POINTER]),
    "TF_AllocateTensor": (_POINTER, [_INT, _POINTER, _INT, _SIZE]),
    "TF_DeleteTensor": (None, [_POINTER]),
    "TF_TensorType": (_INT, [_POINTER]),
    "TF_NumDims": (_INT, [_POINTER]),
    "TF_Dim": (ctypes.c_int64, [_POINTER, _INT]),
    "TF_TensorByteSize": (_SIZE, [_POINTER]),
    "TF_TensorData": (_POINTER, [_POINTER]),
    "TF_StringInit": (None, [_POINTER]),
    "TF_StringCopy": (None, [_POINTER, _TEXT, _SIZE]),
    "TF_StringDealloc": (None, [_POINTER]),
    "TF_StringGetDataPointer": (_POINTER, [_POINTER]),
    "TF_StringGetSize": (_SIZE, [_POINTER]),
}


def run_saved_model(path, signature, inputs):
    """Loads a SavedModel into libtensorflow and runs one signature.

    For a process that never imports tensorflow; from any other one call
    `keras_mm.serving.runtime.run_in_libtensorflow`, which starts such a
    process.

    Examples:

    >>> answer = run_saved_model("saved_models/clipart/1", "serving_default",
    ...                          {"image": [png, b""], "text": ["a bird", ""]})
    >>> answer["image_ok"].tolist()
    [True, False]

    Args:
        path: version directory, the one that holds `saved_model.pb`.
        signature: string, the signature's name.
        inputs: dict from input name to array or list; strings are `str` or
            bytes. A NumPy array of dtype `S` loses trailing zero bytes: keep
            encoded pictures in lists or object arrays.

    Returns:
        dict from output name to NumPy array; strings are object arrays of
        bytes.

    Raises:
        ValueError: if there is no such signature, or the inputs are not its.
        RuntimeError: if the model does not load or does not run, or if this
            process has imported tensorflow.
        OSError: if the library or the model is not there.
    """
    _require_clean_process()
    path = os.fspath(path)
    spec = _find(read_signatures(path), signature, inputs)
    library = open_library()
    status = library.TF_NewStatus()
    graph = library.TF_NewGraph()
    options = library.TF_NewSessionOptions()
    try:
        session = library.TF_LoadSessionFromSavedModel(
            options,
            None,
            os.fsencode(path),
            (ctypes.c_char_p * 1)(b"serve"),
            1,
            graph,
            None,
            status,
        )
        _check(
            library,
            status,
            "The model does not load in the C++ runtime that TF Serving uses.",
            f"path={path!r}",
        )
        try:
            return _run(library, session, graph, status, spec, signature, inputs)
        finally:
            library.TF_CloseSession(session, status)
            library.TF_DeleteSession(session, status)
    finally:
        library.TF_DeleteSessionOptions(options)
        library.TF_DeleteGraph(graph)
        library.TF_DeleteStatus(status)


def _run(library, session, graph, status, spec, signature, inputs):
    sources, results = spec["inputs"], spec["outputs"]
    tensors, returned = [], (ctypes.c_void_p * len(results))()
    try:
        for name, info in sources.items():
            tensors.append(_to_tensor(library, name, inputs[name], info["dtype"]))
        library.TF_SessionRun(
            session,
            None,
            _outputs(library, graph, sources),
            (ctypes.c_void_p * len(tensors))(*tensors),
            len(tensors),
            _outputs(library, graph, results),
            returned,
            len(results),
            None,
            0,
            None,
            status,
        )
        _check(
            library,
            status,
            "The model loads, but does not run in the C++ runtime that TF Serving "
            "uses.",
            f"signature={signature!r}",
        )
        return {
            name: _to_array(library, name, tensor)
            for name, tensor in zip(results, returned)
        }
    finally:
        # Not earlier: an input that is passed through shares its memory with
        # the output.
        for tensor in filter(None, returned):
            library.TF_DeleteTensor(tensor)
        for tensor in tensors:
            _delete_tensor(library, tensor)


def open_library():
    """Opens libtensorflow of the installed tensorflow package.

    Returns:
        `ctypes.CDLL` with the functions of the C API declared.

    Raises:
        OSError: if tensorflow is not installed, or its package carries no
            `libtensorflow_cc.so.2` (the wheels for Linux do).
    """
    # find_spec looks for the package's folder and does not import it.
    found = importlib.util.find_spec("tensorflow")
    if found is None or not found.submodule_search_locations:
        raise OSError(
            "The package tensorflow, whose C++ library is needed, is not "
            "installed. Received: find_spec('tensorflow')=None"
        )
    folder = found.submodule_search_locations[0]
    library = None
    # The second library resolves its symbols in the first one.
    for name in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"):
        file = os.path.join(folder, name)
        if not os.path.isfile(file):
            raise OSError(
                f"The installed tensorflow package has no {name}. The wheels "
                f"for Linux carry it. Received: folder={folder}"
            )
        library = ctypes.CDLL(file, ctypes.RTLD_GLOBAL)
    for name, (returns, takes) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = returns, takes
    return library


def _check(library, status, what, received):
    """Raises `RuntimeError` if the last call did not succeed."""
    if library.TF_GetCode(status):
        message = library.TF_Message(status).decode("utf-8", "replace").strip()
        # "Op type not registered", "No OpKernel was registered to support Op".
        unknown = "registered" in message
        remedy = "Use TensorFlow's own graph ops only, no py_function. "
        raise RuntimeError(
            f"{what} {remedy if unknown else ''}TensorFlow's message: {message} "
            f"Received: {received}"
        )


def _outputs(library, graph, infos):
    """Tensor names such as `"serving_default_text:0"` -> `TF_Output[]`."""
    outputs = (_Output * len(infos))()
    for row, (name, info) in enumerate(infos.items()):
        operation, _, index = info["tensor"].partition(":")
        found = library.TF_GraphOperationByName(graph, operation.encode())
        if not found:
            raise RuntimeError(
                f"The graph has no operation for {name!r}. "
                f"Received: tensor={info['tensor']!r}"
            )
        outputs[row] = _Output(found, int(index or 0))
    return outputs


def _to_tensor(library, name, values, dtype):
    """Array -> `TF_Tensor*`, which the caller deletes."""
    if dtype not in _NUMBERS:
        raise ValueError(f"This type cannot be fed. Received: {name}={dtype}")
    if dtype == "string":
        array = _strings(name, values)
        size = array.size * _STRING_SIZE
    else:
        array = np.array(values, dtype=dtype, order="C")
        size = array.nbytes
    tensor = library.TF_AllocateTensor(
        _NUMBERS[dtype], (ctypes.c_int64 * array.ndim)(*array.shape), array.ndim, size
    )
    data = library.TF_TensorData(tensor)
    if dtype != "string":
        ctypes.memmove(data, array.ctypes.data, size)
        return tensor
    for row, cell in enumerate(array.flat):
        library.TF_StringInit(data + row * _STRING_SIZE)
        library.TF_StringCopy(data + row * _STRING_SIZE, cell, len(cell))
    return tensor


def _delete_tensor(library, tensor):
    """Deletes a tensor of our own, and the strings that it points to."""
    if DTYPES[library.TF_TensorType(tensor)] == "string":
        data = library.TF_TensorData(tensor)
        for start in range(0, library.TF_TensorByteSize(tensor), _STRING_SIZE):
            library.TF_StringDealloc(data + start)
    library.TF_DeleteTensor(tensor)


def _to_array(library, name, tensor):
    """`TF_Tensor*` -> NumPy array, a copy."""
    number = library.TF_TensorType(tensor)
    if number not in DTYPES:
        raise ValueError(
            f"This type cannot be read. Received: {name} of DataType {number}"
        )
    rank = library.TF_NumDims(tensor)
    shape = [library.TF_Dim(tensor, axis) for axis in range(rank)]
    data, size = library.TF_TensorData(tensor), library.TF_TensorByteSize(tensor)
    if DTYPES[number] != "string":
        content = ctypes.string_at(data, size) if size else b""
        return np.frombuffer(content, DTYPES[number]).reshape(shape).copy()
    array = np.empty(shape, dtype=object)
    for row in range(array.size):
        cell = data + row * _STRING_SIZE
        array.flat[row] = ctypes.string_at(
            library.TF_StringGetDataPointer(cell), library.TF_StringGetSize(cell)
        )
    return array


def _strings(name, values):
    """Strings of any kind -> object array of bytes."""
    array = np.array(values, dtype=object)
    for row, cell in enumerate(array.flat):
        if isinstance(cell, str):
            array.flat[row] = cell.encode("utf-8")
        elif not isinstance(cell, bytes):
            raise ValueError(
                f"Input {name!r} takes strings or bytes. Received: {name}={cell!r}"
            )
    return array


def read_signatures(path):
    """Reads the signatures out of a `saved_model.pb`, without any library.

    Examples:

    >>> signature = read_signatures("saved_models/clipart/1")["serving_default"]
    >>> signature["inputs"]["text"]
    {'dtype': 'string', 'shape': [-1], 'tensor': 'serving_default_text:0'}

    Args:
        path: version directory.

    Returns:
        dict from signature name to `{"inputs": ..., "outputs": ...}`, each a
        dict from name to `dtype`, `shape` (-1 for any size, None if even the
        rank is unknown) and `tensor`, its name in the graph.

    Raises:
        ValueError: if no part of the SavedModel has the tag `serve`.
        OSError: if there is no `saved_model.pb`.
    """
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        saved_model = memoryview(file.read())
    # The numbers are the fields of tensorflow/core/protobuf/saved_model.proto
    # and meta_graph.proto.
    for meta_graph in _repeated(saved_model, 2):
        info = next(_repeated(meta_graph, 1), b"")
        if [bytes(tag) for tag in _repeated(info, 4)] == [b"serve"]:
            signatures = _map(meta_graph, 5)
            return {
                name: {
                    "inputs": _infos(signatures[name], 1),
                    "outputs": _infos(signatures[name], 2),
                }
                for name in sorted(signatures)
                # Those that initialise the model are not for requests.
                if not name.startswith("__saved_model")
            }
    raise ValueError(
        f"The SavedModel has no part with the tag 'serve'. Received: path={path}"
    )


def _infos(signature, number):
    """The inputs (1) or outputs (2) of a `SignatureDef`."""
    infos = {}
    for name, info in sorted(_map(signature, number).items()):
        fields = dict(_fields(info))
        shape = fields.get(3, b"")
        unknown_rank = dict(_fields(shape)).get(3, 0)
        sizes = [dict(_fields(dim)).get(1, 0) for dim in _repeated(shape, 2)]
        infos[name] = {
            "dtype": DTYPES.get(fields.get(2), f"DataType {fields.get(2)}"),
            # A negative size is a varint of 64 bits.
            "shape": None if unknown_rank else [s - (s >> 63 << 64) for s in sizes],
            "tensor": bytes(fields.get(1, b"")).decode("utf-8"),
        }
    return infos


def _fields(message):
    """Yields `(field number, value)` of a protobuf message.

    A value is an int (wire type 0) or the field's bytes (1, 2 and 5).
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        if key & 7 == 0:
            value, position = _varint(message, position)
        else:
            if key & 7 == 2:
                size, position = _varint(message, position)
            else:
                size = {1: 8, 5: 4}[key & 7]
            value = message[position : position + size]
            position += size
        yield key >> 3, value


def _varint(message, position):
    """Seven bits a byte, the lowest first; the eighth says: there is more."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position


def _repeated(message, number):
    return (value for field, value in _fields(message) if field == number)


def _map(message, number):
    """A map field with string keys: messages of key (1) and value (2)."""
    entries = [dict(_fields(entry)) for entry in _repeated(message, number)]
    return {bytes(e.get(1, b"")).decode("utf-8"): e.get(2, b"") for e in entries}


def _find(signatures, signature, inputs):
    """The signature's spec; checks its name and the inputs' names."""
    if signature not in signatures:
        raise ValueError(
            f"The SavedModel has the signatures {list(signatures)}. "
            f"Received: signature={signature!r}"
        )
    spec = signatures[signature]
    if set(inputs) != set(spec["inputs"]):
        raise ValueError(
            f"Signature {signature!r} takes exactly the inputs "
            f"{list(spec['inputs'])}. Received: inputs={sorted(inputs)}"
        )
    return spec


def _require_clean_process():
    """Raises `RuntimeError` if Python TensorFlow is in this process."""
    if "tensorflow" in sys.modules:
        raise RuntimeError(
            "This process has imported tensorflow, whose Python kernels a "
            "server does not have. Call "
            "keras_mm.serving.runtime.run_in_libtensorflow instead. "
            "Received: 'tensorflow' in sys.modules"
        )


def save_arrays(path, arrays):
    """Writes a dict of arrays, strings too, to an `.npz` file; see above."""
    entries = {}
    for name, values in arrays.items():
        # Via objects: NumPy cannot mix str and bytes, nor keep trailing zeros.
        is_array = isinstance(values, np.ndarray)
        array = values if is_array else np.array(values, dtype=object)
        if array.dtype.kind in "OSU" and isinstance(
            next(iter(array.flat), b""), (str, bytes)
        ):
            array = _strings(name, array)
            lengths = np.array([len(cell) for cell in array.flat], dtype="int64")
            entries[f"{name}:lengths"] = lengths.reshape(array.shape)
            entries[f"{name}:bytes"] = np.frombuffer(b"".join(array.flat), "uint8")
        else:
            entries[f"{name}:values"] = array if is_array else np.array(values)
    with open(path, "wb") as file:
        np.savez(file, **entries)


def load_arrays(path):
    """Reads what `save_arrays` wrote; strings are object arrays of bytes."""
    arrays = {}
    with np.load(path, allow_pickle=False) as entries:
        for key in entries.files:
            name, _, kind = key.rpartition(":")
            if kind == "values":
                arrays[name] = entries[key]
            elif kind == "lengths":
                lengths = entries[key]
                ends = np.cumsum(lengths, dtype="int64")
                content = entries[f"{name}:bytes"].tobytes()
                arrays[name] = np.empty(lengths.shape, dtype=object)
                for row, (end, length) in enumerate(zip(ends, lengths.flat)):
                    arrays[name].flat[row] = content[end - length : end]
    return arrays


def main(arguments=None):
    """The script: see the top of this file. Returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Runs one signature of a SavedModel in libtensorflow."
    )
    parser.add_argument("path", help="version directory with saved_model.pb")
    parser.add_argument("signature", nargs="?", help="the signature's name")
    parser.add_argument("inputs", nargs="?", help=".npz file to feed")
    parser.add_argument("outputs", nargs="?", help=".npz file to write")
    parser.add_argument("--list", action="store_true", help="print the signatures")
    options = parser.parse_args(arguments)
    if not options.list and options.outputs is None:
        parser.error("give SIGNATURE INPUTS.npz OUTPUTS.npz, or --list")
    try:
        if options.list:
            report = read_signatures(options.path)
        else:
            arrays = run_saved_model(
                options.path, options.signature, load_arrays(options.inputs)
            )
            save_arrays(options.outputs, arrays)
            # Once more: nothing has imported it in the meantime.
            _require_clean_process()
            report = {
                "outputs": {
                    name: {"dtype": str(array.dtype), "shape": list(array.shape)}
                    for name, array in arrays.items()
                },
                "tensorflow_imported": "tensorflow" in sys.modules,
            }
    except (ValueError, RuntimeError, OSError) as error:
        kinds = (ValueError, RuntimeError, OSError)
        kind = next(kind for kind in kinds if isinstance(error, kind))
        report = {"error": kind.__name__, "message": str(error)}
    print(json.dumps(report))
    return int("error" in report)


if __name__ == "__main__":
    sys.exit(main())
