import json
import os
import warnings

import numpy as np

from ..data import to_table
from ..data.columns import require_columns
from ..errors import rows_text
from ..evaluation.fingerprint import fingerprint
from ..models.retriever import unit

_CHUNK = 256


class SearchIndex:
    """The vectors of many rows, and the nearest of them to a query.

    It compares a query with every vector: exact, and quick enough for some hundred
    thousand of them. `keras_mm.export(model, path, index=index)` puts it into the
    served model. Training the model further makes its vectors useless: `add`, `save`
    and `export` refuse them then, `search` does not look.

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
    """

    def __init__(self, model, tower):
        import pandas as pd

        self.model, self.tower = model, tower
        self._fingerprint = _fingerprint(model)
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
        table, columns = to_table(table), list(columns)
        require_columns(table.columns, [id, *columns])
        taken = {"id", "query", "rank", "score", "vector"}
        if taken & set(columns):
            raise ValueError(
                f"The names {sorted(taken)} are the index's own: rename the column. "
                f"Received: columns={columns}"
            )
        if len(self) and set(columns) != set(self.rows) - {"id"}:
            raise ValueError(
                "All rows of an index have the same columns: "
                f"{list(self.rows.columns[1:])}. Received: columns={columns}"
            )
        ids = table[id]
        names = ids.map(str)
        wrong = ids.isna() | names.duplicated() | names.isin(self.rows["id"])
        if wrong.any():
            rows = np.flatnonzero(wrong)
            raise ValueError(
                f"Ids must be there and differ, from those in the index, too: see "
                f"{rows_text(rows)} ({len(rows)} in all, counted from 0). Remove what "
                f"is to be replaced first. Received: {id}={ids.iloc[rows[0]]!r}"
            )
        vectors = self.model.embed(
            table, self.tower, batch_size, base_dir=base_dir, bad=bad
        )
        there = vectors.any(axis=1)
        if not there.all():
            warnings.warn(
                f"{np.count_nonzero(~there)} rows have nothing for the tower "
                f"{self.tower!r} and are not in the index: "
                f"{rows_text(np.flatnonzero(~there))}.",
                stacklevel=2,
            )
        new = table[columns].assign(id=names)[["id", *columns]][there]
        new = new.reset_index(drop=True)
        self.rows = pd.concat([self.rows, new], ignore_index=True) if len(self) else new
        self.vectors = np.concatenate([self.vectors, vectors[there]])
        return int(np.count_nonzero(there))

    def check(self):
        """Raises a `ValueError` if the model was trained further since it began."""
        if self._fingerprint != _fingerprint(self.model):
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
        self.vectors = self.vectors[kept]

    def search(
        self, queries, k=10, where=None, towers=None, base_dir=None, bad="error"
    ):
        """The nearest rows of each query.

        Args:
            queries: table with the columns of one tower or of several, whose
                vectors are then added up: a picture and "but in red".
            k: int, how many.
            where: dict from a kept column to the value, or the list of values, that
                it must have.
            towers: list of the towers to read the queries by; default: those whose
                columns the table has.
            base_dir: as in `model.fit`.
            bad: as in `model.fit`.

        Returns:
            DataFrame: `query`, the number of the query's row, `rank` from 1, `id`,
            `score`, the cosine, and the kept columns; for each query at most k
            rows, and none if it is empty.
        """
        import pandas as pd

        vectors = self.embed_queries(queries, towers, base_dir, bad)
        allowed = np.flatnonzero(self._allowed(where or {}))
        if k < 1:
            raise ValueError(f"`k` must be positive. Received: k={k}")
        parts = []
        for start in range(0, len(vectors), _CHUNK):
            scores = vectors[start : start + _CHUNK] @ self.vectors[allowed].T
            order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            for row, best in enumerate(order, start):
                if not vectors[row].any():
                    continue
                found = self.rows.iloc[allowed[best]].reset_index(drop=True)
                found.insert(0, "query", row)
                found.insert(1, "rank", np.arange(1, len(best) + 1))
                found.insert(3, "score", scores[row - start, best])
                parts.append(found)
        if parts:
            return pd.concat(parts, ignore_index=True)
        empty = self.rows.iloc[:0].copy()
        for place, name in ((0, "query"), (1, "rank"), (3, "score")):
            empty.insert(place, name, [])
        return empty

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
        """Which rows a filter lets pass."""
        allowed = np.ones(len(self), bool)
        for name, values in where.items():
            require_columns([c for c in self.rows if c != "id"], [name])
            values = values if isinstance(values, (list, tuple, set)) else [values]
            allowed &= self.rows[name].isin(list(values)).to_numpy()
        return allowed

    def save(self, path):
        """Writes ids, kept columns and vectors as one Parquet file.

        The column `vector` is a list of float32 of fixed length, as vector
        databases read it.
        """
        import pyarrow as pa
        from pyarrow import parquet

        self.check()
        flat = pa.array(self.vectors.ravel(), pa.float32())
        units = self.vectors.shape[1]
        table = pa.Table.from_pandas(self.rows, preserve_index=False)
        table = table.append_column(
            "vector", pa.FixedSizeListArray.from_arrays(flat, units)
        )
        own = {"tower": self.tower, "fingerprint": self._fingerprint}
        table = table.replace_schema_metadata(
            {**(table.schema.metadata or {}), b"keras_mm": json.dumps(own).encode()}
        )
        temporary = f"{os.fspath(path)}.{os.getpid()}.tmp"
        parquet.write_table(table, temporary)
        os.replace(temporary, path)

    @classmethod
    def load(cls, path, model):
        """Reads what `save` wrote.

        Args:
            path: the file.
            model: the `Retriever` that made the vectors, or one with the same
                weights, such as the one read from its file.

        Raises:
            ValueError: if the vectors are another model's.
        """
        from pyarrow import parquet

        table = parquet.read_table(path)
        own = json.loads((table.schema.metadata or {}).get(b"keras_mm", b"{}"))
        if own.get("fingerprint") != _fingerprint(model):
            raise ValueError(
                "The index holds vectors of another model, or of this one before it "
                "was trained further: they mean nothing to this one. Load the model "
                "that it was made with, or add the rows anew. "
                f"Received: path={os.fspath(path)!r}"
            )
        index = cls(model, own["tower"])
        vectors = table["vector"].combine_chunks().flatten().to_numpy()
        index.vectors = vectors.reshape(len(table), index.vectors.shape[1])
        index.rows = table.drop_columns(["vector"]).to_pandas()
        return index


def _fingerprint(model):
    """Says which weights and which preprocessing vectors come from."""
    parts = {name: model.tower(name) for name in model.towers}
    return fingerprint([[part, part.schema] for _, part in sorted(parts.items())])
