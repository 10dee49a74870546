"""A table's tensors, and perturbations of them."""

import numpy as np

from ..data import to_dataset
from ..inputs import Forms, Graph

_BATCH = 256


def table_tensors(table, schema, base_dir=None, on_unreadable="error"):
    """Table -> dict from column name to the model's input array."""
    dataset = to_dataset(
        table,
        schema,
        _BATCH,
        base_dir=base_dir,
        on_unreadable=on_unreadable,
        with_target=False,
    )
    batches = [batch for (batch,) in dataset.as_numpy_iterator()]
    return {
        name: np.concatenate([batch[name] for batch in batches])
        for name in schema.inputs
    }


def is_present(tensors, columns):
    """Whether a row has a value in any of the columns: bool array `(rows,)`."""
    return np.any([_is_present(tensors[name]) for name in columns], axis=0)


def _is_present(array):
    flat = array.reshape(len(array), -1)
    if np.issubdtype(array.dtype, np.integer):
        return (flat != 0).any(axis=1)
    return ~np.isnan(flat).all(axis=1)


def withhold(tensors, columns, rows=slice(None)):
    """The tensors, with columns missing in some rows; a missing id is 0."""
    changed = dict(tensors)
    for name in columns:
        array = tensors[name].copy()
        array[rows] = 0 if np.issubdtype(array.dtype, np.integer) else np.nan
        changed[name] = array
    return changed


def take(tensors, rows, columns=None):
    """Some rows of some columns."""
    return {name: tensors[name][rows] for name in columns or tensors}


def add_noise(tensors, schema, columns, level, random):
    """The tensors, with noise in the values of some columns.

    Numbers, audio, sequences and images get Gaussian noise of `level`
    standard deviations of the column; of texts and categories that share of ids
    is replaced by other ids of the column. Missing values stay missing. In a
    graph, noise is added to node features, not to edges.
    """

    def noisy(value, array):
        return _noisy(value, array, level, random)

    changed = dict(tensors)
    for name in columns:
        value, array = schema.inputs[name], tensors[name]
        if isinstance(value, Forms):
            # Ids of one form mean nothing in another.
            changed[name] = value.map(noisy, array)
        else:
            changed[name] = noisy(value, array)
    return changed


def _noisy(value, array, level, random):
    """A column's array with noise."""
    if np.issubdtype(array.dtype, np.integer):
        return _replace_ids(array, level, random)
    noisy = array.copy()
    part = noisy
    if isinstance(value, Graph):
        part = noisy[..., : value.node_features]
    if np.isnan(part).all():
        return array
    scale = np.nanstd(part, dtype="float64") * level
    part += (scale * random.standard_normal(part.shape)).astype(part.dtype)
    if value.kind in ("image", "video"):
        # Pixels are in [0, 1].
        np.clip(noisy, 0.0, 1.0, out=noisy)
    return noisy


def _replace_ids(array, level, random):
    ids = array[array != 0]
    if not len(ids):
        return array
    chosen = (random.random(array.shape) < level) & (array != 0)
    return np.where(chosen, random.choice(ids, array.shape), array)


def remove_cells(present, rate, random):
    """Chooses cells to remove, so that each row keeps one.

    Args:
        present: bool array `(rows, modalities)`.
        rate: float, share of the present cells to remove; limited by the cells that
            rows must keep.
        random: `numpy.random.Generator`.

    Returns:
        bool array `(rows, modalities)`, True where a cell is removed.
    """
    # Each row keeps one random cell.
    order = np.where(present, random.random(present.shape), 2.0)
    spared = order == order.min(axis=1, keepdims=True)
    free = np.flatnonzero(present & ~spared)
    wanted = min(int(round(rate * present.sum())), len(free))
    removed = np.zeros(present.size, dtype=bool)
    removed[random.permutation(free)[:wanted]] = True
    return removed.reshape(present.shape)
