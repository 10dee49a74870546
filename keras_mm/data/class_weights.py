import numpy as np

from ..inputs.cells import to_name


def class_weights_of(class_weight, schema):
    """The class weights of each target: dict from target to `class_weight` or None.

    Args:
        class_weight: as in `weights_of_classes`; for several targets `"balanced"`,
            which applies to all targets of classes, or a dict by target.
        schema: `Schema`.

    Raises:
        ValueError: if no target has classes, or a dict has unknown targets.
    """
    if len(schema.targets) == 1:
        return {schema.target_name: class_weight}
    if isinstance(class_weight, str):
        class_weight = {
            name: class_weight
            for name, target in schema.targets.items()
            if target.kind == "class"
        }
    if not class_weight or set(class_weight) - set(schema.targets):
        raise ValueError(
            "For several targets, `class_weight` is 'balanced', or a dict from a target "
            "of classes to 'balanced' or to a dict from class to weight. Targets are "
            f"{list(schema.targets)}. Received: class_weight={class_weight!r}"
        )
    return dict.fromkeys(schema.targets) | class_weight


def class_weights(labels, target, class_weight):
    """One weight per row: `weights_of_classes` at each row's class.

    Args:
        labels: encoded labels, indices or one-hot; -1 where missing.
        target: the `ClassLabel`.
        class_weight: `"balanced"`, a dict, or None: each row has weight 1.
    """
    if class_weight is None:
        return np.ones(len(labels), "float32")
    labels = target.to_labels(labels)
    # A missing label, -1, takes the last weight, which is appended.
    weights = weights_of_classes(target, class_weight, labels)
    return np.append(weights, np.float32(1))[labels]


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
        target: encoded labels, `(rows,)` indices, -1 where missing.

    Reference:
        King and Zeng 2001, "Logistic regression in rare events data".
    """
    if label.kind != "class" or target.dtype.kind not in "iu":
        raise ValueError(
            "`class_weight` needs one class per row (ClassLabel). "
            f"Received: class_weight={class_weight!r}"
        )
    names = label.names
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                "`class_weight` must be 'balanced' or a dict. "
                f"Received: class_weight={class_weight!r}"
            )
        counts = np.bincount(target[target >= 0], minlength=len(names))
        used = max(np.count_nonzero(counts), 1)
        weights = counts.sum() / (used * np.maximum(counts, 1))
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
