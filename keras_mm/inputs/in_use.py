"""An input or target that belongs to a model cannot be adapted again."""


def refuse_in_use(value, name):
    """Raises a `ValueError` if an input or target of a model would be adapted again.

    Args:
        value: `Input` or `Target`.
        name: string, its column.
    """
    if getattr(value, "is_in_use", False) and value.is_adapted:
        raise ValueError(
            f"Column {name!r} is a model's, whose weights stand for what it has "
            "learned: this vocabulary, these classes or these means. Build another "
            "model from a copy: "
            "keras_mm.Schema.from_config(model.schema.get_config()).adapt(table). "
            f"Received: {name}={value!r}"
        )
