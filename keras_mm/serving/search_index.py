import json
import os

import numpy as np

from ..data import to_table
from ..data.columns import require_columns
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
    warn_of_nothing,
)


class SearchIndex:
    """The vectors of many rows, and the nearest of them to a query.

    It compares a query with every vector: exact, and quick enough for some hundred
    thousand of them. An approximate index keeps lists of rows that lie near each
    other and reads an eighth of the lists: it finds some 99 in a hundred of the ten
    nearest rows, in a fraction of the time. Up to 20,000 rows it is exact, too.
    `keras_mm.export(model, path, index=index)` puts the index into the served model,
    where search is exact. Training the model further makes its vectors useless:
    `add`, `save` and `export` refuse them then, `search` does not look.

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
        tower: string, the tower that embeds what is searched.
        approximate: bool, for a hundred thousand rows and more; needs
            `pip install "keras_mm[search]"`. The first search makes its lists, which
            takes seconds.
    """

    def __init__(self, model, tower, approximate=False):
        import pandas as pd

        self.model, self.tower = model, tower
        self._fingerprint = model_fingerprint(model)
        self._neighbors = Neighbors() if approximate else None
        # Each row's number for ever, as `Neighbors` knows it.
        self._keys, self._next_key = np.zeros(0, "int64"), 0
        units = model.tower(tower).output_shape[-1]
        self.vectors = np.zeros((0, units), "float32")
        # The rows' ids, as strings, and the columns that were kept.
        self.rows = pd.DataFrame({"id": pd.Series([], dtype=object)})

    def __len__(self):
        return len(self.rows)

    def add(self, table, id, columns=(), batch_size=None, base_dir=None, bad="error"):
        """Embeds rows and takes them in.

        Args:
            table: rows with the tower's columns and that of their ids.
            id: string, the column of ids, which become strings.
            columns: names of other columns to keep, to filter by and to see.
            batch_size: int, 32 if not given.
            base_dir: as in `model.fit`.
            bad: as in `model.fit`.

        Returns:
            int, how many were taken in. A row that has nothing for the tower is
            left out, with a warning.

        Raises:
            ValueError: if an id is missing, is there twice, or is in the index
                already: remove it first.
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
        new, vectors, nothing = embed_rows(
            self.model,
            table,
            self.tower,
            names,
            columns,
            batch_size=batch_size,
            base_dir=base_dir,
            bad=bad,
        )
        warn_of_nothing(nothing, self.tower)
        self.rows = pd.concat([self.rows, new], ignore_index=True) if len(self) else new
        self.vectors = np.concatenate([self.vectors, vectors])
        self._number(len(new))
        return len(new)

    def _number(self, count):
        """Gives new rows their keys, which no row has had before."""
        new = np.arange(self._next_key, self._next_key + count)
        self._keys = np.concatenate([self._keys, new])
        self._next_key += count

    def check(self):
        """Raises a `ValueError` if the model was trained further since it began."""
        if self._fingerprint != model_fingerprint(self.model):
            raise ValueError(
                "The model was trained further after it had made the index's vectors, "
                "which mean nothing to it any more. Make a new index. "
                f"Received: index of {len(self)} rows"
            )

    def remove(self, ids):
        """Takes rows out.

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

    def search(
        self, queries, k=10, where=None, towers=None, base_dir=None, bad="error"
    ):
        """The nearest rows of each query.

        Args:
            queries: table with the columns of one tower or of several, whose
                vectors are then added up: a picture and "but in red".
            k: int, how many.
            where: dict from a kept column to the value, or the list (or array, or
                Series) of values, that it must have.
            towers: list of the towers to read the queries by; default: those whose
                columns the table has.
            base_dir: as in `model.fit`.
            bad: as in `model.fit`.

        Returns:
            DataFrame: `query`, the number of the query's row, `rank` from 1, `id`,
            `score`, the cosine, and the kept columns; for each query at most k
            rows, and none if it is empty.
        """
        vectors = self.embed_queries(queries, towers, base_dir, bad)
        if k < 1:
            raise ValueError(f"`k` must be positive. Received: k={k}")
        asked = np.flatnonzero(vectors.any(axis=1))
        rows, scores = self._nearest(vectors[asked], k, self._allowed(where))
        found = self.rows.iloc[rows.ravel()].reset_index(drop=True)
        found.insert(0, "query", np.repeat(asked, rows.shape[1]))
        found.insert(1, "rank", np.tile(np.arange(rows.shape[1]) + 1, len(asked)))
        found.insert(3, "score", scores.ravel())
        return found

    def _nearest(self, vectors, k, allowed):
        """Numbers of the nearest rows, best first, and their scores."""
        if self._neighbors is None:
            return exact(self.vectors, vectors, k, allowed)
        self._neighbors.follow(self.vectors, self._keys)
        return self._neighbors.search(vectors, k, allowed)

    def embed_queries(self, queries, towers=None, base_dir=None, bad="error"):
        """Vectors of queries, as `search` compares them: `(rows, units)`."""
        queries, known = to_table(queries), self.model.towers
        towers = [towers] if isinstance(towers, str) else towers
        if towers is None:
            towers = [t for t in known if set(known[t]) <= set(queries.columns)]
        if not towers:
            raise ValueError(
                f"The queries have the columns of no tower; these are {known}. "
                f"Received: columns={list(queries.columns)}"
            )
        total = sum(
            self.model.embed(queries, tower, base_dir=base_dir, bad=bad)
            for tower in towers
        )
        return unit(total)

    def _allowed(self, where):
        """Numbers of the rows that a filter lets pass; None: all."""
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
        databases read it. The lists of an approximate index are not in it: the first
        search after loading makes them anew.
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
        """Reads what `save` or `keras_mm.serving.embed_to_parquet` wrote.

        Args:
            path: the file.
            model: the `Retriever` that made the vectors, or one with the same
                weights, such as the one read from its file.
            approximate: bool; None: as it was when it was saved.

        Raises:
            ValueError: if the vectors are another model's.
        """
        from pyarrow import parquet

        table = parquet.read_table(path)
        own = json.loads((table.schema.metadata or {}).get(b"keras_mm", b"{}"))
        if own.get("fingerprint") != model_fingerprint(model):
            raise ValueError(
                "The index holds vectors of another model, or of this one before it "
                "was trained further: they mean nothing to this one. Load the model "
                "that it was made with, or add the rows anew. "
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
