import numpy as np

# Most entries of a matrix of weights in memory.
_MOST = 2**24


class Bootstrap:
    """Bootstrap resampling of rows, for paired confidence intervals.

    All calls use the same resamples, so the scores of two models can be subtracted:
    the differences are paired.

    Examples:

    >>> draws = keras_mm.evaluation.bootstrap.Bootstrap(4)
    >>> draws.interval(numpy.arange(101.0)).tolist()
    [2.5, 97.5]

    Args:
        rows: int.
        groups: array `(rows,)`; rows with the same value are not independent and are
            drawn together. None: each row by itself.
        resamples: int.
        seed: int.

    Reference:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap".
    """

    def __init__(self, rows, groups=None, resamples=1000, seed=0):
        self.group = np.arange(rows)
        if groups is not None:
            _, self.group = np.unique(groups, return_inverse=True)
        self.resamples = resamples
        self.seed = seed
        # The weights, if they are small enough to keep.
        self._kept = None

    def part(self, rows):
        """The bootstrap of some of the rows."""
        return Bootstrap(len(rows), self.group[rows], self.resamples, self.seed)

    def scores(self, target, metric, truth, predicted):
        """The metric in each resample: float array `(resamples,)`."""
        return np.concatenate(
            [
                target.score(truth, predicted, weights)[metric]
                for weights in self._weights()
            ]
        )

    def _weights(self):
        """How often each row is drawn: arrays `(some resamples, rows)`."""
        if self._kept is not None:
            return self._kept
        drawn = self._drawn()
        if self.resamples * len(self.group) <= _MOST:
            self._kept = drawn = list(drawn)
        return drawn

    def _drawn(self):
        random = np.random.default_rng(self.seed)
        units = self.group.max() + 1
        size = max(1, _MOST // len(self.group))
        for start in range(0, self.resamples, size):
            count = min(size, self.resamples - start)
            drawn = random.integers(0, units, (count, units))
            drawn += np.arange(count)[:, None] * units
            counts = np.bincount(drawn.ravel(), minlength=count * units)
            yield counts.reshape(count, units)[:, self.group].astype(float)

    @staticmethod
    def interval(scores):
        """The 95% percentile interval: float array of two."""
        return np.percentile(scores, [2.5, 97.5])
