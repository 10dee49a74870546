import numpy as np

from ..data import to_table
from ..deprecated import renamed

_CHUNK = 256


@renamed(bad="on_unreadable")
def hard_negatives(
    retriever,
    table,
    query,
    item,
    k=10,
    batch_size=None,
    *,
    base_dir=None,
    on_unreadable="error",
):
    """Mines hard negatives: wrong items that a retriever scores high for a query.

    A second model, such as a `Reranker`, learns most from what the retriever
    confuses.

    Examples:

    >>> rows = keras_mm.models.hard_negatives(retriever, train, "text", "image", k=3)
    >>> rows.shape
    (18, 3)

    Args:
        retriever: a `Retriever`.
        table: rows with the columns of both towers, and the group's if the
            retriever has one.
        query: string, the tower of the queries.
        item: string, the tower of the items.
        k: int, number of negatives per row.
        batch_size: int, 32 if not given.
        base_dir: as in `fit`.
        on_unreadable: as in `fit`.

    Returns:
        int array `(rows, k)` of row numbers, the nearest first. Of rows with the same
        item only the first is listed; rows that match (the row itself, its group, and
        rows with the same query or item) never are. Padded with -1; a row without a
        query is all -1.

    Raises:
        ValueError: if one of the towers or the group's column is missing, or `k` is
            not positive.

    Reference:
        Xiong et al. 2021, "Approximate Nearest Neighbor Negative Contrastive
        Learning for Dense Text Retrieval".
    """
    if k < 1:
        raise ValueError(f"`k` must be positive. Received: k={k}")
    if query == item:
        raise ValueError(
            "`query` and `item` must be different towers. "
            f"Received: query={query!r}, item={item!r}"
        )
    table = to_table(table)
    vectors, items = (
        retriever.embed(
            table, tower, batch_size, base_dir=base_dir, on_unreadable=on_unreadable
        )
        for tower in (query, item)
    )
    ids = retriever.row_ids(table, [query, item])
    return wrong_neighbors(vectors, items, ids, k)


def wrong_neighbors(vectors, items, ids, k):
    """The items nearest to each row's query that do not match it.

    Args:
        vectors: float array `(rows, units)` of queries, 0 where one is missing.
        items: float array `(rows, units)`.
        ids: int array `(rows, 3)`, numbers of the rows' query, item and group.
        k: int.

    Returns:
        int array `(rows, k)`, as of `hard_negatives`.
    """
    # One row per item that is present.
    first = np.unique(ids[:, 1], return_index=True)[1]
    first = np.sort(first[items[first].any(axis=1)])
    matches = _matches(ids)[:, ids[first, 1]]
    negatives = np.full((len(ids), k), -1)
    for start in range(0, len(ids), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(ids)))
        scores = vectors[rows] @ items[first].T
        scores[matches[rows].toarray()] = -np.inf
        scores[~vectors[rows].any(axis=1)] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        is_valid = np.take_along_axis(scores, order, axis=1) > -np.inf
        negatives[rows, : order.shape[1]] = np.where(is_valid, first[order], -1)
    return negatives


def _matches(ids):
    """Which items match which rows: sparse bool `(rows, items)`."""
    from scipy import sparse

    query, item, group = (_members(column) for column in ids.T)
    matches = item + query @ (query.T @ item) + group @ (group.T @ item)
    return sparse.csr_array(matches.astype(bool))


def _members(numbers):
    """Incidence of rows and numbers: sparse `(rows, numbers)`; -1 is none."""
    from scipy import sparse

    rows = np.flatnonzero(numbers >= 0)
    shape = (len(numbers), max(numbers.max(initial=-1) + 1, 1))
    return sparse.csr_array((np.ones(len(rows)), (rows, numbers[rows])), shape)
