import numpy as np
from keras import ops


def expert_weights(model):
    """How much each modality's own prediction counts in a late or hybrid fusion.

    `model.fit` finds these weights on the validation rows. An expert without which their
    loss is clearly lower has a weight of 0; so have all others if the best one alone is
    better than all together. They only predict rows in which all others are absent.

    Examples:

    >>> model = keras_mm.build_classifier(schema)
    >>> weights = keras_mm.evaluation.expert_weights(model)
    >>> sorted(weights["category"])
    ['image', 'joint', 'text']

    Args:
        model: a model made by a builder.

    Returns:
        dict from target to a dict from expert to its weight in a row that has all
        modalities. Experts are the modalities and, in a hybrid fusion, `"joint"`, the
        one that reads all of them. Targets of other fusions are left out.
    """
    weights = {}
    for target, layer in model.late_fusions().items():
        if not layer.weighs:
            continue
        count = layer.weight_logits.shape[0]
        shares = layer.shares(ops.ones((1, count), dtype="bool"))
        names = [*model.modalities, "joint"][:count]
        shares = ops.convert_to_numpy(shares)[0]
        # An expert that is left out has a logit far below the others.
        shares = np.where(shares < 1e-9, 0.0, shares).tolist()
        weights[target] = dict(zip(names, shares, strict=True))
    return weights
