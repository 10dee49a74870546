"""Choice of metrics by target."""

from ..errors import without_target


def metrics_of(schema, metric=None):
    """The metric of each target of a schema; refuses unknown names.

    Args:
        schema: `Schema`.
        metric: name of a metric if there is one target; or a dict from target to
            name. Default: each target's usual one.

    Returns:
        dict from target to the metric's name.
    """
    targets = schema.targets
    if not targets:
        raise without_target(f"targets=[], metric={metric!r}")
    if len(targets) > 1 and not isinstance(metric, (dict, type(None))):
        usual = {name: target.metrics[0] for name, target in targets.items()}
        raise ValueError(
            "For several targets, `metric` is a dict from target to the name of its "
            f"metric, such as {usual}. Received: metric={metric!r}"
        )
    metric = {} if metric is None else schema.by_target(metric)
    unknown = [name for name in metric if name not in targets]
    if unknown:
        raise ValueError(
            f"`metric` has unknown targets. Targets are {list(targets)}. "
            f"Received: metric={metric}"
        )
    return {name: metric_of(t, metric.get(name)) for name, t in targets.items()}


def metric_of(target, metric=None):
    """The metric's name, or the target's usual one; refuses unknown names."""
    metrics = list(target.metrics)
    if metric is not None and metric not in metrics:
        raise ValueError(
            f"`metric` must be one of {metrics} for this target. "
            f"Received: metric={metric!r}"
        )
    return metric or metrics[0]
