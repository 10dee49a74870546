import numpy as np


def retrieval_scores(queries, items, relevant=None, at=(1, 5, 10), chunk_size=1024):
    """How well the nearest items answer the queries.

    Items are ranked by their inner product with the query. Where several are
    equal, the wrong ones come first: a model that gives everything the same vector
    finds nothing. The products are computed for some queries at a time.

    Examples:

    >>> vectors = np.eye(3)
    >>> scores = keras_mm.evaluation.retrieval_scores(vectors, vectors, at=[1])
    >>> scores["recall_at_1"]
    1.0

    Args:
        queries: float array `(queries, units)`.
        items: float array `(items, units)`.
        relevant: bool array or SciPy sparse array `(queries, items)`; default: the
            n-th item for the n-th query. Queries without a relevant item are left
            out.
        at: list of ints.
        chunk_size: int, queries at a time.

    Returns:
        dict: for each k of `at` `recall_at_<k>`, the share of the queries with a
        relevant item among the first k; `median_rank` of the first relevant item,
        from 1; `mean_reciprocal_rank` of it; `mean_average_precision` of all
        relevant ones; and the number of `queries` and `items`.

    Raises:
        ValueError: if the arrays do not fit, or there is nothing to find.

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
            "`queries` and `items` must be matrices of equally long vectors. "
            f"Received: queries of shape {queries.shape}, items of shape {items.shape}"
        )
    if not len(at) or min(at) < 1:
        raise ValueError(f"`at` must hold positive ints. Received: at={at}")
    if relevant.shape != shape:
        raise ValueError(
            f"`relevant` must have a row a query and a column an item, {shape}. "
            f"Received: relevant of shape {relevant.shape}"
        )
    if not (np.isfinite(queries).all() and np.isfinite(items).all()):
        raise ValueError(
            "Vectors must be finite. Received: "
            f"{np.count_nonzero(~np.isfinite(queries))} numbers of the queries and "
            f"{np.count_nonzero(~np.isfinite(items))} of the items that are not"
        )
    ranks, precisions = [], []
    for start in range(0, len(queries), chunk_size):
        rows = slice(start, start + chunk_size)
        right = relevant[rows].tolil().rows
        for values, known in zip(queries[rows] @ items.T, right):
            if known:
                places = _places(values, known)
                ranks.append(places[0])
                precisions.append(np.mean(np.arange(1, len(known) + 1) / places))
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
    # Before the n-th relevant one there are n - 1, and all wrong ones that are at
    # least as similar.
    wrong = (at_least - right_at_least)[::-1]
    return wrong + np.arange(1, len(rights) + 1)
