"""Outputs of frozen encoders on disk, by what they were computed from."""

import contextlib
import hashlib
import json
import os
import re
import zipfile

import numpy as np

from ..data.raw import read_files, to_raw
from ..files import replacing
from ..inputs import Forms

# Bytes that a folder may take.
LIMIT = 2 * 1024**3
# A file of ours: the hash of an encoder.
_NAME = re.compile(r"[0-9a-f]{40}\.npz")
_ROWS = 256


class TokenCache:
    """Tokens of one encoder, row by row, in one file of a folder.

    A file that cannot be read counts as empty. Where the folder would take more than
    `limit` bytes, the files that were used longest ago are deleted.

    Args:
        folder: path; made when it is needed.
        digest: string, 40 hex digits; the hash of the encoder.
        limit: int, bytes that the folder may take.
    """

    def __init__(self, folder, digest, limit=LIMIT):
        self.folder, self.limit = os.fspath(folder), limit
        self.path = os.path.join(self.folder, f"{digest}.npz")

    def tokens(self, keys, encode):
        """Tokens and mask of some rows, from the file where it has them.

        Args:
            keys: list of bytes, the hash of each row.
            encode: function from a list of row numbers to their tokens and mask.

        Returns:
            list of two arrays.
        """
        known, arrays = self._read()
        first = {}
        for row, key in enumerate(keys):
            first.setdefault(key, row)
        new = [row for key, row in first.items() if key not in known]
        if new:
            encoded = encode(new)
            if arrays and arrays[0].shape[1:] == encoded[0].shape[1:]:
                encoded = [np.concatenate(pair) for pair in zip(arrays, encoded)]
            else:
                known = {}
            arrays = encoded
            known |= {keys[row]: len(known) + place for place, row in enumerate(new)}
        places = [known[key] for key in keys]
        if new:
            self._write(known, arrays, places)
        return [array[places] for array in arrays]

    def _read(self):
        """dict from a row's hash to its place, and the arrays."""
        unreadable = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
        try:
            with np.load(self.path) as file:
                keys, *arrays = (file[name] for name in ("keys", "tokens", "mask"))
            known = {key.tobytes(): place for place, key in enumerate(keys)}
            if not len(known) == len(arrays[0]) == len(arrays[1]):
                return {}, []
            # For those that are deleted first.
            os.utime(self.path)
        except unreadable:
            return {}, []
        return known, arrays

    def _write(self, known, arrays, places):
        """Writes all rows, or those of this call if all are too many."""
        size = sum(array.nbytes for array in arrays) / len(arrays[0])
        keys = np.array([np.frombuffer(key, np.uint8) for key in known])
        if size * len(keys) > self.limit:
            places = np.unique(places)
            keys, arrays = keys[places], [array[places] for array in arrays]
        if size * len(keys) > self.limit:
            return
        os.makedirs(self.folder, exist_ok=True)
        with replacing(self.path) as temporary, open(temporary, "wb") as file:
            np.savez(file, keys=keys, tokens=arrays[0], mask=arrays[1])
        self._make_room()

    def _make_room(self):
        files = [
            entry for entry in os.scandir(self.folder) if _NAME.fullmatch(entry.name)
        ]
        used = {entry.path: entry.stat() for entry in files}
        total = sum(stat.st_size for stat in used.values())
        for path, stat in sorted(used.items(), key=lambda pair: pair[1].st_mtime):
            if total > self.limit and path != self.path:
                # Another process may be faster.
                with contextlib.suppress(FileNotFoundError):
                    os.remove(path)
                total -= stat.st_size


def encoder_digest(layer, schema, columns, modality, on_unreadable):
    """Hash of what an encoder's tokens depend on, besides the rows.

    Args:
        layer: `keras.Model`, the encoder.
        schema: the model's `Schema`.
        columns: list of the columns that it reads.
        modality: string, its name.
        on_unreadable: as in `model.fit`.

    Returns:
        string of 40 hex digits.
    """
    digest = hashlib.blake2b(digest_size=20)
    config = layer.get_config()
    values = [schema.inputs[column] for column in columns]
    if any(isinstance(value, Forms) for value in values):
        config = _without_other_forms(config)
    forms = [
        (column, type(value.form_of(modality)).__name__)
        + (value.form_of(modality).get_config(), schema.words(column))
        for column, value in zip(columns, values)
    ]
    for part in (config, forms, on_unreadable):
        text = json.dumps(part, sort_keys=True, default=str)
        # Keras numbers layers in order of creation: dense, dense_1, ...
        digest.update(re.sub(r'_\d+(?=["/])', "", text).encode())
    for weight in layer.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _without_other_forms(config):
    """An encoder's configuration without the place of its form in the column's tensor.

    The column's other forms, such as n-grams, which are learned from the rows, then
    do not matter to it.
    """
    read, layers = [tensor[0] for tensor in config["input_layers"]], []
    if isinstance(config["input_layers"][0], str):
        read = [config["input_layers"][0]]
    for entry in config["layers"]:
        given = json.dumps(entry["inbound_nodes"], default=str)
        of_input = any(json.dumps(name) in given for name in read)
        if entry["class_name"] == "InputLayer":
            entry = entry["name"]
        elif of_input and entry["class_name"] == "GetItem":
            entry = entry["class_name"]
        layers.append(entry)
    return {**config, "layers": layers}


def row_digests(table, schema, columns, base_dir=None, on_unreadable="error"):
    """Hash of what some columns of each row hold; files by their content.

    Returns:
        list of bytes, 20 each.
    """
    part = schema.part(columns)
    raw = to_raw(table, part, base_dir, on_unreadable)
    digests = [hashlib.blake2b(digest_size=20) for _ in range(len(table))]
    for name, values in raw.items():
        for start in range(0, len(values), _ROWS):
            chunk = read_files(values[start : start + _ROWS])
            for digest, value in zip(digests[start:], chunk):
                digest.update(f"{name} {np.shape(value)} {values.dtype}".encode())
                if values.dtype != object:
                    digest.update(value.tobytes())
                    continue
                for item in np.ravel(value):
                    digest.update(len(item).to_bytes(8, "big") + item)
    return [digest.digest() for digest in digests]
