"""Which metric is meant."""

from ..errors import without_target


def metric_of(target, metric=None):
    """The metric's name, or the target's usual one; refuses unknown names."""
    if target is None:
        raise without_target(f"target=None, metric={metric!r}")
    known = list(target.metrics)
    if metric is not None and metric not in known:
        raise ValueError(
            f"`metric` must be one of {known} for this target. "
            f"Received: metric={metric!r}"
        )
    return metric or known[0]
