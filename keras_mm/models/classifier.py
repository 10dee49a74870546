from ..data import Schema
from ..inputs import Image, Text
from ..targets import ClassLabel
from .build import as_schema, textbook_model, wire_from


def build_classifier(
    schema=None,
    num_classes=None,
    encoders=None,
    fusion=None,
    modality_dropout=0.3,
    missing_token=False,
    imputation=False,
    hidden_units="usual",
    dropout=0.0,
    label_smoothing=0.0,
    optimizer=None,
    learning_rates=None,
    heads=None,
    seed=None,
):
    """Builds a compiled multimodal classifier.

    Without any argument it is the textbook model: an image of (224, 224, 3)
    through Conv2D, MaxPooling2D and Flatten, a text of 100 tokens out of 10,000
    through Embedding and LSTM, Concatenate, and Dense with ten classes.

    Examples:

    >>> model = keras_mm.build_classifier(schema, fusion="gated")
    >>> model.fit(train, validation_data=validation, epochs=20)

    Args:
        schema: an adapted `Schema` whose target is a `ClassLabel` or
            `MultiLabel`; or a dict of inputs, for arrays, with `num_classes`.
        num_classes: int, for a dict of inputs and for the textbook model.
        encoders: dict from a modality's or column's name to an encoder: a name
            (`keras_mm.encoders.ENCODERS`), an `Encoder` object, or your own
            layer, model or function. Default: depends on the input's type. A list
            of several for one column, such as `{"text": ["ngrams", "lstm"]}`, makes
            each a modality of its own (`text-ngrams`, `text-lstm`) of the same column.
            `"pretrained"`, in place of the dict or of an encoder: a small frozen
            KerasHub backbone for each image, text or audio column
            (`keras_mm.encoders.PRESETS`), of texts and sounds beside the default
            encoder; `"pretrained:<folder>"` takes it from a folder of presets.
            All numbers, dates and categories are one modality, `"tabular"`; with an
            encoder for `"numbers"` or `"categories"` they are two.
        fusion: name (`keras_mm.fusion.FUSIONS`), object, or your own layer,
            called with a list of tokens and a list of masks. Default: `"hybrid"`;
            with numbers or categories, their expert and the joint one are ensembles of
            networks with hidden layers (`Hybrid(Concat(), hidden_units=[128, 128],
            dropout=0.1, members=16, linear=[...])`, and `LateMean` if there is nothing
            else); for a single modality of another kind `"concat"`, which leaves it as
            it is.
        modality_dropout: float, share of the training rows in which some modalities
            are masked, never all; see `fusion.ModalityDropout`.
        missing_token: bool, whether an absent modality has a learned token
            instead of being left out.
        imputation: bool, whether an absent modality is predicted from those that
            are present; see `fusion.Imputation`.
        hidden_units: int, units of a Dense layer before the output, or None;
            `"usual"`: as in `build_model`.
        dropout: float, dropout rate before the output; see `build_model`.
        label_smoothing: float, share of each label spread over all classes.
        optimizer: Keras optimizer or its name.
        learning_rates: dict from a modality's name to the learning rate of its
            encoder (of its pretrained part, if it has one).
        heads: dict from the target's name to a head, such as
            `keras_mm.heads.Dense(hidden_units=64)`.
        seed: int, for initialisation, dropout and the order of the rows.

    Returns:
        A compiled functional `keras.Model` with the attribute `schema`, which outputs
        probabilities `(batch, classes)`.

    Raises:
        ValueError: if the schema is not adapted, or a name is unknown.
    """
    if schema is None:
        schema = Schema.of_arrays(
            inputs={
                "image": Image((224, 224), augmentation=None),
                "text": Text(
                    sequence_length=100, vocabulary_size=10_000, tokens="words"
                ),
            },
            targets={"category": ClassLabel(num_classes=num_classes or 10)},
        )
        return textbook_model(schema, seed)
    if isinstance(schema, dict) and num_classes is None:
        raise ValueError(
            "A dict of inputs needs the number of classes, too. "
            "Received: num_classes=None"
        )
    schema = as_schema(schema, ClassLabel(num_classes=num_classes))
    if len(schema.targets) != 1:
        raise ValueError(
            "A classifier has one target. For several use "
            f"keras_mm.build_multitask. Received: targets={list(schema.targets)}"
        )
    if schema.target.kind not in ("class", "labels"):
        raise ValueError(
            "A classifier's target is a ClassLabel or MultiLabel; for a Number "
            "use keras_mm.build_regressor. "
            f"Received: targets={schema.targets}"
        )
    return wire_from(locals())
