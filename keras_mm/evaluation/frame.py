import numpy as np

from ..inputs import ClassLabel, MultiLabel


def to_frame(predictions, schema):
    """A model's predictions as a table for people.

    Examples:

    >>> keras_mm.evaluation.to_frame(model.predict(test), model.schema).head()

    Args:
        predictions: array that `model.predict` gave.
        schema: the model's `Schema`.

    Returns:
        DataFrame with the predicted class, labels or number under the target's
        name, and for classes and labels one column `name_class` of
        probabilities for each.
    """
    import pandas as pd

    name, target = schema.target_name, schema.target
    if isinstance(target, ClassLabel):
        best = np.array(target.names, dtype=object)[predictions.argmax(axis=1)]
    elif isinstance(target, MultiLabel):
        best = [
            target.separator.join(
                label
                for label, share in zip(target.names, row)
                if share >= target.threshold
            )
            for row in predictions
        ]
    else:
        return pd.DataFrame({name: predictions.reshape(-1)})
    columns = {
        f"{name}_{label}": predictions[:, index]
        for index, label in enumerate(target.names)
    }
    return pd.DataFrame({name: best, **columns})
