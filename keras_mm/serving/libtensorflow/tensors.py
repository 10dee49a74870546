"""NumPy arrays <-> tensors of the C API."""

import ctypes

import numpy as np

from .arrays import to_strings
from .dtypes import DTYPES

_NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
_STRING_SIZE = 24  # sizeof(TF_TString)


def to_tensor(library, name, values, dtype):
    """Array -> `TF_Tensor*`, which the caller must delete."""
    if dtype not in _NUMBERS:
        raise ValueError(f"This dtype cannot be fed. Received: {name}={dtype}")
    if dtype == "string":
        array = to_strings(name, values)
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


def delete_tensor(library, tensor):
    """Deletes a tensor of `to_tensor`, and its strings."""
    if DTYPES[library.TF_TensorType(tensor)] == "string":
        data = library.TF_TensorData(tensor)
        for start in range(0, library.TF_TensorByteSize(tensor), _STRING_SIZE):
            library.TF_StringDealloc(data + start)
    library.TF_DeleteTensor(tensor)


def to_array(library, name, tensor):
    """`TF_Tensor*` -> NumPy array, a copy."""
    number = library.TF_TensorType(tensor)
    if number not in DTYPES:
        raise ValueError(
            f"This dtype cannot be read. Received: {name} of DataType {number}"
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
