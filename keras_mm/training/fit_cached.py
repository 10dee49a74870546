import hashlib
import json
import os
import re

import keras
import numpy as np

from ..data import to_dataset, to_table
from ..data.raw import read_files, to_raw
from ..data.targets import encode_targets
from ..data.weights import combined_weights, row_weights
from ..encoders.pretrained import renew_lora
from ..errors import without_target
from ..files import replacing
from ..models import Reranker, Retriever
from ..models.late import check_late, late_fusion, weigh_experts
from ..models.rest import rest_of
from ..models.rows import pair_of, with_target
from ..models.seeded import seeded
from ..names import columns_of_model, encoders_of


def fit_cached(
    model,
    table,
    validation_data=None,
    folder=None,
    batch_size=32,
    class_weight=None,
    sample_weight=None,
    base_dir=None,
    bad="error",
    **kwargs,
):
    """Trains a model without running its frozen encoders again and again.

    What an encoder without trainable weights gives for a row never changes, but for
    augmentation and dropout inside it, which are left out here. It is computed once,
    and with `folder` kept on disk for the next run: under a name that says which
    encoder with which weights made it, from which rows. The rest of the model then
    trains on that; the weights are the model's own.

    Examples:

    >>> model.encoders["text"].trainable = False
    >>> model.compile("adam", model.loss, metrics=["accuracy"])
    >>> history = keras_mm.training.fit_cached(
    ...     model, train, validation_data=validation, folder="cache", epochs=2)

    Args:
        model: a compiled model made by a builder. Its encoders of whose weights
            none is trainable are frozen; see `encoders.Hub`.
        table: rows, with the target if the model has one, in any form that
            `keras_mm.data.to_table` reads; they must fit in memory as tokens.
        validation_data: rows likewise, or None.
        folder: folder to keep the tokens in, or None.
        batch_size: int.
        class_weight: as in `model.fit`.
        sample_weight: as in `model.fit`.
        base_dir: as in `model.fit`.
        bad: as in `model.fit`.
        **kwargs: what `keras.Model.fit` takes besides: `epochs`, `callbacks`...
            Callbacks see the rest of the model as `self.model`; what they save is
            the whole.

    Returns:
        `keras.callbacks.History`.

    Raises:
        ValueError: if no encoder is frozen.
    """
    retrieves = isinstance(model, Retriever)
    # Refuses several targets before anything is encoded.
    if model.schema.target is None and not retrieves:
        raise without_target(f"model={model.name!r}")
    if retrieves and not (class_weight is None and sample_weight is None):
        raise ValueError(
            "A retriever has no classes, and its pairs no weights of rows. Received: "
            f"class_weight={class_weight!r}, sample_weight={sample_weight!r}"
        )
    frozen = [
        layer
        for layer in encoders_of(model).values()
        # One without any weights costs next to nothing.
        if layer.weights and not layer.trainable_weights
    ]
    if not frozen:
        raise ValueError(
            "No encoder of the model is frozen, so there is nothing to keep. Set "
            "model.encoders['...'].trainable = False and compile again, "
            f"or use model.fit. Received: model={model.name!r}"
        )
    late = late_fusion(model)
    if late is not None and late.out_of_fold:
        raise ValueError(
            "Stacking trains encoders and heads again and again: use model.fit. "
            f"Received: fusion={late!r}"
        )
    if late is not None:
        check_late(late, table, validation_data)
    renew_lora(model)
    if isinstance(model, Reranker):
        model.adapt_scores(table)
    rest = rest_of(model, frozen)
    rest.compile(optimizer=model.optimizer, **_settings_of(model))
    rest.save, rest.save_weights = model.save, model.save_weights
    rest.load_weights = model.load_weights

    def tensors_of(rows):
        rows = to_table(rows)
        return _tensors_of(model, frozen, rows, folder, batch_size, base_dir, bad)

    inputs, target = tensors_of(table)
    if retrieves:
        rest.forget()
    if not retrieves:
        kwargs["sample_weight"] = combined_weights(
            to_table(table), target, model.schema, class_weight, sample_weight
        )
    if validation_data is not None:
        rows, labels, weights = pair_of(validation_data)
        rows = to_table(with_target(rows, labels, model.schema))
        found = tensors_of(rows)
        if weights is not None:
            found = (*found, row_weights(rows, weights))
        kwargs["validation_data"] = found
    # What `model.fit` does besides, for tables, is done.
    with seeded(model.seed):
        history = keras.Model.fit(rest, inputs, target, batch_size=batch_size, **kwargs)
    if retrieves:
        rest.forget()
    if late is not None and late.weighs and validation_data is not None:
        weigh_experts(rest, kwargs["validation_data"])
    return history


