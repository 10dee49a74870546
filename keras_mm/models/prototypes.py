"""Class prototypes: embeddings of names and means of examples."""

import numpy as np
from keras import ops

from ..data import to_table
from ..data.columns import require_columns
from .unit import unit


def classify(
    retriever, table, classes, template, examples, label, mixture, tower, text, **kwargs
):
    """See `Retriever.classify`."""
    if not 0 <= mixture <= 1 or (examples is None) != (label is None):
        raise ValueError(
            "`mixture` must be between 0 and 1; `examples` and `label`, the column "
            "of their classes, go together. "
            f"Received: mixture={mixture}, label={label!r}, "
            f"examples={'None' if examples is None else 'a table'}"
        )
    if not len(classes):
        raise ValueError(f"There are no classes. Received: classes={classes!r}")
    if len(set(classes)) < len(classes):
        raise ValueError(f"Classes must be unique. Received: classes={classes!r}")
    if tower is None or text is not None or examples is None or mixture < 1:
        text, tower = _text_and_other(retriever, text, tower)
    weights = np.zeros(len(classes))
    means = 0.0
    if examples is not None:
        means, weights = _prototypes(retriever, examples, label, classes, tower, kwargs)
        weights = weights * mixture
    named = 0.0
    if (weights < 1).any():
        text, tower = _text_and_other(retriever, text, tower)
        named = _named(retriever, classes, template, text, kwargs)
    weights = weights[:, np.newaxis]
    points = unit(weights * means + (1 - weights) * named)
    vectors = retriever.embed(table, tower, **kwargs)
    logits = retriever.similarity.logits(vectors, points)
    return ops.convert_to_numpy(ops.softmax(logits, axis=1))


def _text_and_other(retriever, text, tower):
    """The towers of names and of rows, inferred where None."""
    readers = [
        name
        for name, columns in retriever.towers.items()
        if len(columns) == 1 and retriever.schema.inputs[columns[0]].kind == "text"
    ]
    if text is None and len([n for n in readers if n != tower]) == 1:
        (text,) = [n for n in readers if n != tower]
    if text not in readers:
        raise ValueError(
            "`text` must be a tower that reads one text column: one of "
            f"{readers}. Received: text={text!r}"
        )
    others = [name for name in retriever.towers if name != text]
    if tower is None and len(others) == 1:
        (tower,) = others
    if tower is None or tower not in retriever.towers:
        raise ValueError(
            "`tower` must name the tower that embeds the rows: one of "
            f"{list(retriever.towers)}. Received: tower={tower!r}"
        )
    return text, tower


def _named(retriever, classes, template, text, kwargs):
    """The embedding of each class's name: unit vectors."""
    import pandas as pd

    templates = [template] if isinstance(template, str) else list(template)
    wrong = [t for t in templates if t.count("{}") != 1]
    if wrong or not templates:
        raise ValueError(
            "A template must have one {} where the name of the class goes. "
            f"Received: template={template!r}"
        )
    texts, numbers = [], []
    for number, name in enumerate(classes):
        entry = classes[name] if isinstance(classes, dict) else name
        for text_of in entry if isinstance(entry, (list, tuple)) else [entry]:
            texts += [t.replace("{}", str(text_of)) for t in templates]
            numbers += [number] * len(templates)
    (column,) = retriever.towers[text]
    table = pd.DataFrame({column: pd.Series(texts, dtype=object)})
    vectors = retriever.embed(table, text, kwargs.get("batch_size"))
    sums = np.zeros((len(classes), vectors.shape[1]), "float32")
    np.add.at(sums, numbers, vectors)
    return unit(sums)


def _prototypes(retriever, examples, label, classes, tower, kwargs):
    """Unit means of the examples, and which classes have any."""
    examples = to_table(examples)
    require_columns(examples.columns, [label])
    names = {name: number for number, name in enumerate(classes)}
    unknown = set(examples[label]) - set(names)
    if unknown:
        raise ValueError(
            f"The examples have classes that are not in `classes`: pass rows of "
            f"{list(names)} only. Received: {label}={sorted(map(str, unknown))}"
        )
    vectors = retriever.embed(examples.drop(columns=label), tower, **kwargs)
    sums = np.zeros((len(names), vectors.shape[1]), "float32")
    np.add.at(sums, [names[name] for name in examples[label]], vectors)
    return unit(sums), np.any(sums != 0, axis=1).astype(float)
