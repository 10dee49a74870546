"""Numbers of any unit -> numbers around 0 that a network can read."""

import numpy as np

# What is larger in size is missing: `float32` has no room to compute with it.
LARGEST = 1e30
# Standard deviations up to which a number is read as it is.
FAR = 10.0
# How many times the usual distance from the median makes an outlier.
_OUTLIER = 100.0


def mean_and_std(values, robust=True):
    """Mean and standard deviation along the first axis, of what is not NaN.

    The deviation is 1 where all values are the same, so that it can be divided
    by; rounding leaves a tiny spread there.

    Args:
        values: `float64` array, with a known value in each column.
        robust: bool, whether outliers are left out: what is a hundred times
            farther from the median than half of the values that are not the
            median itself.
    """
    values = np.asarray(values, "float64")
    if robust:
        distance = np.abs(values - np.nanmedian(values, axis=0))
        usual = np.where(distance > 0, distance, np.nan)
        # A column of one value only has no usual distance.
        known = ~np.isnan(usual).all(axis=0)
        usual = np.nanmedian(np.where(known, usual, np.inf), axis=0)
        values = np.where(distance > _OUTLIER * usual, np.nan, values)
    mean, std = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    constant = std <= 1e-12 * np.maximum(np.abs(mean), 1e-30)
    return mean, np.where(constant, 1.0, std)


def known_numbers(raw):
    """Raw numbers -> `float64`, NaN where they are missing. TensorFlow graph ops.

    Infinities and what is larger than 1e30 in size are missing.
    """
    import tensorflow as tf

    values = tf.cast(raw, tf.float64)
    return tf.where(tf.abs(values) <= LARGEST, values, np.nan)


def standardize(values, mean, std):
    """`(value - mean) / std`, in `float64` until then. TensorFlow graph ops.

    Args:
        values: `float64` tensor.
        mean: float, or one for each entry of the last axis; None: as it is.
        std: as `mean`.
    """
    import tensorflow as tf

    if mean is not None:
        values = (values - tf.constant(mean, tf.float64)) / tf.constant(std, tf.float64)
    return tf.cast(values, tf.float32)


def draw_near(values):
    """Brings outliers near, in order: `z` beyond 10 is `10 + log(1 + |z| - 10)`.

    An outlier of a thousand million standard deviations would drive the network
    out of all bounds; this one is 31. TensorFlow graph ops.
    """
    import tensorflow as tf

    beyond = tf.maximum(tf.abs(values) - FAR, 0.0)
    return tf.sign(values) * (tf.minimum(tf.abs(values), FAR) + tf.math.log1p(beyond))