def _settings_of(model):
    """What the model was compiled with besides the optimizer."""
    config = dict(model.compile_settings())
    del config["optimizer"], config["loss"]
    settings = keras.saving.deserialize_keras_object(config)
    return settings if isinstance(model, Retriever) else settings | {"loss": model.loss}


def _tensors_of(model, frozen, rows, folder, batch_size, base_dir, bad):
    """Inputs of the rest of the model, in order, and the target."""
    if isinstance(model, Retriever):
        target = model.row_ids(rows)
    else:
        target = encode_targets(rows, model.schema)
    read = {column for layer in frozen for column in columns_of_model(layer)}
    tokens = {}
    for layer in frozen:
        path = folder and os.path.join(
            folder, _fingerprint(layer, model, rows, base_dir, bad) + ".npz"
        )
        if path and os.path.exists(path):
            with np.load(path) as file:
                tokens[layer] = [file["tokens"], file["mask"]]
            continue
        tokens[layer] = _encode(layer, model, rows, batch_size, base_dir, bad)
        if path:
            os.makedirs(folder, exist_ok=True)
            with replacing(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, tokens=tokens[layer][0], mask=tokens[layer][1])
    others = [tensor.name for tensor in model.inputs if tensor.name not in read]
    inputs = []
    if others:
        dataset = to_dataset(
            rows, model.schema.part(others), 256, base_dir=base_dir, bad=bad
        )
        batches = [entry[0] for entry in dataset.as_numpy_iterator()]
        inputs = [np.concatenate([batch[n] for batch in batches]) for n in others]
    inputs += [array for layer in frozen for array in tokens[layer]]
    return inputs, target


def _encode(layer, model, rows, batch_size, base_dir, bad):
    names = columns_of_model(layer)
    dataset = to_dataset(
        rows, model.schema.part(names), batch_size, base_dir=base_dir, bad=bad
    )
    dataset = dataset.map(lambda inputs: (tuple(inputs[name] for name in names),))
    tokens, mask = layer.predict(dataset, verbose=0)
    # A file of NumPy does not know bfloat16.
    return [tokens.astype("float32") if tokens.dtype.kind == "V" else tokens, mask]


def _fingerprint(layer, model, rows, base_dir, bad):
    """Says what the tokens depend on: network, weights, preprocessing, rows."""
    digest = hashlib.blake2b(digest_size=20)
    part = model.schema.part(columns_of_model(layer))
    for config in (layer.get_config(), part.get_config()):
        text = json.dumps(config, sort_keys=True, default=str)
        # Keras numbers its layers as they come: dense, dense_1, ...
        digest.update(re.sub(r'_\d+(?=["/])', "", text).encode())
    for weight in layer.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    for name, raw in to_raw(rows, part, base_dir, bad).items():
        digest.update(f"{name} {raw.shape} {raw.dtype}".encode())
        for value in read_files(raw):
            if raw.dtype != object:
                digest.update(value.tobytes())
                continue
            for item in np.ravel(value):
                digest.update(len(item).to_bytes(8, "big") + item)
    return digest.hexdigest()
