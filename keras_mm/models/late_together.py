"""Weights of experts, fitted on rows that several trainings of one model held out."""

import numpy as np

from .late import _Answers, _answers, _row_losses, _weigh


def weighs(model):
    """Whether a model has experts whose weights `fit` finds on validation rows."""
    return any(layer.weighs for layer in model.late_fusions().values())


def answers_of_experts(model, rows):
    """What a model's experts predict for rows that it was not trained on.

    Args:
        model: `MultimodalModel`.
        rows: dataset of `(inputs, target)` or `(inputs, target, weight)`.

    Returns:
        dict from target to scores, presence, labels and row weights.
    """
    return _answers(model, rows) if weighs(model) else {}


def weigh_together(model, answers):
    """Fits the experts' weights and scales to the answers of several trainings.

    So many more rows count than one training holds out.

    Args:
        model: `MultimodalModel`.
        answers: list of `answers_of_experts`, one for each training.

    Returns:
        list of the variables that were set.
    """
    fitted = []
    for name, layer in model.late_fusions().items() if weighs(model) else ():
        pooled = _Answers(*map(np.concatenate, zip(*(one[name] for one in answers))))
        if pooled.counts.any():
            _weigh(layer, _row_losses(model, name), pooled)
            fitted += [layer.weight_logits, layer.scale]
    return fitted
