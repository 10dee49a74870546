import numpy as np

from ..inputs.cells import to_name


def class_weights(target, label, class_weight):
    """One weight per row: `weights_of_classes` at each row's class.

    Args:
        target: encoded labels, indices or one-hot.
        label: the `ClassLabel`.
        class_weight: `"balanced"` or a dict.
    """
    target = label.to_labels(target)
    return weights_of_classes(label, class_weight, target)[target]


def weights_of_classes(label, class_weight, target):
    """One weight per class, `float32`.

    `"balanced"` gives every class the same total weight: rows / (classes *
    rows of the class).

    A key is a class name, in any form that a cell may have: 1, 1.0 and "1" are the
    class "1", whatever its index. Only if no class name is a number, integer keys
    are indices, as in Keras.

    Args:
        label: the `ClassLabel`.
        class_weight: `"balanced"` or a dict from class to weight; the default
            weight is 1.
        target: encoded labels, `(rows,)` indices.

    Reference:
        King and Zeng 2001, "Logistic regression in rare events data".
    """
    if label.kind != "class" or target.dtype.kind not in "iu":
        raise ValueError(
            "`class_weight` needs one class a row (ClassLabel). "
            f"Received: class_weight={class_weight!r}"
        )
    names = label.names
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                "`class_weight` must be 'balanced' or a dict. "
                f"Received: class_weight={class_weight!r}"
            )
        counts = np.bincount(target, minlength=len(names))
        weights = len(target) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return weights.astype("float32")
    weights, keys = np.ones(len(names), "float32"), {}
    places = label.places(with_indices=True)
    for key, value in class_weight.items():
        place = places.get(to_name(key))
        if place is None:
            raise ValueError(
                f"`class_weight` has an unknown class. The classes are {names}. "
                f"Received: class_weight={class_weight!r}"
            )
        if place in keys:
            raise ValueError(
                f"`class_weight` names the class {names[place]!r} twice, as "
                f"{keys[place]!r} and as {key!r}. "
                f"Received: class_weight={class_weight!r}"
            )
        weights[place], keys[place] = value, key
    return weights
