"""The C API of TensorFlow, opened with `ctypes`."""

import ctypes
import importlib.util
import os


class Output(ctypes.Structure):
    """`TF_Output`: one output of an operation of the graph."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


# The functions of tensorflow/c/c_api.h in use: return type and argument types. Without
# them ctypes would cut pointers to 32 bits.
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
    # options, run options, folder, tags, number of tags, graph, meta graph, status
    "TF_LoadSessionFromSavedModel": (
        _POINTER,
        [_POINTER, _POINTER, _TEXT, _POINTER, _INT, _POINTER, _POINTER, _POINTER],
    ),
    # session, run options; inputs, their tensors and number; outputs, their tensors
    # and number; targets and their number; metadata, status
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


def open_library():
    """Opens the libtensorflow of the installed tensorflow package.

    Returns:
        `ctypes.CDLL` with the functions of the C API declared.

    Raises:
        OSError: if tensorflow is not installed, or its package does not contain
            `libtensorflow_cc.so.2` (the wheels for Linux do).
    """
    # Locates the package without importing it.
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise OSError(
            "The package tensorflow, whose C++ library is needed, is not "
            "installed. Received: find_spec('tensorflow')=None"
        )
    folder = spec.submodule_search_locations[0]
    library = None
    # The second library uses symbols of the first.
    for name in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"):
        file = os.path.join(folder, name)
        if not os.path.isfile(file):
            raise OSError(
                f"The installed tensorflow package has no {name}. The wheels for Linux "
                f"contain it. Received: folder={folder}"
            )
        library = ctypes.CDLL(file, ctypes.RTLD_GLOBAL)
    for name, (returns, takes) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = returns, takes
    return library


def check(library, status, what, received):
    """Raises a `RuntimeError` if the last call failed."""
    if library.TF_GetCode(status):
        message = library.TF_Message(status).decode("utf-8", "replace").strip()
        # "Op type not registered", "No OpKernel was registered to support Op".
        unknown = "registered" in message
        remedy = "Use TensorFlow's own graph ops only, no py_function. "
        raise RuntimeError(
            f"{what} {remedy if unknown else ''}TensorFlow's message: {message} "
            f"Received: {received}"
        )
