"""Short hashes of objects, the same in every process."""

import hashlib
import json
import pickle
import re

import numpy as np


def fingerprint(value):
    """Hash of plain data, layers, encoders and functions, or dicts and lists of them."""
    text = json.dumps(_plain(value), sort_keys=True, default=str)
    # Keras numbers layers in order of creation: dense, dense_1, ...
    text = re.sub(r'_\d+(?=["/])', "", text)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def rows_fingerprint(table, columns):
    """Hash of the cells of some columns of a table; files are hashed by path."""
    digest = hashlib.blake2b(digest_size=8)
    for name in columns:
        for cell in table[name].tolist():
            if isinstance(cell, np.ndarray):
                cell = (cell.shape, cell.dtype.str, cell.tobytes())
            digest.update(pickle.dumps(cell, protocol=4))
    return digest.hexdigest()


def _plain(value):
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [value.shape, hashlib.blake2b(value.tobytes()).hexdigest()]
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "get_config"):
        config = value.get_config()
        # Names of layers do not matter.
        config = {key: item for key, item in config.items() if key != "name"}
        weights = value.get_weights() if hasattr(value, "get_weights") else []
        return [name, _plain(config), _plain(weights)]
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return [name, _plain(getattr(value, "__dict__", str(value)))]
