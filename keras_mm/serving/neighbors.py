"""The nearest of many vectors: all of them compared, or the likely ones only."""

import math

import numpy as np

from ..errors import missing_extra

# Up to so many rows, comparing all of them is as quick. So it is where one in a
# thousand is asked for.
_FEW, _FEW_OF = 20_000, 1_000
# Lists for each square root of the number of rows, the share of them that a query
# reads, and how many candidates it takes from them for each row that it wants: see
# benchmarks/README.md.
_LISTS, _SHARE, _CANDIDATES = 2, 1 / 8, 2
# Queries, and scores, that are held at once.
_CHUNK, _SCORES = 1_024, 2**25


def exact(vectors, queries, k, allowed=None):
    """The k rows with the largest inner products, best first.

    Args:
        vectors: float32 array `(rows, units)`.
        queries: float32 array `(queries, units)`.
        k: int.
        allowed: numbers of the rows to choose from, rising; None: all.

    Returns:
        Numbers of rows and scores, `(queries, min(k, rows to choose from))`.
    """
    chosen = vectors if allowed is None else vectors[allowed]
    k, chunk = min(k, len(chosen)), max(_SCORES // max(len(chosen), 1), 1)
    found = np.zeros((len(queries), k), "int64")
    best = np.zeros((len(queries), k), "float32")
    for start in range(0, len(queries) if k else 0, chunk):
        part = slice(start, start + chunk)
        scores = queries[part] @ chosen.T
        if k < len(chosen):
            found[part] = np.argpartition(scores, -k, axis=1)[:, -k:]
        else:
            found[part] = np.arange(k)
        best[part] = np.take_along_axis(scores, found[part], axis=1)
    found, best = _ranked(found, best)
    return (found if allowed is None else allowed[found]), best


def _ranked(rows, scores):
    """Best first; of equal ones the first row."""
    order = np.lexsort((rows, -scores), axis=1)
    return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)


class Neighbors:
    """The nearest rows, looked for where they are likely to be.

    Rows are sorted into lists of such as lie near each other. A query is compared
    with the rows of those lists alone that lie nearest to it. Where that would be no
    quicker, or give fewer than k rows, it is compared with all.

    Reference:
        Jégou et al. 2011, "Product Quantization for Nearest Neighbor Search" (the
        inverted file).
    """

    def __init__(self):
        try:
            import faiss
        except ImportError as error:
            raise missing_extra("faiss", "search") from error
        self._faiss = faiss
        self._lists = None

    def follow(self, vectors, keys):
        """Takes in the rows that are new, and forgets those that are gone.

        The lists are made when they are needed first, and anew when more rows have
        come than there were.

        Args:
            vectors: float32 array `(rows, units)`, of length 1.
            keys: int array `(rows,)`, rising, and another one after each change: a
                row's number for ever, which no other row gets after it.
        """
        self.vectors = vectors
        if len(keys) <= _FEW or (self._lists is not None and keys is self._keys):
            return
        if self._lists is None or keys[-1] - self._newest > self._rows:
            lists = self._trained(vectors)
            lists.add_with_ids(vectors, keys)
            self._lists, self._newest, self._rows = lists, keys[-1], len(keys)
        else:
            gone = np.setdiff1d(self._keys, keys, assume_unique=True)
            self._lists.remove_ids(gone)
            new = keys > self._keys[-1]
            self._lists.add_with_ids(vectors[new], keys[new])
        self._keys = keys

    def _trained(self, vectors):
        """Lists that are empty, for vectors like these."""
        number = int(_LISTS * len(vectors) ** 0.5)
        lists = self._faiss.index_factory(
            vectors.shape[1], f"IVF{number},SQ8", self._faiss.METRIC_INNER_PRODUCT
        )
        lists.cp.niter, lists.cp.min_points_per_centroid = 10, 1
        rows = np.random.default_rng(0).permutation(len(vectors))[: 40 * number]
        lists.train(vectors[rows])
        return lists

    def search(self, queries, k, allowed=None):
        """As `exact` of all rows, but for a few that it may overlook."""
        rows = len(self.vectors)
        choice = rows if allowed is None else len(allowed)
        if choice <= _FEW or k * _FEW_OF > choice or not len(queries):
            return exact(self.vectors, queries, k, allowed)
        passing = None
        if allowed is not None:
            passes = np.zeros(self._keys[-1] + 1, bool)
            passes[self._keys[allowed]] = True
            passing = self._faiss.IDSelectorBitmap(
                np.packbits(passes, bitorder="little")
            )
        options = self._faiss.SearchParametersIVF(
            sel=passing,
            # A filter thins the lists out.
            nprobe=math.ceil(min(_SHARE * rows / choice, 1) * self._lists.nlist),
        )
        parts = [
            self._search(queries[start : start + _CHUNK], k, options)
            for start in range(0, len(queries), _CHUNK)
        ]
        found, scores = (np.concatenate(part) for part in zip(*parts))
        short = np.isneginf(scores[:, -1])
        if short.any():
            again = exact(self.vectors, queries[short], k, allowed)
            found[short], scores[short] = again
        return found, scores

    def _search(self, queries, k, options):
        """Of some queries; the score of what was not found is -inf."""
        # The lists hold 8 bits a number, which find candidates; the vectors rank
        # them.
        keys = self._lists.search(queries, _CANDIDATES * k, params=options)[1]
        there = keys >= 0
        rows = np.searchsorted(self._keys, np.where(there, keys, self._keys[0]))
        scores = np.einsum("qu,qcu->qc", queries, self.vectors[rows])
        rows, scores = _ranked(rows, np.where(there, scores, -np.inf))
        return rows[:, :k], scores[:, :k]
