import numpy as np

# A silhouette takes the distances between all pairs of rows.
_ROWS = 2000


class Clusters:
    """The result of `cluster`: clusters, their scores, and a map.

    Examples:

    >>> result = keras_mm.evaluation.cluster(model, test, labels="category")
    >>> print(result)
    >>> odd = test[result.clusters == 2]

    Attributes:
        clusters: int array `(rows,)`, the cluster of each row; 0 is the largest, -1 is
            a row whose inputs are all missing.
        missing: int, the number of rows whose inputs are all missing.
        vectors: float32 array `(rows, units)`, the embeddings.
        labels: object array `(rows,)` of strings, None where missing; or None.
        is_labelled: bool array `(rows,)`, the rows that have a label; or None.
        scores: dict of floats: the mean `silhouette` (of 2,000 rows drawn at random,
            if there are more); and with labels `normalized_mutual_information`
            (normalised by the mean of both entropies) and `adjusted_rand_index`, over
            the rows that have a label and a cluster. They are 1 if clusters and labels
            agree fully; the expected index of random clusters is 0.
        sizes: DataFrame, one row per cluster: the number of `rows`; with labels also
            the number of `labelled` rows, their most frequent class (`majority`), and
            its share of them (`purity`).

    Reference:
        Hubert and Arabie 1985, "Comparing Partitions"; Vinh, Epps and Bailey 2010,
        "Information Theoretic Measures for Clusterings Comparison".
    """

    def __init__(self, vectors, clusters, labels=None, column=None, seed=0):
        self.vectors, self.clusters, self.seed = vectors, clusters, seed
        self.column = column
        self.labels = None if labels is None else np.array(labels, dtype=object)
        self.is_labelled = None
        if labels is not None:
            self.is_labelled = np.array([name is not None for name in labels])
        present = clusters >= 0
        self.missing = int(np.sum(~present))
        score = silhouette(vectors[present], clusters[present], seed)
        self.scores = {"silhouette": score}
        if labels is not None:
            self.scores |= self._agreement()
        self.sizes = self._sizes()

    def plot(self, map="tsne", pictures=None, base_dir=None):
        """Draws a two-dimensional map, coloured by cluster and, beside it, by label.

        A cluster has the colour of its most frequent label; smaller clusters with the
        same label are paler. At most 18 clusters and labels have a colour, the others
        are grey. Rows whose inputs are all missing are not drawn.

        Args:
            map: `"tsne"`, which preserves neighbourhoods but not distances between
                groups, and takes a minute for 10,000 rows; or `"pca"`, the first two
                principal components, fast.
            pictures: a column of images, one per row, to draw on the map where there
                is room, such as `table["image"]`.
            base_dir: folder that relative paths of images start from.

        Returns:
            `matplotlib.figure.Figure`.

        Reference:
            van der Maaten and Hinton 2008, "Visualizing Data using t-SNE".
        """
        from .cluster_pictures import plot_clusters

        return plot_clusters(self, map, pictures, base_dir)

    def _agreement(self):
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

        counted = (self.clusters >= 0) & self.is_labelled
        if not counted.any():
            information = index = np.nan
        else:
            labels, clusters = self.labels[counted].astype(str), self.clusters[counted]
            information = float(normalized_mutual_info_score(labels, clusters))
            index = float(adjusted_rand_score(labels, clusters))
        return {
            "normalized_mutual_information": information,
            "adjusted_rand_index": index,
        }

    def _sizes(self):
        import pandas as pd

        rows = []
        for number in range(self.clusters.max() + 1):
            inside = self.clusters == number
            row = {"cluster": number, "rows": int(inside.sum())}
            if self.labels is not None:
                labels = pd.Series(self.labels[inside]).dropna().astype(str)
                # Sorted by name, so that ties are resolved by name.
                counts = labels.value_counts().sort_index(kind="stable")
                row["labelled"] = len(labels)
                row["majority"] = counts.idxmax() if len(labels) else None
                row["purity"] = counts.max() / len(labels) if len(labels) else np.nan
            rows.append(row)
        return pd.DataFrame(rows).set_index("cluster")

    def __str__(self):
        scores = ", ".join(
            f"{name.replace('_', ' ')} {value:.2f}"
            for name, value in self.scores.items()
        )
        lines = [f"{len(self.sizes)} clusters of {len(self.clusters)} rows: {scores}"]
        if self.missing:
            lines.append(f"{self.missing} rows have no inputs: cluster -1")
        return "\n".join([*lines, self.sizes.round(2).to_string()])

    __repr__ = __str__


def silhouette(vectors, clusters, seed=0):
    """Mean silhouette, from -1 to 1; NaN for one cluster, or one cluster per row."""
    from sklearn.metrics import silhouette_score

    if len(vectors) > _ROWS:
        rows = np.random.default_rng(seed).choice(len(vectors), _ROWS, replace=False)
        vectors, clusters = vectors[rows], clusters[rows]
    if not 2 <= len(np.unique(clusters)) < len(vectors):
        return np.nan
    return float(silhouette_score(vectors, clusters))
