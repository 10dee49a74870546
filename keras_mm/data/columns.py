"""Columns of tables of any kind."""

import difflib
import numbers

from ..errors import warn
from .row_cells import series, without_gaps


def is_dataset(source):
    """Whether `source` is a `tf.data.Dataset`, without importing TensorFlow."""
    return hasattr(source, "element_spec") and hasattr(source, "prefetch")


def column_name(name):
    """The name that `to_table` gives a column: 0 is `"0"`; others are unchanged."""
    return str(name) if isinstance(name, numbers.Integral) else name


def column_of(source, name):
    """One column as a pandas Series.

    Args:
        source: a table in any form, or a `tf.data.Dataset` of dicts.
        name: string.

    Raises:
        ValueError: if there is no such column; the closest name is suggested.
    """
    from .to_table import to_table

    if is_dataset(source):
        spec = source.element_spec
        if not isinstance(spec, dict):
            raise ValueError(
                "A tf.data.Dataset of rows must give dicts, one entry per "
                f"column. Received: element_spec={spec}"
            )
        require_columns(spec, [name])
        column = source.map(lambda row: without_gaps(row[name]))
        return series(list(column.as_numpy_iterator()))
    table = to_table(source)
    require_columns(table.columns, [name])
    return table[name]


def require_columns(columns, names):
    """Raises a `ValueError` unless each name is a column."""
    columns = [str(column) for column in columns]
    for name in names:
        if name not in columns:
            raise ValueError(f"{_absent(name, columns)} Received: columns={columns}")


def refuse_batches(specs, schema):
    """Raises a `ValueError` for a dataset of batches in place of rows.

    Args:
        specs: dict from column name to the `tf.TypeSpec` of its cells.
        schema: `Schema`.
    """
    for name, value in {**schema.inputs, **schema.targets}.items():
        if value.raw_shape:
            continue
        spec = specs.get(name)
        shape = getattr(spec, "shape", None)
        if shape is None or not shape.rank or set(shape) == {1}:
            continue
        if getattr(value, "is_file", False) and spec.dtype.name != "string":
            continue
        raise ValueError(
            f"A tf.data.Dataset of rows gives one cell per column, and {name!r} has "
            "several: these are batches. Pass dataset.unbatch(), or leave out "
            "batch(). If they are tensors, pass tuples: (inputs, target), or "
            f"dataset.map(lambda inputs: (inputs,)). Received: {name}={spec}"
        )


def fill_absent(table, names):
    """Adds columns of missing cells for absent columns, with a warning.

    Args:
        table: a table in any form, or a `tf.data.Dataset` of dicts.
        names: names of columns; at least one of them must exist.

    Returns:
        A DataFrame or a dataset.
    """
    if not is_dataset(table):
        from .to_table import to_table

        table = to_table(table)
    columns = [str(c) for c in (table.element_spec if is_dataset(table) else table)]
    absent = [name for name in names if name not in columns]
    if not absent:
        return table
    if len(absent) == len(list(names)):
        require_columns(columns, names)
    warn(
        " ".join(_absent(name, columns) for name in absent)
        + " Its cells count as missing."
    )
    if is_dataset(table):
        return table.map(lambda row: {**row, **dict.fromkeys(absent, "")})
    return table.assign(**dict.fromkeys(absent))


def _absent(name, columns):
    near = difflib.get_close_matches(str(name), columns, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"The table has no column {name!r}.{hint}"
