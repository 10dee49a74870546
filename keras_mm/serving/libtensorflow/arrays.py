"""Arrays of numbers and strings in `.npz` files, without pickle.

An array of numbers `x` is the entry `x:values`. An array of strings `x` is two entries:
`x:bytes`, `uint8`, the concatenated strings; and `x:lengths`, `int64`, their lengths in
bytes, in the shape of the array.
"""

import numpy as np


def save_arrays(path, arrays):
    """Writes a dict of arrays to an `.npz` file; see above."""
    entries = {}
    for name, values in arrays.items():
        # Via objects: NumPy cannot mix str and bytes, nor keep trailing zeros.
        is_array = isinstance(values, np.ndarray)
        array = values if is_array else np.array(values, dtype=object)
        if array.dtype.kind in "OSU" and isinstance(
            next(iter(array.flat), b""), (str, bytes)
        ):
            array = to_strings(name, array)
            lengths = np.array([len(cell) for cell in array.flat], dtype="int64")
            entries[f"{name}:lengths"] = lengths.reshape(array.shape)
            entries[f"{name}:bytes"] = np.frombuffer(b"".join(array.flat), "uint8")
        else:
            entries[f"{name}:values"] = array if is_array else np.array(values)
    with open(path, "wb") as file:
        np.savez(file, **entries)


def load_arrays(path):
    """Reads a file of `save_arrays`; strings are object arrays of bytes."""
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


def to_strings(name, values):
    """Text or bytes -> object array of bytes."""
    array = np.array(values, dtype=object)
    for row, cell in enumerate(array.flat):
        if isinstance(cell, str):
            array.flat[row] = cell.encode("utf-8")
        elif not isinstance(cell, bytes):
            raise ValueError(
                f"Input {name!r} takes strings or bytes. Received: {name}={cell!r}"
            )
    return array
