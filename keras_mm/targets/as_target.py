from ..inputs import Number
from .number_target import NumberTarget
from .target import Target


def as_target(value, name="target"):
    """What stands on the right side of a schema, as a `Target`.

    `keras_mm.Number()` may stand on either side.

    Raises:
        ValueError: if it is none.
    """
    if isinstance(value, Target):
        return value
    if isinstance(value, Number):
        return NumberTarget(**value.get_config())
    raise ValueError(
        "A target must be a keras_mm.ClassLabel(), keras_mm.MultiLabel() or "
        f"keras_mm.Number(). Received: targets[{name!r}]={value!r}"
    )
