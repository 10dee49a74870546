class EnsembleReport:
    """What was tried for an ensemble, how well it predicts unseen rows, and the weights.

    Scores are of out-of-fold predictions: each row is predicted by models that were
    trained without it. (Its fold decided when their training stopped, and all rows decided
    the weights: rows that took no part at all are a stricter test.)

    Examples:

    >>> report = keras_mm.models.EnsembleReport(
    ...     [{"candidate": "default", "folds": 5, "seconds": 2.0, "weight": 1.0}], 30, 2.5)
    >>> print(report)
    candidate  folds  seconds  weight
      default      5        2       1
    30 rows predicted out of fold, 2.5 seconds

    Args:
        lines: list of dicts, one for each candidate and one for the ensemble.
        rows: int, number of rows that were predicted out of fold.
        seconds: float, the time of everything.
        left_out: list of strings, what the time limit left out.
    """

    def __init__(self, lines, rows, seconds, left_out=()):
        self.lines = [dict(line) for line in lines]
        self.rows = rows
        self.seconds = seconds
        self.left_out = list(left_out)

    def to_frame(self):
        """A DataFrame with one row for each candidate and one for the ensemble."""
        import pandas as pd

        return pd.DataFrame(self.lines)

    def __str__(self):
        frame = self.to_frame()
        text = frame.to_string(index=False, na_rep="", float_format="{:.4g}".format)
        text += f"\n{self.rows} rows predicted out of fold, {self.seconds:.1f} seconds"
        return "\n".join([text, *(f"Left out: {one}" for one in self.left_out)])

    __repr__ = __str__

    def get_config(self):
        """The constructor's arguments, as plain data."""
        return {
            "lines": self.lines,
            "rows": self.rows,
            "seconds": self.seconds,
            "left_out": self.left_out,
        }
