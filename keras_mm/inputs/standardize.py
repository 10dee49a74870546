"""Numbers of any unit -> standardised numbers around 0."""

import numpy as np

# Larger absolute values count as missing: computing with them overflows `float32`.
LARGEST = 1e30
# Standard deviations beyond which numbers are compressed.
FAR = 10.0
# An outlier is this many times farther from the median than usual.
_OUTLIER = 100.0


def mean_and_std(values, robust=True):
    """Mean and standard deviation along the first axis, ignoring NaN.

    The deviation is 1 where all values are the same, up to rounding, so that it can
    be divided by.

    Args:
        values: `float64` array, with at least one number in each column.
        robust: bool, whether to leave out outliers, which are a hundred times
            farther from the median than the median distance (of the values that
            differ from the median).
    """
    values = np.asarray(values, "float64")
    if robust:
        distance = np.abs(values - np.nanmedian(values, axis=0))
        usual = np.where(distance > 0, distance, np.nan)
        # A column of one value only has no usual distance.
        varies = ~np.isnan(usual).all(axis=0)
        usual = np.nanmedian(np.where(varies, usual, np.inf), axis=0)
        values = np.where(distance > _OUTLIER * usual, np.nan, values)
    mean, std = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    constant = std <= 1e-12 * np.maximum(np.abs(mean), 1e-30)
    return mean, np.where(constant, 1.0, std)


def finite_numbers(raw):
    """Raw numbers -> `float64`, NaN where they are missing. TensorFlow graph ops.

    Infinities and absolute values above 1e30 are missing.
    """
    import tensorflow as tf

    values = tf.cast(raw, tf.float64)
    return tf.where(tf.abs(values) <= LARGEST, values, np.nan)


def standardize(values, mean, std):
    """`(value - mean) / std`, computed in `float64`. TensorFlow graph ops.

    Args:
        values: `float64` tensor.
        mean: float, or one for each entry of the last axis; None: unscaled.
        std: as `mean`.
    """
    import tensorflow as tf

    if mean is not None:
        values = (values - tf.constant(mean, tf.float64)) / tf.constant(std, tf.float64)
    return tf.cast(values, tf.float32)


def compress_outliers(values):
    """Compresses outliers, keeping their order: beyond 10, `10 + log(1 + |z| - 10)`.

    A billion standard deviations would make the network diverge; they become 31.
    TensorFlow graph ops.
    """
    import tensorflow as tf

    beyond = tf.maximum(tf.abs(values) - FAR, 0.0)
    return tf.sign(values) * (tf.minimum(tf.abs(values), FAR) + tf.math.log1p(beyond))
