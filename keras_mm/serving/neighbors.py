"""Nearest neighbour search: exact, and approximate with an inverted file."""

import math

import numpy as np

from ..errors import missing_extra

# Exact search is as fast up to this number of rows, and where more than one in a
# thousand is requested.
_FEW, _FEW_OF = 20_000, 1_000
# Lists per square root of the number of rows, the share of lists that are probed, and
# the number of candidates per result: see benchmarks/README.md.
_LISTS, _SHARE, _CANDIDATES = 2, 1 / 8, 2
# Queries, and scores, in memory at a time.
_CHUNK, _SCORES = 1_024, 2**25


def exact(vectors, queries, k, allowed=None):
    """The k rows with the largest inner products, best first.

    Args:
        vectors: float32 array `(rows, units)`.
        queries: float32 array `(queries, units)`.
        k: int.
        allowed: sorted indices of the rows to choose from; None: all.

    Returns:
        Indices of rows and scores, `(queries, min(k, rows to choose from))`.
    """
    chosen = vectors if allowed is None else vectors[allowed]
    k, chunk = min(k, len(chosen)), max(_SCORES // max(len(chosen), 1), 1)
    neighbors = np.zeros((len(queries), k), "int64")
    best = np.zeros((len(queries), k), "float32")
    for start in range(0, len(queries) if k else 0, chunk):
        part = slice(start, start + chunk)
        scores = queries[part] @ chosen.T
        if k < len(chosen):
            neighbors[part] = np.argpartition(scores, -k, axis=1)[:, -k:]
        else:
            neighbors[part] = np.arange(k)
        best[part] = np.take_along_axis(scores, neighbors[part], axis=1)
    neighbors, best = _ranked(neighbors, best)
    return (neighbors if allowed is None else allowed[neighbors]), best


def _ranked(rows, scores):
    """Sorts by score, best first; ties by row index."""
    order = np.lexsort((rows, -scores), axis=1)
    return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)


class Neighbors:
    """Approximate nearest neighbour search with an inverted file.

    Rows are clustered into lists. A query is compared only with the rows of the nearest
    lists. Where that would not be faster, or would return fewer than k rows, the search
    is exact.

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
        """Adds new rows, and removes those that were deleted.

        The lists are trained at first use, and again when the number of added rows
        exceeds that at the last training.

        Args:
            vectors: float32 array `(rows, units)`, of length 1.
            keys: sorted int array `(rows,)`, a new object after each change: a row's
                permanent key, which is never reused.
        """
        self.vectors = vectors
        if len(keys) <= _FEW or (self._lists is not None and keys is self._keys):
            return
        if self._lists is None or keys[-1] - self._newest > self._rows:
            lists = self._trained(vectors)
            lists.add_with_ids(vectors, keys)
            self._lists, self._newest, self._rows = lists, keys[-1], len(keys)
        else:
            removed = np.setdiff1d(self._keys, keys, assume_unique=True)
            self._lists.remove_ids(removed)
            new = keys > self._keys[-1]
            self._lists.add_with_ids(vectors[new], keys[new])
        self._keys = keys

    def _trained(self, vectors):
        """Empty lists, trained on these vectors."""
        number = int(_LISTS * len(vectors) ** 0.5)
        lists = self._faiss.index_factory(
            vectors.shape[1], f"IVF{number},SQ8", self._faiss.METRIC_INNER_PRODUCT
        )
        lists.cp.niter, lists.cp.min_points_per_centroid = 10, 1
        rows = np.random.default_rng(0).permutation(len(vectors))[: 40 * number]
        lists.train(vectors[rows])
        return lists

    def search(self, queries, k, allowed=None):
        """As `exact` over all rows, but it may miss some neighbours."""
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
            # A filter leaves fewer rows per list, so more lists are probed.
            nprobe=math.ceil(min(_SHARE * rows / choice, 1) * self._lists.nlist),
        )
        parts = [
            self._search(queries[start : start + _CHUNK], k, options)
            for start in range(0, len(queries), _CHUNK)
        ]
        neighbors, scores = (np.concatenate(part) for part in zip(*parts))
        short = np.isneginf(scores[:, -1])
        if short.any():
            again = exact(self.vectors, queries[short], k, allowed)
            neighbors[short], scores[short] = again
        return neighbors, scores

    def _search(self, queries, k, options):
        """Searches a chunk of queries; missing results have the score -inf."""
        # The lists hold 8-bit vectors for the candidates, which the exact vectors
        # then rank.
        keys = self._lists.search(queries, _CANDIDATES * k, params=options)[1]
        is_valid = keys >= 0
        rows = np.searchsorted(self._keys, np.where(is_valid, keys, self._keys[0]))
        scores = np.einsum("qu,qcu->qc", queries, self.vectors[rows])
        rows, scores = _ranked(rows, np.where(is_valid, scores, -np.inf))
        return rows[:, :k], scores[:, :k]
