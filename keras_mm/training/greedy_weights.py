import numpy as np


def greedy_weights(loss, count, rounds=25):
    """Weights of an ensemble, chosen greedily with replacement.

    Starting with none, each round adds the model that makes the mean of those chosen
    best; a model may be chosen again. The weights are those of the best round: multiples
    of 1 over its number. Models that help nobody get 0.

    Examples:

    >>> from keras_mm.training.greedy_weights import greedy_weights
    >>> greedy_weights(lambda weights: abs(weights[0] - 0.75), 2).tolist()
    [0.75, 0.25]

    Args:
        loss: function from an array of weights that sum to 1 to a loss.
        count: int, number of models.
        rounds: int.

    Returns:
        float array `(count,)`.

    Reference:
        Caruana, Niculescu-Mizil, Crew and Ksikes 2004, "Ensemble Selection from
        Libraries of Models".
    """
    best, least = np.eye(count)[0], np.inf
    chosen = np.zeros(count)
    for number in range(1, (rounds if count > 1 else 0) + 1):
        tried = [loss((chosen + one) / number) for one in np.eye(count)]
        # The first of equal ones; a loss that is not a number is never the least.
        place = int(np.argmin(np.nan_to_num(tried, nan=np.inf)))
        chosen[place] += 1
        if tried[place] < least - 1e-9:
            best, least = chosen / number, tried[place]
    return best
