from ..errors import without_target


def to_frame(predictions, schema):
    """A model's predictions as a readable DataFrame.

    Examples:

    >>> keras_mm.evaluation.to_frame(model.predict(test), model.schema).head()

    Args:
        predictions: output of `model.predict`: an array, or for several targets a
            dict of arrays.
        schema: the model's `Schema`.

    Returns:
        DataFrame with the predicted class, labels or number in a column with the
        target's name, and for classes and labels one column of probabilities each,
        `<target>_<class>`; the columns of several targets side by side.
    """
    import pandas as pd

    if not schema.targets:
        raise without_target(f"inputs={list(schema.inputs)}, targets=[]")
    predictions = schema.by_target(predictions)
    columns = [t.to_columns(predictions[n], n) for n, t in schema.targets.items()]
    return pd.concat([pd.DataFrame(part) for part in columns], axis=1)
