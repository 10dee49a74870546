from ..data import to_table
from ..data.columns import require_columns
from ..data.targets import encode_targets


def score(model, table, withhold=(), base_dir=None, bad="error"):
    """How good a model's predictions are on the rows of a table.

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
        bad: `"error"` or `"missing"`, as in `model.fit`.

    Returns:
        dict of floats. Classes: `accuracy`, `macro_recall`, `macro_f1`; several
        labels: `macro_f1`, `micro_f1`, `exact_match`; numbers:
        `mean_absolute_error`, `root_mean_squared_error`, `r2`. Of several targets
        a dict of such dicts, each over the rows that have the label; empty where
        none has.
    """
    table = to_table(table)
    schema = model.schema
    require_columns(schema.inputs, withhold)
    truth = encode_targets(table, schema)
    predicted = predict_without(model, table, withhold, base_dir=base_dir, bad=bad)
    if not schema.has_several_targets:
        return schema.target.score(truth, predicted)
    scores = {}
    for name, target in schema.targets.items():
        known = target.is_known(truth[name])
        answer = truth[name][known], predicted[name][known]
        scores[name] = target.score(*answer) if known.any() else {}
    return scores


def predict_without(model, table, withhold=(), **kwargs):
    """Predictions for a table with some inputs treated as missing."""
    table = to_table(table).assign(**{name: None for name in withhold})
    return model.predict(table, verbose=0, **kwargs)
