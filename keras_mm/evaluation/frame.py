import numpy as np

from ..errors import without_target
from ..inputs import ClassLabel, MultiLabel


def to_frame(predictions, schema):
    """A model's predictions as a table for people.

    Examples:

    >>> keras_mm.evaluation.to_frame(model.predict(test), model.schema).head()

    Args:
        predictions: what `model.predict` gave: an array, or of several targets a
            dict of arrays.
        schema: the model's `Schema`.

    Returns:
        DataFrame with the predicted class, labels or number under the target's
        name, and for classes and labels one column `name_class` of
        probabilities for each; the columns of several targets side by side.
    """
    import pandas as pd

    if not schema.targets:
        raise without_target(f"inputs={list(schema.inputs)}, targets=[]")
    if not schema.has_several_targets:
        predictions = {schema.target_name: predictions}
    parts = [_of_target(predictions[n], n, t) for n, t in schema.targets.items()]
    return pd.concat(parts, axis=1)


def _of_target(predictions, name, target):
    import pandas as pd

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
