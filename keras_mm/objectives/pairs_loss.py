"""The loss of a retriever over pairs of towers."""

from keras import ops


def pairs_loss(objective, similarity, y, vectors, training):
    """Mean loss over all pairs of towers, both ways; adds the batch to the memory.

    Args:
        objective: `Contrastive`.
        similarity: the `Similarity` layer of the model.
        y: ids of content, the labels of `Contrastive`, or group ids alone.
        vectors: dict of embeddings.
        training: bool.
    """
    names = list(objective.towers)
    ids = _ids(y, ops.shape(vectors[names[0]])[0], len(names) + 1)
    remembers = bool(training and similarity.memory)
    if remembers and y is None:
        raise ValueError(
            "A memory needs the rows' ids, or the same rows of past batches would be "
            "negatives. Train on a table, on arrays, or on a dataset with ids as "
            f"target. Received: memory={similarity.memory}"
        )
    losses = []
    for first, second in objective.pairs:
        for query, item in ((first, second), (second, first)):
            columns = [names.index(query), names.index(item), len(names)]
            one, other = vectors[query], vectors[item]
            own = ops.take(ids, columns, axis=1)
            matches = ops.logical_or(
                ops.eye(ops.shape(own)[0], dtype="bool"), _share(own, own)
            )
            if remembers:
                past = similarity.past[names.index(item)]
                past_ids = ops.take(similarity.past_ids, columns, axis=1)
                other = ops.concatenate([ops.cast(other, past.dtype), past])
                matches = ops.concatenate([matches, _share(own, past_ids)], 1)
            present = ops.logical_and(_present(one)[:, None], _present(other)[None])
            labels = ops.where(present, ops.cast(matches, "float32"), -1.0)
            logits = similarity.logits(one, other)
            counts = ops.cast(ops.any(labels > 0, axis=1), "float32")
            each = objective.pair_loss.call(labels, logits) * counts
            losses.append(ops.divide_no_nan(ops.sum(each), ops.sum(counts)))
    if remembers:
        similarity.remember([vectors[name] for name in names], ids)
    return sum(losses) / len(losses)


def _ids(y, rows, width):
    """The ids as a matrix; -1 where unknown."""
    if y is None:
        return ops.full((rows, width), -1, dtype="int32")
    y = ops.cast(ops.convert_to_tensor(y), "int32")
    y = ops.expand_dims(y, 1) if len(y.shape) == 1 else y
    if len(y.shape) != 2 or y.shape[1] not in (1, width):
        raise ValueError(
            "Ids must be of shape (batch,), groups, or (batch, "
            f"{width}): one for each tower, and the group's. "
            f"Received: y of shape {tuple(y.shape)}"
        )
    if y.shape[1] == width:
        return y
    unknown = ops.full((rows, width - 1), -1, dtype="int32")
    return ops.concatenate([unknown, y], axis=1)


def _share(one, other):
    """Which rows share an id: bool `(n, m)`."""
    one, other = one[:, None], other[None]
    return ops.any(ops.logical_and(ops.equal(one, other), one >= 0), axis=2)


def _present(vectors):
    """Which rows are not 0."""
    return ops.any(ops.not_equal(vectors, 0), axis=1)
