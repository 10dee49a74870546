import json
import os

import numpy as np

from ..data import to_table
from ..data.columns import require_columns
from ..deprecated import renamed
from ..files import replacing
from ..models.unit import unit
from .neighbors import Neighbors, exact
from .vector_file import (
    check_names,
    embed_rows,
    kept_columns,
    model_fingerprint,
    row_names,
    to_arrow,
    types_of,
    warn_of_skipped_rows,
)


class SearchIndex:
    """A vector index: the rows nearest to a query.

    By default the search is exhaustive and exact, and fast enough for some hundred
    thousand rows. An approximate index is an inverted file that probes an eighth of its
    lists: its recall of the ten nearest rows is about 99%, in a fraction of the time.
    Up to 20,000 rows it is exact, too. `keras_mm.export(model, path, index=index)`
    serves the index with the model, where search is exact. The vectors are invalid
    after further training of the model: `add`, `save` and `export` then raise an
    error; `search` does not check.

    Examples:

    >>> index = keras_mm.SearchIndex(retriever, "image")
    >>> index.add(table, id="id", columns=["author"])
    30
    >>> found = index.search({"text": ["a red bird"]}, k=3)
    >>> list(found.columns)
    ['query', 'rank', 'id', 'score', 'author']
    >>> found = index.search({"text": ["a red bird"]}, where={"author": "number 3"})
    >>> index.save("birds.parquet")
    >>> index = keras_mm.SearchIndex.load("birds.parquet", retriever)

    Args:
        model: a `Retriever`.
        tower: string, the tower that embeds the items.
        approximate: bool, for a hundred thousand rows and more; needs
            `pip install "keras_mm[search]"`. The first search builds the lists, which
            takes seconds.
    """

    def __init__(self, model, tower, approximate=False):
        import pandas as pd

        self.model, self.tower = model, tower
        self._fingerprint = model_fingerprint(model)
        self._neighbors = Neighbors() if approximate else None
        # Permanent keys of the rows, see `Neighbors`.
        self._keys, self._next_key = np.zeros(0, "int64"), 0
        units = model.tower(tower).output_shape[-1]
        self.vectors = np.zeros((0, units), "float32")
        # The rows' ids, as strings, and the kept columns.
        self.rows = pd.DataFrame({"id": pd.Series([], dtype=object)})

    def __len__(self):
        return len(self.rows)

    @renamed(bad="on_unreadable")
    def add(
        self,
        table,
        id,
        columns=(),
        batch_size=None,
        base_dir=None,
        on_unreadable="error",
    ):
        """Embeds rows and adds them.

        Args:
            table: rows with the tower's columns and the column of ids.
            id: string, the column of ids, which are converted to strings.
            columns: names of other columns to keep, for filters and results.
            batch_size: int, 32 if not given.
            base_dir: as in `model.fit`.
            on_unreadable: as in `model.fit`.

        Returns:
            int, number of rows added. Rows in which all columns of the tower are
            missing are skipped, with a warning.

        Raises:
            ValueError: if an id is missing, duplicate, or already in the index:
                remove it first.
        """
        import pandas as pd

        self.check()
        table, columns = to_table(table), kept_columns(columns)
        names = row_names(table, id, columns)
        if len(self) and set(columns) != set(self.rows) - {"id"}:
            raise ValueError(
                "All rows of an index have the same columns: "
                f"{list(self.rows.columns[1:])}. Received: columns={columns}"
            )
        check_names(names, names.isin(self.rows["id"]), table[id])
        new, vectors, skipped = embed_rows(
            self.model,
            table,
            self.tower,
            names,
            columns,
            batch_size=batch_size,
            base_dir=base_dir,
            on_unreadable=on_unreadable,
        )
        warn_of_skipped_rows(skipped, self.tower)
        self.rows = pd.concat([self.rows, new], ignore_index=True) if len(self) else new
        self.vectors = np.concatenate([self.vectors, vectors])
        self._number(len(new))
        return len(new)

    def _number(self, count):
        """Assigns keys to new rows, which are never reused."""
        new = np.arange(self._next_key, self._next_key + count)
        self._keys = np.concatenate([self._keys, new])
        self._next_key += count

    def check(self):
        """Raises a `ValueError` if the model was trained since the index was made."""
        if self._fingerprint != model_fingerprint(self.model):
            raise ValueError(
                "The model was trained further after it computed the index's vectors, "
                "which are no longer valid. Make a new index. "
                f"Received: index of {len(self)} rows"
            )

    def remove(self, ids):
        """Removes rows.

        Args:
            ids: list of ids.

        Raises:
            ValueError: if one is not in the index.
        """
        ids = {str(name) for name in ids}
        unknown = sorted(ids - set(self.rows["id"]))
        if unknown:
            raise ValueError(
                f"{len(unknown)} ids are not in the index. Received: ids={unknown[:5]}"
            )
        kept = ~self.rows["id"].isin(ids).to_numpy()
        self.rows = self.rows[kept].reset_index(drop=True)
        self.vectors, self._keys = self.vectors[kept], self._keys[kept]

    @renamed(bad="on_unreadable")
    def search(
        self,
        queries,
        k=10,
        where=None,
        towers=None,
        base_dir=None,
        on_unreadable="error",
    ):
        """Finds the rows nearest to each query.

        Args:
            queries: table with the columns of one tower, or of several, whose
                vectors are then added: an image and "but in red".
            k: int, number of results per query.
            where: dict from a kept column to the value, or the list (or array, or
                Series) of values, that it must have.
            towers: list of the towers that embed the queries; default: those whose
                columns the table has.
            base_dir: as in `model.fit`.
            on_unreadable: as in `model.fit`.

        Returns:
            DataFrame: `query`, the number of the query's row, `rank` from 1, `id`,
            `score`, the cosine, and the kept columns; for each query at most k
            rows, and none if it is empty.
        """
        vectors = self.embed_queries(queries, towers, base_dir, on_unreadable)
        if k < 1:
            raise ValueError(f"`k` must be positive. Received: k={k}")
        present = np.flatnonzero(vectors.any(axis=1))
        rows, scores = self._nearest(vectors[present], k, self._allowed(where))
        results = self.rows.iloc[rows.ravel()].reset_index(drop=True)
        results.insert(0, "query", np.repeat(present, rows.shape[1]))
        results.insert(1, "rank", np.tile(np.arange(rows.shape[1]) + 1, len(present)))
        results.insert(3, "score", scores.ravel())
        return results

    def _nearest(self, vectors, k, allowed):
        """Indices of the nearest rows, best first, and their scores."""
        if self._neighbors is None:
            return exact(self.vectors, vectors, k, allowed)
        self._neighbors.follow(self.vectors, self._keys)
        return self._neighbors.search(vectors, k, allowed)

    @renamed(bad="on_unreadable")
    def embed_queries(self, queries, towers=None, base_dir=None, on_unreadable="error"):
        """Embeddings of queries, as used by `search`: `(rows, units)`."""
        queries, columns = to_table(queries), self.model.towers
        towers = [towers] if isinstance(towers, str) else towers
        if towers is None:
            towers = [t for t in columns if set(columns[t]) <= set(queries.columns)]
        if not towers:
            raise ValueError(
                f"The queries must have the columns of a tower: {columns}. "
                f"Received: columns={list(queries.columns)}"
            )
        total = sum(
            self.model.embed(
                queries, tower, base_dir=base_dir, on_unreadable=on_unreadable
            )
            for tower in towers
        )
        return unit(total)

    def _allowed(self, where):
        """Indices of the rows that pass a filter; None: all."""
        import pandas as pd

        if not where:
            return None
        allowed = np.ones(len(self), bool)
        for name, values in where.items():
            require_columns([c for c in self.rows if c != "id"], [name])
            values = values if pd.api.types.is_list_like(values) else [values]
            allowed &= self.rows[name].isin(list(values)).to_numpy()
        return np.flatnonzero(allowed)

    def save(self, path):
        """Writes ids, kept columns and vectors as one Parquet file.

        The column `vector` is a list of float32 of fixed length, as vector
        databases read it. The lists of an approximate index are not saved: the first
        search after loading builds them again.
        """
        from pyarrow import parquet

        self.check()
        own = {"tower": self.tower, "fingerprint": self._fingerprint}
        if self._neighbors is not None:
            own["approximate"] = True
        types = types_of(self.rows, list(self.rows.columns[1:]))
        with replacing(path) as temporary:
            parquet.write_table(
                to_arrow(self.rows, self.vectors, types, own), temporary
            )

    @classmethod
    def load(cls, path, model, approximate=None):
        """Reads a file of `save` or `keras_mm.serving.embed_to_parquet`.

        Args:
            path: the file.
            model: the `Retriever` that computed the vectors, or one with the same
                weights, such as a loaded copy.
            approximate: bool; None: as saved.

        Raises:
            ValueError: if the vectors are from another model.
        """
        from pyarrow import parquet

        table = parquet.read_table(path)
        own = json.loads((table.schema.metadata or {}).get(b"keras_mm", b"{}"))
        if own.get("fingerprint") != model_fingerprint(model):
            raise ValueError(
                "The index holds vectors of another model, or of this one before it "
                "was trained further: they are not valid for it. Load the model that "
                "computed them, or embed the rows again. "
                f"Received: path={os.fspath(path)!r}"
            )
        if approximate is None:
            approximate = own.get("approximate", False)
        index = cls(model, own["tower"], approximate)
        vectors = table["vector"].combine_chunks().flatten().to_numpy()
        index.vectors = vectors.reshape(len(table), index.vectors.shape[1])
        index.rows = table.drop_columns(["vector"]).to_pandas()
        index._number(len(table))
        return index
