"""Errors about rows, optional packages and targets; warnings at the user's line."""

import sys
import warnings


def rows_text(rows, limit=5):
    """`[3, 7, 9]` -> `"rows 3, 7, 9"`, cut after `limit` rows."""
    rows = [int(row) for row in rows]
    first = ", ".join(str(row) for row in rows[:limit])
    more = f" and {len(rows) - limit} more" if len(rows) > limit else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {first}{more}"


class RowsError(ValueError):
    """An error about some rows of a table.

    Args:
        before: string, the message up to the rows' numbers: what is wrong.
        rows: list of ints, row numbers.
        after: string, the rest of the message: how to mend it.
    """

    def __init__(self, before, rows, after):
        self.rows = [int(row) for row in rows]
        self._text = before, after
        super().__init__(
            f"{before} {rows_text(self.rows)} ({len(self.rows)} in all, counted from "
            f"0){after}"
        )

    def renumbered(self, numbers):
        """The same error, with the rows' numbers in another table.

        Args:
            numbers: list of ints, each row's number in that table.
        """
        before, after = self._text
        return RowsError(before, sorted(numbers[row] for row in self.rows), after)


def refuse_rows(name, rows, what, remedy, value):
    """Raises a `RowsError` about cells of a column."""
    text = repr(value)
    if len(text) > 80:
        text = text[:77] + "..."
    raise RowsError(
        f"Column {name!r}: {what} in", rows, f". {remedy} Received: {name}={text}"
    )


def warn(text, category=UserWarning):
    """Issues a warning at the line of the user's code that called the package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals["__name__"].split(".")[0] == __package__:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)


def missing_extra(package, extra):
    """The error for an optional package that is not installed."""
    return ImportError(
        f"This needs the package {package!r}, which is not installed. "
        f'Install it with: python -m pip install "keras_mm[{extra}]". '
        f"Received: import {package}"
    )


def without_target(what):
    """The error if a function needs a target and the schema has none."""
    return ValueError(
        "This needs a target, and the schema has none. A retriever is scored by "
        "keras_mm.evaluation.score_retrieval; its vectors are returned by `embed`. "
        f"Received: {what}"
    )
