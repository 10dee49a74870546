from ..inputs import Number
from .number_target import NumberTarget
from .target import Target


def as_target(value, name="target"):
    """A target of a schema as a `Target`; `keras_mm.Number()` becomes a `NumberTarget`.

    Raises:
        ValueError: if it cannot be a target.
    """
    if isinstance(value, Target):
        return value
    if isinstance(value, Number):
        return NumberTarget(value.mean, value.std, value.quantiles, value.scale)
    raise ValueError(
        "A target must be a keras_mm.ClassLabel(), keras_mm.MultiLabel() or "
        f"keras_mm.Number(). Received: targets[{name!r}]={value!r}"
    )
