"""A SavedModel in a session of the C++ runtime."""

import ctypes
import os
import sys

from .c_api import Output, check, open_library
from .signatures import read_signatures
from .tensors import delete_tensor, to_array, to_tensor


def run_saved_model(path, signature, inputs):
    """Loads a SavedModel into libtensorflow and runs one signature.

    For processes that never import tensorflow; elsewhere call
    `keras_mm.serving.runtime.run_in_libtensorflow`, which starts such a process.

    Examples:

    >>> answer = run_saved_model("saved_models/clipart/1", "serving_default",
    ...                          {"image": [png, b""], "text": ["a bird", ""]})
    >>> answer["image_ok"].tolist()
    [True, False]

    Args:
        path: version directory, which contains `saved_model.pb`.
        signature: string, the signature's name.
        inputs: dict from input name to array or list; strings are `str` or
            bytes. NumPy arrays of dtype `S` lose trailing zero bytes: pass encoded
            images in lists or object arrays.

    Returns:
        dict from output name to NumPy array; strings are object arrays of
        bytes.

    Raises:
        ValueError: if the signature does not exist or has other inputs.
        RuntimeError: if the model does not load or does not run, or if this
            process has imported tensorflow.
        OSError: if the library or the model does not exist.
    """
    require_clean_process()
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
        check(
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
            tensors.append(to_tensor(library, name, inputs[name], info["dtype"]))
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
        check(
            library,
            status,
            "The model loads, but does not run in the C++ runtime that TF Serving "
            "uses.",
            f"signature={signature!r}",
        )
        return {
            name: to_array(library, name, tensor)
            for name, tensor in zip(results, returned)
        }
    finally:
        # After copying the outputs: they may share memory with the inputs.
        for tensor in filter(None, returned):
            library.TF_DeleteTensor(tensor)
        for tensor in tensors:
            delete_tensor(library, tensor)


def _outputs(library, graph, infos):
    """Tensor names such as `"serving_default_text:0"` -> `TF_Output[]`."""
    outputs = (Output * len(infos))()
    for row, (name, info) in enumerate(infos.items()):
        operation, _, index = info["tensor"].partition(":")
        pointer = library.TF_GraphOperationByName(graph, operation.encode())
        if not pointer:
            raise RuntimeError(
                f"The graph has no operation for {name!r}. "
                f"Received: tensor={info['tensor']!r}"
            )
        outputs[row] = Output(pointer, int(index or 0))
    return outputs


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


def require_clean_process():
    """Raises a `RuntimeError` if this process has imported tensorflow."""
    if "tensorflow" in sys.modules:
        raise RuntimeError(
            "This process has imported tensorflow, whose Python kernels TF Serving "
            "does not have. Call "
            "keras_mm.serving.runtime.run_in_libtensorflow instead. "
            "Received: 'tensorflow' in sys.modules"
        )
