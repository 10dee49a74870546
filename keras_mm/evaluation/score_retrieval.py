import numpy as np

from ..data import Tensors, to_table
from ..data.columns import require_columns
from ..data.content import content_ids
from ..deprecated import renamed
from .retrieval_scores import retrieval_scores
from .tensors import table_tensors


@renamed(bad="on_unreadable")
def score_retrieval(model, table, at=(1, 5, 10), base_dir=None, on_unreadable="error"):
    """Scores the retrieval between the towers of a retriever, in each direction.

    Equal values of several rows are one item and one query. An item is relevant to a
    query if some row has both, or if they belong to the same group
    (`build_retriever(group=...)`).

    Examples:

    >>> scores = keras_mm.evaluation.score_retrieval(retriever, test, at=[1])
    >>> list(scores.index)
    ['image to text', 'text to image']

    Args:
        model: a `Retriever`.
        table: rows with all columns of the towers, and with the model's group column,
            if any, in any form that `keras_mm.data.to_table` reads.
        at: list of ints, the k of recall at k.
        base_dir: folder that relative file paths start from.
        on_unreadable: `"error"` or `"missing"`, as in `model.fit`.

    Returns:
        DataFrame, one row per direction, with the scores of `retrieval_scores` and
        `random`, the expected recall at `at[0]` of a random ranking.
    """
    return RetrievalRows(model, table, base_dir, on_unreadable).score(model, at)


class RetrievalRows:
    """The distinct items of a table for each tower, and the relevant pairs.

    Args:
        model: a `Retriever`.
        table: as in `score_retrieval`.
        base_dir: as in `score_retrieval`.
        on_unreadable: as in `score_retrieval`.
    """

    def __init__(self, model, table, base_dir=None, on_unreadable="error"):
        from scipy import sparse

        if not hasattr(model, "tower"):
            raise ValueError(
                "The model must be a retriever, made by build_retriever. Score other "
                "models with keras_mm.evaluation.score. "
                f"Received: model of type {type(model).__name__}"
            )
        table = model.schema.replace_missing_cells(to_table(table))
        groups = [] if model.group is None else [model.group]
        require_columns(table.columns, [*model.schema.inputs, *groups])
        rows = np.arange(len(table))
        # Rows with the same number are in one group.
        own = content_ids(table, groups) if groups else rows
        own = np.where(own < 0, len(table) + rows, own)
        self._tensors, contents, members = {}, {}, {}
        for name, columns in model.towers.items():
            ids = content_ids(table, columns)
            present = np.flatnonzero(ids >= 0)
            distinct, first, place = np.unique(
                ids[present], return_index=True, return_inverse=True
            )
            part = table.iloc[present[first]].reset_index(drop=True)
            if not len(part):
                raise ValueError(
                    f"No row has values for the tower {name!r}. "
                    f"Received: columns {columns}"
                )
            schema = model.tower(name).schema
            self._tensors[name] = table_tensors(part, schema, base_dir, on_unreadable)
            ones = np.ones(len(present), bool)
            shape = (len(distinct), 2 * len(table))
            members[name] = sparse.csr_array((ones, (place, own[present])), shape)
            contents[name] = sparse.csr_array((ones, (place, rows[present])), shape)
        self._relevant = {}
        for one, other in model.pairs:
            for query, item in ((one, other), (other, one)):
                same_row = contents[query] @ contents[item].T
                same_group = members[query] @ members[item].T
                self._relevant[query, item] = same_row + same_group

    def score(self, model, at):
        """The DataFrame that `score_retrieval` returns."""
        import pandas as pd

        vectors = {
            name: model.tower(name).predict(Tensors(tensors), verbose=0)
            for name, tensors in self._tensors.items()
        }
        scores = {}
        # Unreadable files have a zero vector and are no items.
        present = {name: values.any(axis=1) for name, values in vectors.items()}
        vectors = {name: values[present[name]] for name, values in vectors.items()}
        for (query, item), relevant in self._relevant.items():
            relevant = relevant[present[query]][:, present[item]]
            if not relevant.nnz:
                raise ValueError(
                    f"No row has both {query!r} and {item!r}, so no item is relevant "
                    "to a query. Build the retriever with anchor=, or score other "
                    "rows. "
                    f"Received: {len(vectors[query])} and {len(vectors[item])} items"
                )
            direction = retrieval_scores(vectors[query], vectors[item], relevant, at)
            direction["random"] = _chance(relevant, at[0])
            scores[f"{query} to {item}"] = direction
        return pd.DataFrame(scores).T


def _chance(relevant, k):
    """The expected recall at k of a random ranking."""
    from scipy.stats import hypergeom

    counts = np.diff(relevant.astype(bool).tocsr().indptr)
    counts, items = counts[counts > 0], relevant.shape[1]
    return float(np.mean(hypergeom.sf(0, items, counts, min(k, items))))
