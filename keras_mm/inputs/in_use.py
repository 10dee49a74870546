"""An input or target that belongs to a model cannot be adapted again."""


def refuse_in_use(value, name):
    """Raises a `ValueError` if an input or target of a model would be adapted again.

    Args:
        value: `Input` or `Target`.
        name: string, its column.
    """
    if getattr(value, "is_in_use", False) and value.is_adapted:
        raise ValueError(
            f"Column {name!r} belongs to a model, whose weights depend on its "
            "vocabulary, classes or means. Adapt a copy and build another model with "
            "it: "
            "keras_mm.Schema.from_config(model.schema.get_config()).adapt(table). "
            f"Received: {name}={value!r}"
        )
