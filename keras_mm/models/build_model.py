from ..data import Schema
from .build import as_schema, wire_from


def build_model(
    schema,
    encoders=None,
    fusion=None,
    modality_dropout=0.3,
    missing_token=False,
    imputation=False,
    hidden_units="usual",
    dropout=0.0,
    label_smoothing=0.0,
    loss_weights=None,
    optimizer=None,
    learning_rates=None,
    heads=None,
    seed=None,
):
    """Builds a compiled model for any targets.

    The general form of `build_classifier`, `build_regressor` and `build_multitask`,
    which also supports other kinds of targets, such as custom ones.

    Examples:

    >>> model = keras_mm.build_model(schema)
    >>> model.predict(test, verbose=0).shape
    (6, 3)

    Args:
        schema: an adapted `Schema` with one target or more.
        encoders: as in `build_classifier`.
        fusion: as in `build_classifier`; for several targets the default is `"gated"`.
            Late fusions and the hybrid fusion have experts per target.
        modality_dropout: as in `build_classifier`.
        missing_token: as in `build_classifier`.
        imputation: as in `build_classifier`.
        hidden_units: int, units of a Dense layer before the outputs, which they share,
            or None; `"usual"`: depends on the targets (none for classes, 64 for a
            number and for several targets) and on the inputs (with numbers or
            categories, two hidden layers of 128 in their expert and in the joint one).
        dropout: float, dropout rate before the outputs. In the default fusion of numbers
            and categories, 0 stands for 0.1.
        label_smoothing: float, share of each class label spread over all classes.
        loss_weights: dict from a target's name to the weight of its loss. Default: 1.
        optimizer: Keras optimizer or its name.
        learning_rates: as in `build_classifier`.
        heads: as in `build_classifier`.
        seed: int, for initialisation, dropout and the order of the rows.

    Returns:
        A compiled functional `keras.Model` with the attribute `schema`, which outputs
        the target's predictions, for several targets a dict from name to predictions.

    Raises:
        ValueError: if the schema is not adapted or has no target, or a name is unknown.
    """
    if not isinstance(schema, Schema) or not schema.targets:
        raise ValueError(
            "The first argument must be a keras_mm.Schema with a target. "
            f"Received: schema={schema!r}"
        )
    schema = as_schema(schema, None)
    return wire_from(locals())
