"""The signatures of a SavedModel, read from its file."""

import os

from .dtypes import DTYPES
from .protobuf import fields, mapping, repeated


def read_signatures(path):
    """Reads the signatures of a `saved_model.pb`, without TensorFlow.

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
        ValueError: if the SavedModel has no graph with the tag `serve`.
        OSError: if there is no `saved_model.pb`.
    """
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        saved_model = memoryview(file.read())
    # The numbers are the fields of tensorflow/core/protobuf/saved_model.proto
    # and meta_graph.proto.
    for meta_graph in repeated(saved_model, 2):
        info = next(repeated(meta_graph, 1), b"")
        if [bytes(tag) for tag in repeated(info, 4)] == [b"serve"]:
            signatures = mapping(meta_graph, 5)
            return {
                name: {
                    "inputs": _infos(signatures[name], 1),
                    "outputs": _infos(signatures[name], 2),
                }
                for name in sorted(signatures)
                # Signatures for initialisation are internal.
                if not name.startswith("__saved_model")
            }
    raise ValueError(
        f"The SavedModel has no graph with the tag 'serve'. Received: path={path}"
    )


def _infos(signature, number):
    """The inputs (1) or outputs (2) of a `SignatureDef`."""
    infos = {}
    for name, info in sorted(mapping(signature, number).items()):
        info = dict(fields(info))
        shape = info.get(3, b"")
        unknown_rank = dict(fields(shape)).get(3, 0)
        sizes = [dict(fields(dim)).get(1, 0) for dim in repeated(shape, 2)]
        infos[name] = {
            "dtype": DTYPES.get(info.get(2), f"DataType {info.get(2)}"),
            # A negative size is a varint of 64 bits.
            "shape": None if unknown_rank else [s - (s >> 63 << 64) for s in sizes],
            "tensor": bytes(info.get(1, b"")).decode("utf-8"),
        }
    return infos
