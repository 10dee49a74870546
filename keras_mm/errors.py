"""Messages for people: which rows are wrong, and what a missing cell is."""


def rows_text(rows, limit=5):
    """`[3, 7, 9]` -> `"rows 3, 7, 9"`, cut after `limit` rows."""
    rows = [int(row) for row in rows]
    shown = ", ".join(str(row) for row in rows[:limit])
    more = f" and {len(rows) - limit} more" if len(rows) > limit else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {shown}{more}"


def refuse_rows(name, rows, what, remedy, value):
    """Raises a `ValueError` that names the rows of a column that are wrong."""
    rows, text = list(rows), repr(value)
    if len(text) > 80:
        text = text[:77] + "..."
    raise ValueError(
        f"Column {name!r}: {what} in {rows_text(rows)} "
        f"({len(rows)} in all, counted from 0). {remedy} "
        f"Received: {name}={text}"
    )


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
