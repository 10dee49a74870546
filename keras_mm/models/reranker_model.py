import weakref

import keras
import numpy as np

from ..data import to_table
from ..data.columns import require_columns
from ..deprecated import renamed
from ..inputs import Number
from .graph import part_of, rest_of
from .hard_negatives import wrong_neighbors
from .model import MultimodalModel

# Columns of pairs: the retriever's cosine, and the target.
SCORE, MATCH = "score", "match"

# Pairs whose tokens are in memory at a time.
_CHUNK = 2048

# Models of its parts, which share their layers with the reranker. As its attribute
# they would be saved with it a second time.
_PARTS = weakref.WeakKeyDictionary()


@keras.saving.register_keras_serializable(package="keras_mm")
class Reranker(MultimodalModel):
    """Predicts whether a query and an item match, from both together.

    Made by `build_reranker`. It is a classifier of pairs with the target column
    `match`: `fit` takes the table that `pairs` makes, `predict` returns the
    probabilities of "no" and "yes". Besides query and item it reads the column
    `score`, their cosine similarity in the retriever; if that is missing, the
    prediction is based on query and item alone. Scores are standardised by the first
    table that the model is trained on; before training batch by batch, call
    `adapt_scores` with all pairs.
    """

    # The query's tower and the item's: modality -> its columns.
    towers = {}

    _OWN_NAMES = (*MultimodalModel._OWN_NAMES, "towers")

    @renamed(bad="on_unreadable")
    def pairs(
        self,
        retriever,
        table,
        negatives=3,
        among=10,
        batch_size=None,
        *,
        base_dir=None,
        on_unreadable="error",
        seed=0,
    ):
        """Makes training pairs: matches and hard negatives.

        Examples:

        >>> pairs = reranker.pairs(retriever, train, negatives=1)
        >>> list(pairs.columns)
        ['text', 'image', 'score', 'match']
        >>> history = reranker.fit(pairs, epochs=1)

        Args:
            retriever: the `Retriever` to mine hard negatives with.
            table: rows with the columns of both towers, and the group's if the
                retriever has one. On the retriever's own training rows, matches
                score higher than in a search of new rows.
            negatives: int, number of wrong items per query, and of wrong queries per
                item.
            among: int, number of hard negatives that these are drawn from; see
                `keras_mm.models.hard_negatives`. About the `k` of later searches.
            batch_size: int, 32 if not given.
            base_dir: as in `fit`.
            on_unreadable: as in `fit`.
            seed: int, for the sampling.

        Returns:
            DataFrame with the columns of both towers, `score`, the retriever's
            cosine, and `match`: "yes" in one row for each row of the table that has
            both, and "no" in the rest. The score is NaN in all rows of a query or an
            item whose match ranks below `among` negatives: a search would not
            return it, and the model must not learn that the match has the lowest
            score.

        Reference:
            Li et al. 2021, "Align before Fuse: Vision and Language Representation
            Learning with Momentum Distillation", whose negatives are drawn from
            the batch.
        """
        import pandas as pd

        if negatives < 1 or among < negatives:
            raise ValueError(
                "`negatives` must be positive, and `among` no less. "
                f"Received: negatives={negatives}, among={among}"
            )
        table = to_table(table)
        (query, queries), (item, items) = self._columns()
        ids = retriever.row_ids(table, [query, item])
        vectors = {
            tower: retriever.embed(
                table, tower, batch_size, base_dir=base_dir, on_unreadable=on_unreadable
            )
            for tower in (query, item)
        }
        rows = np.flatnonzero(vectors[query].any(axis=1) & vectors[item].any(axis=1))
        if not len(rows):
            raise ValueError(
                "No row has both a query and an item. "
                f"Received: {len(table)} rows, query columns {queries}, item "
                f"columns {items}"
            )

        def score(one, other):
            return np.sum(vectors[query][one] * vectors[item][other], axis=1)

        ones, others, is_retrieved = [rows], [rows], []
        random = np.random.default_rng(seed)
        for source, target in ((query, item), (item, query)):
            side = 1 if source == query else -1
            own = ids[:, [0, 1, 2] if side > 0 else [1, 0, 2]]
            hard = wrong_neighbors(vectors[source], vectors[target], own, among)[rows]
            farthest = hard[:, -1]
            is_near = score(*(rows, farthest)[::side]) <= score(rows, rows)
            is_near |= farthest < 0
            hard = random.permuted(hard, axis=1)
            # Padding goes last.
            hard = np.take_along_axis(
                hard, np.argsort(hard < 0, axis=1, kind="stable"), axis=1
            )[:, :negatives]
            place, _ = np.nonzero(hard >= 0)
            one, other = (rows[place], hard[hard >= 0])[::side]
            ones.append(one)
            others.append(other)
            is_retrieved += [is_near, is_near[place]] if side > 0 else [is_near[place]]
        one, other = np.concatenate(ones), np.concatenate(others)
        scores = np.where(np.concatenate(is_retrieved), score(one, other), np.nan)
        parts = [
            table[queries].iloc[one].reset_index(drop=True),
            table[items].iloc[other].reset_index(drop=True),
        ]
        match = np.repeat(["yes", "no"], [len(rows), len(one) - len(rows)])
        return pd.concat(parts, axis=1).assign(**{SCORE: scores, MATCH: match})

    @renamed(bad="on_unreadable")
    def rerank(
        self,
        results,
        queries,
        items,
        id="id",
        k=None,
        batch_size=None,
        *,
        base_dir=None,
        on_unreadable="error",
    ):
        """Reranks the results of a search.

        Each query and each item is encoded once per chunk of some thousand pairs; only
        the fusion runs for every pair.

        Examples:

        >>> index = keras_mm.SearchIndex(retriever, "image")
        >>> index.add(table, id="id")
        30
        >>> queries = {"text": ["a red bird", "flowers"]}
        >>> results = index.search(queries, k=20)
        >>> best = reranker.rerank(results, queries, table, id="id", k=5)
        >>> list(best.columns)
        ['query', 'rank', 'id', 'score', 'match']

        Args:
            results: DataFrame of results, as returned by `SearchIndex.search`.
            queries: the table of queries that was passed to the search.
            items: table with the items' columns and their ids.
            id: string, the column of ids.
            k: int, number of results to keep per query; None: all.
            batch_size: int, pairs at a time; 32 if not given.
            base_dir: as in `fit`.
            on_unreadable: as in `fit`.

        Returns:
            `results` with the column `match`, the probability that the item matches the
            query, given that the retriever returned it; sorted by it, and ranked
            again.

        Raises:
            ValueError: if an id of `results` is not among the items, or occurs several
                times there.
        """
        import pandas as pd

        queries, items = to_table(queries), to_table(items)
        (_, query_columns), (_, item_columns) = self._columns()
        require_columns(results.columns, ["query", "id", SCORE])
        require_columns(queries.columns, query_columns)
        require_columns(items.columns, [id, *item_columns])
        ids = items[id].map(str)
        wanted = results["id"].map(str)
        wrong = wanted[~wanted.isin(ids) | wanted.isin(ids[ids.duplicated()])]
        if len(wrong):
            raise ValueError(
                f"Each id in `results` must be in exactly one row of the items; "
                f"{len(wrong)} are in none, or in several. "
                f"Received: {id}={wrong.iloc[0]!r}"
            )
        places = pd.Series(np.arange(len(ids)), ids)
        places = places[~places.index.duplicated()][wanted].to_numpy()
        rows = results["query"].to_numpy(int)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(queries):
            raise ValueError(
                "`queries` must be the table that was passed to the search. "
                f"Received: {len(queries)} rows, and results['query'] up to {rows.max()}"
            )
        match = np.zeros(len(results), "float32")
        options = {
            "batch_size": batch_size,
            "base_dir": base_dir,
            "on_unreadable": on_unreadable,
            "verbose": 0,
        }
        for start in range(0, len(results), _CHUNK):
            part = slice(start, start + _CHUNK)
            scores = results[[SCORE]].iloc[part]
            sides = (
                (queries, rows[part]),
                (items, places[part]),
                (scores, np.arange(len(scores))),
            )
            match[part] = self._matches(sides, options)
        results = results.copy()
        if MATCH in results:
            del results[MATCH]
        results.insert(list(results.columns).index(SCORE) + 1, MATCH, match)
        # Ties of probabilities near 1 are broken by the scores.
        results = results.iloc[np.lexsort((-results[SCORE], -match, results["query"]))]
        results = results.reset_index(drop=True)
        results["rank"] = results.groupby("query").cumcount() + 1
        if k is not None:
            results = results[results["rank"] <= k]
        return results.reset_index(drop=True)

    def adapt_scores(self, table):
        """Computes the scores' mean and standard deviation from the first pairs.

        `fit`, `fit_cached` and `train_on_batch` call it. After the first training step
        it has no effect, as the weights depend on the standardisation.

        Args:
            table: pairs, as `pairs` makes them.
        """
        score = self.schema.inputs[SCORE]
        table = to_table(table)
        require_columns(table.columns, [SCORE])
        has_learned = self.optimizer is not None and int(self.optimizer.iterations)
        if has_learned or (score.mean, score.std) != (0.0, 1.0):
            return
        if table[SCORE].notna().any():
            learned = Number().adapt(table[SCORE], SCORE)
            score.mean, score.std = learned.mean, learned.std

    def train_on_batch(self, x, y=None, *args, **kwargs):
        """One step on one batch of pairs; `MultimodalModel.train_on_batch`."""
        if self.is_table(x):
            self.adapt_scores(x)
        return super().train_on_batch(x, y, *args, **kwargs)

    def _matches(self, tables, options):
        """Probability that each query matches its item: `(pairs,)`.

        Args:
            tables: of queries, items and scores, with the row of each pair.
            options: dict, what `predict` takes.
        """
        *sides, fuse = self._parts()
        values = []
        for side, (table, rows) in zip(sides, tables):
            unique, place = np.unique(rows, return_inverse=True)
            table = table.iloc[unique].reset_index(drop=True)
            values += [array[place] for array in side.predict(table, **options)]
        batch_size = options["batch_size"] or 32
        return fuse.predict(values, batch_size, verbose=0)[:, 1]

    def _parts(self):
        """Submodels: the encoders of query, item and score, and the rest."""
        if self not in _PARTS:
            sides, encoders = [], []
            for modalities in [*self.towers.values(), {SCORE: [SCORE]}]:
                encoders += modalities
                sides.append(self._encoders_of(modalities))
            _PARTS[self] = [*sides, rest_of(self, encoders)]
        return _PARTS[self]

    def _encoders_of(self, modalities):
        """The submodel of some encoders: tokens and mask of each in turn."""
        names = [self.wiring.encoders[name] for name in modalities]
        columns = _columns_of(modalities)
        part = part_of(
            self,
            lambda graph: [x for name in names for x in graph.outputs[name]],
            columns,
        )
        model = MultimodalModel(part.inputs, part.outputs)
        model.schema = self.schema.part(columns)
        return model

    def _columns(self):
        """Name and columns of the query's tower, then of the item's."""
        return [
            (name, _columns_of(modalities)) for name, modalities in self.towers.items()
        ]

    def _own_config(self):
        return {**super()._own_config(), "towers": self.towers}

    def _set_own(self, config):
        super()._set_own(config)
        self.towers = {
            tower: {name: list(columns) for name, columns in modalities.items()}
            for tower, modalities in config.get("towers", {}).items()
        }


def _columns_of(modalities):
    """The columns of some modalities, each once."""
    return list(dict.fromkeys(c for part in modalities.values() for c in part))
