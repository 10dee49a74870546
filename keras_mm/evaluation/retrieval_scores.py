import numpy as np


def retrieval_scores(queries, items, relevant=None, at=(1, 5, 10), chunk_size=1024):
    """Scores a ranking of items by their inner product with each query.

    Ties are ranked pessimistically, irrelevant items first, so that a model with
    constant vectors scores worst. The products are computed in chunks of queries.

    Examples:

    >>> vectors = np.eye(3)
    >>> scores = keras_mm.evaluation.retrieval_scores(vectors, vectors, at=[1])
    >>> scores["recall_at_1"]
    1.0

    Args:
        queries: float array `(queries, units)`.
        items: float array `(items, units)`.
        relevant: bool array or SciPy sparse array `(queries, items)`. Default: the
            n-th item is relevant to the n-th query. Queries without a relevant item
            are left out.
        at: list of ints, the k of recall at k.
        chunk_size: int, queries at a time.

    Returns:
        dict: for each k of `at` `recall_at_<k>`, the share of the queries with a
        relevant item among the first k; `median_rank` and `mean_reciprocal_rank` of
        the first relevant item, counted from 1; `mean_average_precision`; and the
        number of `queries` and `items`.

    Raises:
        ValueError: if the shapes do not match, or no query has a relevant item.

    Reference:
        Manning, Raghavan and Schuetze 2008, "Introduction to Information
        Retrieval", chapter 8.
    """
    from scipy import sparse

    queries, items = np.asarray(queries), np.asarray(items)
    shape = (len(queries), len(items))
    if relevant is None:
        relevant = sparse.eye_array(*shape, dtype=bool)
    relevant = sparse.csr_array(relevant, dtype=bool)
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise ValueError(
            "`queries` and `items` must be matrices with equally many columns. "
            f"Received: queries of shape {queries.shape}, items of shape {items.shape}"
        )
    if not len(at) or min(at) < 1:
        raise ValueError(f"`at` must hold positive ints. Received: at={at}")
    if relevant.shape != shape:
        raise ValueError(
            f"`relevant` must have one row per query and one column per item: {shape}. "
            f"Received: relevant of shape {relevant.shape}"
        )
    if not (np.isfinite(queries).all() and np.isfinite(items).all()):
        raise ValueError(
            "Vectors must be finite. Received: "
            f"{np.count_nonzero(~np.isfinite(queries))} NaN or infinite numbers in the "
            f"queries and {np.count_nonzero(~np.isfinite(items))} in the items"
        )
    ranks, precisions = [], []
    for start in range(0, len(queries), chunk_size):
        rows = slice(start, start + chunk_size)
        indices = relevant[rows].tolil().rows
        for similarity, right in zip(queries[rows] @ items.T, indices):
            if right:
                places = _places(similarity, right)
                ranks.append(places[0])
                precisions.append(np.mean(np.arange(1, len(right) + 1) / places))
    if not ranks:
        raise ValueError(
            "No query has a relevant item. Received: relevant with "
            f"{relevant.nnz} entries for {len(queries)} queries"
        )
    ranks = np.array(ranks)
    return {
        **{f"recall_at_{k}": float(np.mean(ranks <= k)) for k in at},
        "median_rank": float(np.median(ranks)),
        "mean_reciprocal_rank": float(np.mean(1 / ranks)),
        "mean_average_precision": float(np.mean(precisions)),
        "queries": len(ranks),
        "items": len(items),
    }


def _places(similarity, right):
    """Ranks of the relevant items, from 1, in order.

    Args:
        similarity: array `(items,)`.
        right: list of the relevant items' indices.
    """
    rights = np.sort(similarity[right])
    at_least = len(similarity) - np.searchsorted(np.sort(similarity), rights)
    right_at_least = len(rights) - np.searchsorted(rights, rights)
    # The n-th relevant item comes after n - 1 relevant items and all irrelevant items
    # that are at least as similar.
    wrong = (at_least - right_at_least)[::-1]
    return wrong + np.arange(1, len(rights) + 1)
