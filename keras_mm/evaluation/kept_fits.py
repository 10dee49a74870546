import json
import os

import numpy as np

from ..files import replacing
from .fingerprint import fingerprint

_KEYS = ("name", "fold", "parameters", "seconds", "fusion", "settings")


class KeptFits:
    """Completed fits by name and fold, in memory and on disk.

    Args:
        path: CSV file, one row per fit; predictions go into an `.npz` file beside it.
            None: in memory only.
        targets: list of the targets' names.
        settings: dict of everything but the fusion that results depend on.

    Attributes:
        rows: dict from name and fold to the row of the fit.
        predictions: dict from name and fold to predictions by target.

    Raises:
        ValueError: if the file does not hold results of `compare`.
    """

    def __init__(self, path, targets, settings):
        self.path, self.targets, self.settings = path, list(targets), settings
        self.rows, self.predictions, self._read = {}, {}, []
        if path is None or not os.path.exists(path):
            return
        import pandas as pd

        table = pd.read_csv(path)
        absent = [name for name in _KEYS if name not in table.columns]
        if absent:
            raise ValueError(
                "The file holds no results of `compare`. Choose another path. "
                f"Received: path={os.fspath(path)!r} without the columns {absent}"
            )
        arrays = {}
        if os.path.exists(self._arrays):
            with np.load(self._arrays) as file:
                arrays = dict(file)
        self._read = table.to_dict("records")
        for row in self._read:
            fit = row["name"], row["fold"]
            keys = self._keys(*fit)
            # Predictions are written first; a row without them is not done.
            if all(key in arrays for key in keys.values()):
                self.rows[fit] = row
                self.predictions[fit] = {t: arrays[key] for t, key in keys.items()}

    @property
    def _arrays(self):
        return os.path.splitext(os.fspath(self.path))[0] + ".npz"

    def _keys(self, name, fold):
        """The keys of a fit's arrays in the file, by target."""
        if len(self.targets) == 1:
            return {self.targets[0]: f"{fold} {name}"}
        return {target: f"{fold} {target!r} {name}" for target in self.targets}

    def check(self, entries):
        """Refuses to mix results of different settings.

        Args:
            entries: dict from name to its modalities and its fusion.
        """
        for row in self._read:
            then = json.loads(row["settings"])
            other = [key for key, now in self.settings.items() if then.get(key) != now]
            if not other and row["name"] in entries:
                fusion = fingerprint(entries[row["name"]][1])
                other = ["fusion"] * (row["fusion"] != fusion)
            if other:
                raise ValueError(
                    f"The file holds results of {row['name']!r} with other settings: "
                    f"{', '.join(other)} differ. Choose another path, or delete the "
                    f"file. Received: path={os.fspath(self.path)!r}"
                )

    def add(self, row, fusion, predictions):
        """Adds a fit, and saves all fits."""
        fit = row["name"], row["fold"]
        settings = json.dumps(self.settings)
        row = {**row, "fusion": fingerprint(fusion), "settings": settings}
        self.rows[fit], self.predictions[fit] = row, predictions
        if self.path is None:
            return
        import pandas as pd

        folder = os.path.dirname(os.fspath(self.path))
        if folder:
            os.makedirs(folder, exist_ok=True)
        arrays = {}
        for fit, by_target in self.predictions.items():
            arrays |= {key: by_target[t] for t, key in self._keys(*fit).items()}
        with replacing(self._arrays) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)
        with replacing(self.path) as temporary:
            pd.DataFrame(list(self.rows.values())).to_csv(temporary, index=False)
