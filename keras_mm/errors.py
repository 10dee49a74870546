"""Messages for people: which rows are wrong, and what a missing cell is."""

import sys
import warnings


def rows_text(rows, limit=5):
    """`[3, 7, 9]` -> `"rows 3, 7, 9"`, cut after `limit` rows."""
    rows = [int(row) for row in rows]
    shown = ", ".join(str(row) for row in rows[:limit])
    more = f" and {len(rows) - limit} more" if len(rows) > limit else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {shown}{more}"


class RowsError(ValueError):
    """Rows of a table that are wrong.

    Args:
        before: string, what is wrong, up to the rows' numbers.
        rows: list of ints.
        after: string, how to mend it.
    """

    def __init__(self, before, rows, after):
        self.rows = [int(row) for row in rows]
        self._text = before, after
        super().__init__(
            f"{before} {rows_text(self.rows)} ({len(self.rows)} in all, counted from "
            f"0){after}"
        )

    def renumbered(self, numbers):
        """The same error about the rows that these are in another table.

        Args:
            numbers: list of ints, each row's number there.
        """
        before, after = self._text
        return RowsError(before, sorted(numbers[row] for row in self.rows), after)


def refuse_rows(name, rows, what, remedy, value):
    """Raises a `RowsError` that names the rows of a column that are wrong."""
    text = repr(value)
    if len(text) > 80:
        text = text[:77] + "..."
    raise RowsError(
        f"Column {name!r}: {what} in", rows, f". {remedy} Received: {name}={text}"
    )


def warn(text, category=UserWarning):
    """Warns of the line outside this package that has called into it."""
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
    """The error for what needs a target, when the schema has none."""
    return ValueError(
        "This needs a target, and the schema has none. A retriever is scored by "
        "keras_mm.evaluation.score_retrieval; its vectors are what its `embed` gives. "
        f"Received: {what}"
    )
