import numpy as np

# Silhouettes compare all rows with all others.
_ROWS = 2000


class Clusters:
    """What `cluster` found: the clusters, how good they are, and a map.

    Examples:

    >>> found = keras_mm.evaluation.cluster(model, test, labels="category")
    >>> print(found)
    >>> odd = test[found.clusters == 2]

    Attributes:
        clusters: int array `(rows,)`, in the order of the rows: the cluster of each,
            numbered from the largest one, 0; -1: the row has nothing for the model.
        missing: int, how many rows that is.
        vectors: float32 array `(rows, units)`, what was clustered.
        labels: object array `(rows,)` of strings, None where unknown; or None.
        known: bool array `(rows,)`, where they are known; or None.
        scores: dict of floats: the mean `silhouette` (of 2,000 rows drawn at random,
            if there are more); and with labels `normalized_mutual_information` (by
            the mean of both entropies) and `adjusted_rand_index`, over the rows
            that have a label and a cluster. They are 1 if clusters and labels are
            the same; the second is about 0 by chance.
        sizes: DataFrame, one row a cluster: the number of `rows`; with labels also
            the number of `labelled` ones, their most frequent class (`majority`),
            and its share of them (`purity`).

    Reference:
        Hubert and Arabie 1985, "Comparing Partitions"; Vinh, Epps and Bailey 2010,
        "Information Theoretic Measures for Clusterings Comparison".
    """

    def __init__(self, vectors, clusters, labels=None, column=None, seed=0):
        self.vectors, self.clusters, self.seed = vectors, clusters, seed
        self.column = column
        self.labels = None if labels is None else np.array(labels, dtype=object)
        self.known = None
        if labels is not None:
            self.known = np.array([name is not None for name in labels])
        there = clusters >= 0
        self.missing = int(np.sum(~there))
        self.scores = {"silhouette": silhouette(vectors[there], clusters[there], seed)}
        if labels is not None:
            self.scores |= self._agreement()
        self.sizes = self._sizes()

    def plot(self, map="tsne", pictures=None, base_dir=None):
        """Draws all rows on a map: coloured by cluster, and by label beside it.

        A cluster has the colour of its most frequent label; of several with the same
        one, smaller ones are paler. At most 18 clusters and labels have a colour, the
        others are grey. Rows that have nothing for the model are not on the map.

        Args:
            map: `"tsne"`, which shows best who is near to whom, but not how far
                apart groups are, and takes a minute for 10,000 rows; or `"pca"`,
                quick, the plane in which the vectors vary most.
            pictures: a column of pictures, one a row, to be drawn on the map where
                there is room; such as `table["image"]`.
            base_dir: folder that the pictures' relative paths start from.

        Returns:
            `matplotlib.figure.Figure`.

        Reference:
            van der Maaten and Hinton 2008, "Visualizing Data using t-SNE".
        """
        from .cluster_pictures import plot_clusters

        return plot_clusters(self, map, pictures, base_dir)

    def _agreement(self):
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

        known = (self.clusters >= 0) & self.known
        if not known.any():
            information = index = np.nan
        else:
            answer = self.labels[known].astype(str), self.clusters[known]
            information = float(normalized_mutual_info_score(*answer))
            index = float(adjusted_rand_score(*answer))
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
                # The most frequent first; of equal ones, by name.
                known = pd.Series(self.labels[inside]).dropna().astype(str)
                counts = known.value_counts().sort_index(kind="stable")
                row["labelled"] = len(known)
                row["majority"] = counts.idxmax() if len(known) else None
                row["purity"] = counts.max() / len(known) if len(known) else np.nan
            rows.append(row)
        return pd.DataFrame(rows).set_index("cluster")

    def __str__(self):
        scores = ", ".join(
            f"{name.replace('_', ' ')} {value:.2f}"
            for name, value in self.scores.items()
        )
        lines = [f"{len(self.sizes)} clusters of {len(self.clusters)} rows: {scores}"]
        if self.missing:
            lines.append(f"{self.missing} rows have nothing for the model: cluster -1")
        return "\n".join([*lines, self.sizes.round(2).to_string()])

    __repr__ = __str__


def silhouette(vectors, clusters, seed=0):
    """Mean silhouette, from -1 to 1; NaN if there is one cluster, or one a row."""
    from sklearn.metrics import silhouette_score

    if len(vectors) > _ROWS:
        rows = np.random.default_rng(seed).choice(len(vectors), _ROWS, replace=False)
        vectors, clusters = vectors[rows], clusters[rows]
    if not 2 <= len(np.unique(clusters)) < len(vectors):
        return np.nan
    return float(silhouette_score(vectors, clusters))
