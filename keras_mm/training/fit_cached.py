import keras
import numpy as np

from ..data import to_dataset, to_table
from ..data.raw import encode_targets
from ..data.weights import combined_weights
from ..deprecated import renamed
from ..encoders.pretrained import renew_lora
from ..errors import RowsError
from ..models.graph import rest_of
from ..models.late import check_late, weigh_experts
from ..models.rows import pair_of, with_target
from ..models.seeded import seeded
from ..models.training_settings import training_settings
from .token_cache import TokenCache, encoder_digest, row_digests


@renamed(bad="on_unreadable")
def fit_cached(
    model,
    table,
    validation_data=None,
    folder=None,
    batch_size=None,
    class_weight=None,
    sample_weight=None,
    base_dir=None,
    on_unreadable="error",
    **kwargs,
):
    """Trains a model on cached outputs of its frozen encoders.

    The output of an encoder without trainable weights is the same in every epoch,
    except for augmentation and dropout in it, which are disabled here. It is computed
    once, and with `folder` cached on disk for later runs: a file for each encoder, named
    by a hash of its weights and settings, holds each row by a hash of what it holds.
    Rows that are new are encoded and added. A file may be deleted at any time, and one
    that cannot be read is computed again. The rest of the model is then trained on
    the cached tokens; it shares its weights with the model.

    Examples:

    >>> model.encoders["text"].trainable = False
    >>> model.compile("adam", model.loss, metrics=["accuracy"])
    >>> history = keras_mm.training.fit_cached(
    ...     model, train, validation_data=validation, folder="cache", epochs=2)

    Args:
        model: a compiled model made by a builder. Encoders without trainable weights
            are frozen; see `encoders.Hub`.
        table: rows, with the target if the model has one, in any form that
            `keras_mm.data.to_table` reads; they must fit in memory as tokens.
        validation_data: rows in the same forms, or None.
        folder: folder to cache the tokens in, or None. It takes 2 GB at the most: the
            encoders that were used longest ago are deleted.
        batch_size: int; if not given, as in `model.fit`.
        class_weight: as in `model.fit`.
        sample_weight: as in `model.fit`.
        base_dir: as in `model.fit`.
        on_unreadable: as in `model.fit`.
        **kwargs: other arguments of `keras.Model.fit`: `epochs`, `callbacks`... In
            callbacks, `self.model` is the rest of the model; saving it saves the
            whole model.

    Returns:
        `keras.callbacks.History`.

    Raises:
        ValueError: if no encoder is frozen.
    """
    if batch_size is None:
        batch_size = training_settings(model.schema.rows).batch_size
    objective = model.objective
    objective.before_fit(model, table, None, class_weight, sample_weight)
    frozen = [
        name
        for name, encoder in model.encoders.items()
        # An encoder without any weights is cheap.
        if encoder.weights and not encoder.trainable_weights
    ]
    if not frozen:
        raise ValueError(
            "No encoder of the model is frozen, so there is nothing to cache. Set "
            "model.encoders['...'].trainable = False and compile again, "
            f"or use model.fit. Received: model={model.name!r}"
        )
    late = next(iter(model.late_fusions().values()), None)
    if late is not None and late.out_of_fold:
        raise ValueError(
            "Stacking trains encoders and heads once per fold: use model.fit. "
            f"Received: fusion={late!r}"
        )
    if late is not None:
        check_late(late, table, validation_data)
    renew_lora(model)
    rest = rest_of(model, frozen)
    rest.compile(optimizer=model.optimizer, **_settings_of(model))
    rest.mark_as_rest_of(model)

    def tensors_of(rows):
        rows = to_table(rows)
        return _tensors_of(
            model, frozen, rows, folder, batch_size, base_dir, on_unreadable
        )

    table = to_table(table)
    inputs, labels = tensors_of(table)
    by_target = model.schema.by_target(labels)
    kwargs["sample_weight"] = combined_weights(
        table, by_target, model.schema, class_weight, sample_weight
    )
    if validation_data is not None:
        rows, own, weights = pair_of(validation_data)
        rows = to_table(with_target(rows, own, model.schema))
        validation = tensors_of(rows)
        if weights is not None:
            labels_of = model.schema.by_target(validation[1])
            weights = combined_weights(
                rows, labels_of, model.schema, sample_weight=weights
            )
            validation = (*validation, weights)
        kwargs["validation_data"] = validation
    # The rest of `model.fit` for tables is done above and below.
    with seeded(model.seed):
        history = keras.Model.fit(rest, inputs, labels, batch_size=batch_size, **kwargs)
    objective.after_fit(model)
    if late is not None and late.weighs and validation_data is not None:
        weigh_experts(rest, kwargs["validation_data"])
    return history


def _settings_of(model):
    """The arguments of the model's `compile`, except the optimizer."""
    config = dict(model.compile_settings())
    del config["optimizer"], config["loss"]
    return {**keras.saving.deserialize_keras_object(config), "loss": model.loss}


def _tensors_of(model, frozen, rows, folder, batch_size, base_dir, on_unreadable):
    """Inputs of the rest of the model, in order, and the labels."""
    labels = model.objective.table_labels(model, rows)
    if labels is None:
        labels = model.schema.without_dict(encode_targets(rows, model.schema))
    read = model.wiring.read_only_by(frozen)
    tokens = {}
    for name in frozen:
        tokens[name] = _tokens(
            name, model, rows, folder, batch_size, base_dir, on_unreadable
        )
    others = [tensor.name for tensor in model.inputs if tensor.name not in read]
    inputs = []
    if others:
        dataset = to_dataset(
            rows,
            model.schema.part(others),
            256,
            base_dir=base_dir,
            on_unreadable=on_unreadable,
        )
        batches = [entry[0] for entry in dataset.as_numpy_iterator()]
        inputs = [np.concatenate([batch[n] for batch in batches]) for n in others]
    inputs += [array for name in frozen for array in tokens[name]]
    return inputs, labels


def _tokens(modality, model, rows, folder, batch_size, base_dir, on_unreadable):
    """Tokens and mask of a modality, from the folder where it has them."""
    how = batch_size, base_dir, on_unreadable
    if folder is None:
        return _encode(modality, model, rows, *how)
    columns, schema = model.modalities[modality], model.schema
    layer = model.encoders[modality]
    digest = encoder_digest(layer, schema, columns, modality, on_unreadable)

    def encode(chosen):
        part = rows.iloc[chosen].reset_index(drop=True)
        try:
            return _encode(modality, model, part, *how)
        except RowsError as error:
            raise error.renumbered(chosen) from error

    keys = row_digests(rows, schema, columns, base_dir, on_unreadable)
    return TokenCache(folder, digest).tokens(keys, encode)


def _encode(modality, model, rows, batch_size, base_dir, on_unreadable):
    names = model.modalities[modality]
    dataset = to_dataset(
        rows,
        model.schema.part(names),
        batch_size,
        base_dir=base_dir,
        on_unreadable=on_unreadable,
    )
    dataset = dataset.map(lambda inputs: (tuple(inputs[name] for name in names),))
    tokens, mask = model.encoders[modality].predict(dataset, verbose=0)
    # NumPy files do not support bfloat16.
    return [tokens.astype("float32") if tokens.dtype.kind == "V" else tokens, mask]
