"""Columns of tables, whatever kind of table it is."""

import difflib

from .row_cells import series, without_gaps


def is_dataset(source):
    """Whether `source` is a `tf.data.Dataset`, without importing TensorFlow."""
    return hasattr(source, "element_spec") and hasattr(source, "prefetch")


def column_of(source, name):
    """One column as a pandas Series.

    Args:
        source: a table in any form, or a `tf.data.Dataset` of dicts.
        name: string.

    Raises:
        ValueError: if there is no such column; the nearest name is suggested.
    """
    from .to_table import to_table

    if is_dataset(source):
        spec = source.element_spec
        if not isinstance(spec, dict):
            raise ValueError(
                "A tf.data.Dataset of rows must give dicts, one entry a "
                f"column. Received: element_spec={spec}"
            )
        require_columns(spec, [name])
        column = source.map(lambda row: without_gaps(row[name]))
        return series(list(column.as_numpy_iterator()))
    table = to_table(source)
    require_columns(table.columns, [name])
    return table[name]


def require_columns(columns, names):
    """Raises a `ValueError` for each name that is no column."""
    columns = [str(column) for column in columns]
    for name in names:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"The table has no column {name!r}.{hint} Received: columns={columns}"
            )
