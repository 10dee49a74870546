"""The distribution of a column of numbers: quantiles, and the normal scores they give."""

import numpy as np

# Intervals between the quantiles that are kept.
_STEPS = 256


def learn_quantiles(values):
    """Quantiles of a column at equal steps of probability, from minimum to maximum.

    Args:
        values: `float64` array, NaN where missing, with at least one number.

    Returns:
        list of floats. Each is a value of the column: one that is frequent is there
        several times.
    """
    levels = np.linspace(0.0, 1.0, _STEPS + 1)
    return np.nanquantile(values, levels, method="inverted_cdf").tolist()


def normal_quantiles():
    """The quantiles of the normal distribution."""
    from scipy.special import ndtri

    return ndtri((np.arange(_STEPS + 1) + 0.5) / (_STEPS + 1)).tolist()


def normal_scores(quantiles):
    """The quantile of the normal distribution at each different value's level.

    A frequent value has the level of the middle of its rows. Scores have mean 0 and
    variance 1 over the rows.

    Args:
        quantiles: list, the result of `learn_quantiles`.

    Returns:
        Increasing values and increasing scores, `float64` arrays.
    """
    from scipy.special import ndtri

    values, first, counts = np.unique(quantiles, return_index=True, return_counts=True)
    levels = (first + (counts - 1) / 2 + 0.5) / len(quantiles)
    scores = ndtri(levels)
    mean = np.average(scores, weights=counts)
    std = np.sqrt(np.average((scores - mean) ** 2, weights=counts))
    return values, (scores - mean) / (std or 1.0)


def bin_edges(quantiles, bins):
    """Edges of bins with equally many rows, in normal scores.

    Args:
        quantiles: list, the result of `learn_quantiles`.
        bins: int, how many bins at most: a frequent value may span several.

    Returns:
        Increasing `float64` array of 2 to `bins + 1` edges.
    """
    values, scores = normal_scores(quantiles)
    places = np.linspace(0, len(quantiles) - 1, bins + 1).round().astype(int)
    edges = np.unique(scores[np.searchsorted(values, np.asarray(quantiles)[places])])
    # Of a column of one value: a bin that it is below.
    return edges if len(edges) > 1 else np.append(edges, edges + 1.0)


def interpolate(numbers, values, scores):
    """Numbers -> scores, linear between the values. TensorFlow graph ops.

    Numbers beyond the first or last value get its score: what a model predicts for
    them is what it has learned at the edge.

    Args:
        numbers: `float64` tensor, NaN where missing.
        values: increasing array.
        scores: array of the same length.

    Returns:
        `float32` tensor, NaN where missing.
    """
    import tensorflow as tf

    last = len(values) - 1
    values = tf.constant(values, tf.float64)
    scores = tf.constant(scores, tf.float64)
    upper = tf.searchsorted(values, tf.reshape(numbers, [-1]), side="right")
    upper = tf.reshape(tf.clip_by_value(upper, min(1, last), last), tf.shape(numbers))
    lower = tf.maximum(upper - 1, 0)
    start, end = tf.gather(values, lower), tf.gather(values, upper)
    share = tf.math.divide_no_nan(numbers - start, end - start)
    share = tf.clip_by_value(share, 0.0, 1.0)
    below, above = tf.gather(scores, lower), tf.gather(scores, upper)
    result = below + share * (above - below)
    # Clipping may turn NaN into a number.
    return tf.cast(tf.where(tf.math.is_nan(numbers), numbers, result), tf.float32)


def log_statistics(quantiles):
    """Smallest value, and mean and standard deviation of the logarithms.

    Args:
        quantiles: list of positive floats, the result of `learn_quantiles`.
    """
    logs = np.log(quantiles)
    return float(quantiles[0]), float(logs.mean()), float(logs.std() or 1.0)


def check_positive(values, name):
    """Raises a `ValueError` if a column has no logarithm.

    Args:
        values: `float64` array, NaN where missing.
        name: string, the column's name.
    """
    if np.nanmin(values) > 0:
        return
    raise ValueError(
        f"Column {name!r} has numbers that are not positive, which have no logarithm. "
        f"Use scale='quantile'. Received: {name} with a minimum of {np.nanmin(values):g}"
    )
