import numpy as np

from .columns import column_name, require_columns
from .folds import folds, texts
from .to_table import to_table

_PARTS = (("train", "training"), ("validation", "val", "valid", "dev"), ("test",))


def split(
    table,
    by=None,
    fractions=(0.6, 0.2, 0.2),
    groups=None,
    stratify=None,
    seed=0,
):
    """Splits a table into training, validation and test rows.

    Examples:

    >>> train, validation, test = keras_mm.data.split(table, by="split")
    >>> train, test = keras_mm.data.split(
    ...     table, fractions=(0.8, 0.2), groups="author", stratify="category")

    Args:
        table: rows, in any form that `to_table` reads.
        by: name of a column that holds `train`, `validation` (or `val`) or `test`
            in every row.
        fractions: fraction of the rows in each part, summing to 1; ignored with
            `by`.
        groups: name of a column; rows with the same value stay in one part
            (images of one author, sounds of one speaker).
        stratify: name of a column whose values should be equally frequent in all
            parts, usually the target.
        seed: int; the same seed gives the same parts.

    Returns:
        list of DataFrames, in the order of the parts.
    """
    table = to_table(table)
    rows = split_rows(table, by, fractions, groups, stratify, seed)
    return [table.iloc[part].reset_index(drop=True) for part in rows]


def split_rows(table, by, fractions, groups=None, stratify=None, seed=0):
    """The sorted row numbers of each part; see `split`."""
    by, groups, stratify = map(column_name, (by, groups, stratify))
    if by is not None:
        return _split_by(table, by)
    if abs(sum(fractions) - 1) > 1e-6 or min(fractions) <= 0:
        raise ValueError(
            "`fractions` must be positive and sum to 1. "
            f"Received: fractions={fractions}"
        )
    require_columns(table.columns, [n for n in (groups, stratify) if n is not None])
    fold = _folds(table, groups, stratify, seed)
    # Small folds are assigned to the parts: the next one goes to the part with the
    # largest shortfall, so every part gets at least one.
    sizes = np.bincount(fold)
    wanted = np.array(fractions) * len(table)
    parts = [[] for _ in fractions]
    for number in np.argsort(-sizes, kind="stable"):
        held = np.array([sizes[part].sum() for part in parts])
        parts[int(np.argmax((wanted - held) / wanted))].append(number)
    if not all(parts):
        raise ValueError(
            "There are fewer groups than parts to split into. "
            f"Received: groups={groups!r}, fractions={fractions}"
        )
    return [np.flatnonzero(np.isin(fold, part)) for part in parts]


def with_rare_first(parts, table, groups, values):
    """Moves rows to the first part until it has every value that occurs in another.

    Args:
        parts: list of int arrays, the rows of each part.
        table: DataFrame.
        groups: name of a column whose equal values stay in one part, or None.
        values: a set for each of the table's rows.

    Returns:
        list of int arrays.
    """
    group = np.arange(len(table)) if groups is None else texts(table[groups])
    group, values = np.asarray(group), list(values)
    covered = set().union(*(values[row] for row in parts[0]))
    rest = np.concatenate(parts[1:])
    moved = group[[row for row in rest if not values[row] <= covered]]
    moved = rest[np.isin(group[rest], moved)]
    parts = [np.union1d(parts[0], moved)] + [np.setdiff1d(p, moved) for p in parts[1:]]
    if not all(map(len, parts)):
        raise ValueError(
            "Every row of a part has a label that does not occur in the first part: "
            "the labels are too rare to be split. Add rows, or choose the parts by "
            "hand. "
            f"Received: {len(table)} rows, groups={groups!r}"
        )
    return parts


def _folds(table, groups, stratify, seed, most=20):
    """Number of the fold that each row belongs to."""
    group = None if groups is None else texts(table[groups])
    label = None if stratify is None else texts(table[stratify])
    units = len(table) if group is None else group.nunique()
    count = min(most, units)
    if label is not None:
        if label.value_counts().max() < 2:
            raise ValueError(
                "All values in the column to stratify by are distinct: leave "
                f"`stratify` out. Received: stratify={stratify!r}"
            )
        # A class must be able to reach every fold, or nearly.
        count = max(2, min(count, int(label.value_counts().max())))
    if count < 2:
        raise ValueError(
            "A table of one row or one group cannot be split. "
            f"Received: {units} {'rows' if groups is None else 'groups'}"
        )
    return folds(table, count, groups, stratify, seed)


def _split_by(table, by):
    require_columns(table.columns, [by])
    values = texts(table[by]).str.lower()
    names = {name for part in _PARTS for name in part}
    unknown = sorted(set(values) - names)
    if unknown:
        raise ValueError(
            f"Column {by!r} must hold train, validation or test in every row. "
            f"Received: {by}={unknown[:5]}"
        )
    parts = [np.flatnonzero(values.isin(part)) for part in _PARTS]
    return [part for part in parts if len(part)]
