import numpy as np

from ..data import to_table
from ..data.columns import require_columns
from ..deprecated import renamed
from ..inputs.cells import cells_in, is_missing, to_name
from .clusters import Clusters, silhouette
from .embedder import Embedder

_METHODS = ("kmeans", "agglomerative", "gaussian")
# The most clusters that are tried if their number is not given.
_MOST = 10


@renamed(bad="on_unreadable")
def cluster(
    model,
    table,
    clusters=None,
    method="kmeans",
    labels=None,
    tower=None,
    seed=0,
    batch_size=None,
    base_dir=None,
    on_unreadable="error",
):
    """Clusters rows by their embeddings, without labels.

    The embedding of a row is the fused vector of its modalities, an autoencoder's
    code, or the sum of a retriever's towers. Missing modalities are masked. Rows whose
    inputs are all missing have no cluster: -1.

    Examples:

    >>> result = keras_mm.evaluation.cluster(model, test, labels="category")
    >>> result.clusters.shape
    (6,)
    >>> list(result.scores)
    ['silhouette', 'normalized_mutual_information', 'adjusted_rand_index']
    >>> result.plot(pictures=test["image"]).savefig("clusters.png")

    Embeddings are scaled to unit length, so that their squared Euclidean distance is
    2 - 2 cosine, the similarity that retrievers are trained on; the norm of a
    classifier's embedding reflects confidence, not content. Embeddings of autoencoders
    and of models that predict numbers alone keep their norm, which carries information.

    Late fusions have no fused vector: their embedding is the concatenation of each
    modality's mean token, scaled to unit length; for the hybrid fusion it is the
    vector of its early part.

    Args:
        model: a model made by a builder.
        table: rows with the model's columns, in any form that
            `keras_mm.data.to_table` reads.
        clusters: int, number of clusters, 2 or more. None: the number of classes in
            `labels`; without labels, the number from 2 to 10 with the largest mean
            silhouette (of 2,000 rows drawn at random, if there are more). It is
            printed.
        method: `"kmeans"`, the best of ten initialisations; `"agglomerative"` (Ward),
            whose memory grows with the square of the rows; or `"gaussian"`, a mixture
            of Gaussians with diagonal covariances.
        labels: string, a column of classes to compare the clusters with; rows without
            a label are clustered, but not compared. Default: none.
        tower: string, the tower of a retriever to use. Default: all towers.
        seed: int.
        batch_size: int, 32 if not given.
        base_dir: folder that relative file paths start from.
        on_unreadable: `"error"` or `"missing"`, as in `model.fit`.

    Returns:
        `Clusters`.

    Raises:
        ValueError: if the model has no embeddings, the column does not exist, or there
            are fewer rows than clusters.

    Reference:
        Dhillon and Modha 2001, "Concept Decompositions for Large Sparse Text Data
        Using Clustering" (k-means by cosine; here the centres keep their length);
        Rousseeuw 1987, "Silhouettes".
    """
    # All arguments are checked before the model runs.
    embed = Embedder(model, tower)
    table = embed.schema.replace_missing_cells(to_table(table))
    if method not in _METHODS:
        raise ValueError(
            f"`method` must be one of {list(_METHODS)}. Received: method={method!r}"
        )
    names = None if labels is None else _names(table, labels)
    if clusters is None and names is not None:
        clusters = len(set(names) - {None})
        print(f"{clusters} clusters, as many as classes in column {labels!r}.")
    _check_count(clusters, len(table), "the table has")

    vectors, present = embed(table, batch_size, base_dir, on_unreadable)
    numbers = np.full(len(table), -1)
    _check_count(clusters, int(present.sum()), "have any inputs")
    if clusters is None:
        numbers[present] = _best(vectors[present], method, seed)
    else:
        numbers[present] = _partition(vectors[present], clusters, method, seed)
    return Clusters(vectors, numbers, names, labels, seed)


def _names(table, column):
    """The label of each row as text; None where it is missing."""
    require_columns(table.columns, [column])
    cells = cells_in(table[column])
    names = [None if is_missing(cell) else to_name(cell) for cell in cells]
    if len(set(names) - {None}) < 2:
        raise ValueError(
            "`labels` must be a column of two classes or more. Leave it out and pass "
            "the number of clusters. "
            f"Received: labels={column!r}, classes {sorted(set(names) - {None})}"
        )
    return names


def _check_count(clusters, rows, what):
    if clusters is None and rows > 2:
        return
    if not isinstance(clusters, (int, np.integer)) or not 2 <= clusters <= rows:
        raise ValueError(
            f"`clusters` must be an int from 2 to the number of rows: {rows} {what}. "
            "For three rows or more it may be None, to choose it automatically. "
            f"Received: clusters={clusters!r}"
        )


def _partition(vectors, count, method, seed):
    """The cluster of each vector; 0 is the largest cluster."""
    from sklearn.cluster import AgglomerativeClustering, KMeans
    from sklearn.mixture import GaussianMixture

    if method == "kmeans":
        model = KMeans(count, n_init=10, random_state=seed)
    elif method == "agglomerative":
        model = AgglomerativeClustering(count)
    else:
        model = GaussianMixture(count, covariance_type="diag", random_state=seed)
        # float32 is not precise enough for variances of long vectors.
        vectors = vectors.astype("float64")
    numbers = model.fit_predict(vectors)
    _, first, place, sizes = np.unique(
        numbers, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.argsort(np.lexsort((first, -sizes)))
    return rank[place]


def _best(vectors, method, seed):
    """The partition with the largest silhouette."""
    tried = {}
    for count in range(2, min(_MOST, len(vectors) - 1) + 1):
        numbers = _partition(vectors, count, method, seed)
        tried[count] = silhouette(vectors, numbers, seed), numbers
    best = max(tried, key=lambda count: np.nan_to_num(tried[count][0], nan=-1.0))
    values = ", ".join(f"{count}: {value:.2f}" for count, (value, _) in tried.items())
    print(f"{best} clusters, by the largest silhouette ({values}).")
    return tried[best][1]
