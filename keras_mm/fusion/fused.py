from typing import Any, NamedTuple

# Call options of a fusion: the attribute that is set if the fusion has the option,
# and the number of results that it adds.
_OPTIONS = {
    "return_weights": ("weights_kind", 1),
    "return_tokens": ("tokens_kind", 2),
    "return_experts": ("has_experts", 2),
}


class Fused(NamedTuple):
    """The results of a fusion, as heads read them.

    A head that classifies reads `vector`; one that decodes or tags reads `tokens`
    and `mask`. Results that a fusion does not have are None.

    Examples:

    >>> fusion = keras_mm.fusion.Transformer(units=16)
    >>> fused = fusion.fuse([image_tokens, text_tokens], [image_mask, text_mask])
    >>> tuple(fused.vector.shape), tuple(fused.tokens.shape), tuple(fused.mask.shape)
    ((2, 16), (2, 8, 16), (2, 8))

    A function of your own may return one, too:

    >>> def first_modality(tokens, masks):
    ...     return keras_mm.fusion.Fused(tokens[0][:, 0], tokens[0], masks[0])
    >>> fused = keras_mm.fusion.fuse(first_modality, tokens, masks)

    Args:
        vector: float tensor `(batch, units)`.
        tokens: float tensor `(batch, length, dim)`, the fused tokens before they
            are pooled; 0 where the mask is False.
        mask: bool tensor `(batch, length)`, False for padding and for absent
            modalities.
        weights: tensor `(batch, modalities)`, or a list of attention maps.
        experts: of a late fusion, the logits of the experts' members `(batch, experts *
            members, units)` and whether each is present, bool of that shape without
            units.
    """

    vector: Any
    tokens: Any = None
    mask: Any = None
    weights: Any = None
    experts: Any = None


def fuse(fusion, tokens, masks, return_weights=True, return_tokens=True):
    """Calls a fusion once and returns all of its results as `Fused`.

    A layer or function of your own that is no `Fusion` may return a vector, a
    list that starts with it, or a `Fused`.

    Examples:

    >>> fusion = keras_mm.fusion.get("transformer")
    >>> fused = keras_mm.fusion.fuse(fusion, tokens, masks)
    >>> tuple(fused.vector.shape), tuple(fused.tokens.shape)
    ((2, 64), (2, 8, 64))

    Args:
        fusion: `Fusion`, other layer, or function.
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_weights: bool, whether to ask for weights, where it has some.
        return_tokens: bool, whether to ask for fused tokens, where it has some.

    Returns:
        `Fused`.

    Raises:
        ValueError: if it returns fewer results than its options promise.
    """
    unwanted = {
        "return_weights": not return_weights,
        "return_tokens": not return_tokens,
    }
    counts = {
        option: count
        for option, (attribute, count) in _OPTIONS.items()
        if not unwanted.get(option) and getattr(fusion, attribute, None)
    }
    results = fusion(tokens, masks, **dict.fromkeys(counts, True))
    if isinstance(results, Fused):
        return results
    if not isinstance(results, (list, tuple)):
        results = [results]
    expected = 1 + sum(counts.values())
    if len(results) < expected:
        raise ValueError(
            f"A fusion called with {', '.join(counts)} must return {expected} "
            "results: the vector, then those of each option in this order. "
            f"Received: results={len(results)} from fusion={fusion!r}"
        )
    vector, *rest = results
    parts = {}
    for option, count in counts.items():
        parts[option], rest = tuple(rest[:count]), rest[count:]
    (weights,) = parts.get("return_weights", [None])
    fused_tokens, mask = parts.get("return_tokens", [None, None])
    experts = parts.get("return_experts")
    return Fused(vector, fused_tokens, mask, weights, experts)
