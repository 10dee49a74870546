from ..data import Schema
from .build import as_schema, wire_from


def build_multitask(
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
    """Builds a compiled model that predicts several targets at once.

    Encoders and fusion are shared, and each target has an output layer. Labels
    may be missing: None, NaN or `""` in a table; in tensors -1 for a class, NaN
    for a number and a row of NaN for a `MultiLabel`. Missing labels are masked in
    loss and metrics; each row needs at least one label.

    To compile the model again, pass `loss=model.loss`, which masks missing labels, and
    `loss_weights`.

    Examples:

    >>> schema = keras_mm.Schema(
    ...     inputs={"image": keras_mm.Image((96, 96)), "text": keras_mm.Text()},
    ...     targets={"category": keras_mm.ClassLabel(),
    ...              "price": keras_mm.Number()}).adapt(train)
    >>> model = keras_mm.build_multitask(schema)
    >>> sorted(model.predict(test, verbose=0))
    ['category', 'price']

    Args:
        schema: an adapted `Schema` with two targets or more.
        encoders: as in `build_classifier`.
        fusion: as in `build_classifier`. Default: `"gated"`. Late fusions and the
            hybrid fusion have experts per target.
        modality_dropout: as in `build_classifier`.
        missing_token: as in `build_classifier`.
        imputation: as in `build_classifier`.
        hidden_units: int, units of a Dense layer that the outputs share, or None;
            `"usual"`: 64.
        dropout: float, dropout rate before the outputs.
        label_smoothing: float, share of each class label spread over all classes.
        loss_weights: dict from a target's name to the weight of its loss. Default: 1.
            The loss of a number is in standard deviations, so it does not depend on
            the unit.
        optimizer: Keras optimizer or its name.
        learning_rates: as in `build_classifier`.
        heads: as in `build_classifier`.
        seed: int, for initialisation, dropout and the order of the rows.

    Returns:
        A compiled functional `keras.Model` with the attribute `schema`, which outputs
        a dict from target name to probabilities `(batch, classes)`, or to `(batch, 1)`
        in the number's own unit.

    Raises:
        ValueError: if the schema is not adapted or has one target only, or a
            name is unknown.

    Reference:
        Caruana 1997, "Multitask Learning".
    """
    if not isinstance(schema, Schema):
        raise ValueError(
            "The first argument must be a keras_mm.Schema with several targets. "
            f"Received: {type(schema).__name__}"
        )
    schema = as_schema(schema, None)
    if len(schema.targets) < 2:
        raise ValueError(
            "A multitask model needs two targets or more. For one use "
            "keras_mm.build_classifier or keras_mm.build_regressor. "
            f"Received: targets={list(schema.targets)}"
        )
    return wire_from(locals())
