import warnings

import numpy as np


def folds(table, count, groups=None, stratify=None, seed=0):
    """Assigns each row to a fold of a cross-validation.

    Rows of a group are in the same fold; a class with fewer rows than folds occurs
    only in some of them.

    Args:
        table: DataFrame.
        count: int, number of folds, 2 or more.
        groups: name of a column whose equal values stay in one fold, or None.
        stratify: name of a column whose values should be equally frequent in all
            folds, or None.
        seed: int; the same seed gives the same folds.

    Returns:
        int array `(rows,)`, from 0 to `count - 1`.
    """
    from sklearn import model_selection

    group = None if groups is None else texts(table[groups])
    label = None if stratify is None else texts(table[stratify])
    names = {
        (False, False): "KFold",
        (True, False): "GroupKFold",
        (False, True): "StratifiedKFold",
        (True, True): "StratifiedGroupKFold",
    }
    name = names[group is not None, label is not None]
    splitter = getattr(model_selection, name)(count, shuffle=True, random_state=seed)
    fold = np.zeros(len(table), dtype=int)
    with warnings.catch_warnings():
        # Real tables have classes with fewer rows than folds.
        warnings.simplefilter("ignore", UserWarning)
        for number, (_, rows) in enumerate(splitter.split(table, label, group)):
            fold[rows] = number
    return fold


def texts(column):
    """A column as text; missing cells are equal to each other."""
    import pandas as pd

    return pd.Series([str(cell) for cell in column])
