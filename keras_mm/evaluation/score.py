from ..data import to_table
from ..data.columns import require_columns
from ..data.raw import encode_targets
from ..deprecated import renamed


@renamed(bad="on_unreadable")
def score(model, table, withhold=(), base_dir=None, on_unreadable="error"):
    """Scores a model's predictions on the rows of a table.

    Examples:

    >>> scores = keras_mm.evaluation.score(model, test)
    >>> sorted(scores)
    ['accuracy', 'macro_f1', 'macro_recall']
    >>> without = keras_mm.evaluation.score(model, test, withhold=["image"])

    Args:
        model: a model made by a builder.
        table: rows with the target, in any form that `keras_mm.data.to_table`
            reads.
        withhold: names of inputs to treat as missing in every row.
        base_dir: folder that relative file paths start from.
        on_unreadable: `"error"` or `"missing"`, as in `model.fit`.

    Returns:
        dict of floats. Classes: `accuracy`, `macro_recall`, `macro_f1`; several
        labels: `macro_f1`, `micro_f1`, `exact_match`; numbers:
        `mean_absolute_error`, `root_mean_squared_error`, `r2`. For several targets
        a dict of such dicts, each over the rows that have the label; empty if no
        row has it.
    """
    table = to_table(table)
    schema = model.schema
    require_columns(schema.inputs, withhold)
    labels = encode_targets(table, schema)
    predictions = predict_without(
        model, table, withhold, base_dir=base_dir, on_unreadable=on_unreadable
    )
    predictions, scores = schema.by_target(predictions), {}
    for name, target in schema.targets.items():
        mask = target.is_known(labels[name])
        labelled = labels[name][mask], predictions[name][mask]
        scores[name] = target.score(*labelled) if mask.any() else {}
    return schema.without_dict(scores)


@renamed(bad="on_unreadable")
def predict_without(model, table, withhold=(), **kwargs):
    """Predictions for a table with some inputs treated as missing."""
    table = to_table(table).assign(**{name: None for name in withhold})
    return model.predict(table, verbose=0, **kwargs)
