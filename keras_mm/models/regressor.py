from ..inputs import Number
from .build import as_schema, wire_from


def build_regressor(
    schema,
    encoders=None,
    fusion=None,
    modality_dropout=0.3,
    missing_token=False,
    imputation=False,
    hidden_units="usual",
    dropout=0.0,
    optimizer=None,
    learning_rates=None,
    heads=None,
    seed=None,
):
    """Builds a compiled model that predicts a number from several modalities.

    Examples:

    >>> schema = keras_mm.Schema(
    ...     inputs={"image": keras_mm.Image(), "rooms": keras_mm.Number()},
    ...     targets={"price": keras_mm.Number()}).adapt(train)
    >>> model = keras_mm.build_regressor(schema)

    Args:
        schema: an adapted `Schema` whose target is a `Number`; or a dict of
            inputs, for arrays.
        encoders: as in `build_classifier`.
        fusion: as in `build_classifier`.
        modality_dropout: as in `build_classifier`.
        missing_token: as in `build_classifier`.
        imputation: as in `build_classifier`.
        hidden_units: int, units of a Dense layer before the output, or None;
            `"usual"`: as in `build_model`.
        dropout: float, dropout rate before the output.
        optimizer: Keras optimizer or its name.
        learning_rates: as in `build_classifier`.
        heads: as in `build_classifier`.
        seed: int, for initialisation, dropout and the order of the rows.

    Returns:
        A compiled functional `keras.Model` with the attribute `schema`, which outputs
        `(batch, 1)` in the target's own unit. It is trained on the standardised target,
        so the loss is in standard deviations. (With a dict of inputs the target's scale
        is unknown: standardise it yourself, or pass a schema.)
    """
    schema = as_schema(schema, Number())
    if len(schema.targets) != 1:
        raise ValueError(
            "A regressor has one target. For several use "
            f"keras_mm.build_multitask. Received: targets={list(schema.targets)}"
        )
    if schema.target.kind != "number":
        raise ValueError(
            "A regressor's target is a Number; for classes use "
            f"keras_mm.build_classifier. Received: targets={schema.targets}"
        )
    return wire_from(locals())
