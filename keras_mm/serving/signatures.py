"""The functions of an exported model, as TensorFlow graphs."""

import keras
from keras import ops

from ..fusion.fusion import masked_mean
from ..models import Retriever
from ..names import (
    answer_name,
    columns_of_model,
    encoders_of,
    layer_name,
    pair_names,
    served_name,
)


def signatures(model, index=None, k=10):
    """dict from signature name to `(function, dict of TensorSpec)`.

    Inputs and outputs are called by their columns' served names.

    Args:
        model: a `MultimodalModel` on the TensorFlow backend. Signatures that
            take raw values are there only if its schema is adapted.
        index: `SearchIndex` of the model, for the signature `search`, or None.
        k: int, how many rows `search` gives.
    """
    import tensorflow as tf

    schema = model.schema
    tensor_specs = {
        served_name(tensor.name): tf.TensorSpec(
            [None, *tensor.shape[1:]], tensor.dtype, name=served_name(tensor.name)
        )
        for tensor in model.inputs
    }

    def serve_tensors(tensors):
        tensors = [tensors[served_name(tensor.name)] for tensor in model.inputs]
        return _answer(model(tensors, training=False), schema)

    found = {"serving_tensors": (serve_tensors, tensor_specs)}
    if not schema.is_adapted:
        found["serving_default"] = (serve_tensors, tensor_specs)
        return found

    served = schema.served_names
    raw_specs = {
        served[name]: value.serving_spec(served[name])
        for name, value in schema.inputs.items()
    }
    preprocess = _preprocessing(schema, raw_specs)

    def serve(raw):
        tensors, readable = preprocess(raw)
        output = model(_listed(model, tensors), training=False)
        return {**_answer(output, schema), **readable}

    found["serving_default"] = (serve, raw_specs)

    if index is not None:
        nearest = _nearest(index, k)

        def search(raw):
            tensors, _ = preprocess(raw)
            return nearest(model(_listed(model, tensors), training=False))

        found["search"] = (search, raw_specs)

    # Parts of the model, for embeddings and explanations.
    for name, part, outputs_of in parts_of(model):
        columns = [served[column] for column in columns_of_model(part)]
        specs = {column: raw_specs[column] for column in columns}
        found[name] = (_part_function(part, preprocess, outputs_of), specs)
    return found


def _nearest(index, k):
    """The function from all towers' vectors to the nearest rows of an index."""
    import tensorflow as tf

    vectors = tf.constant(index.vectors)
    names = tf.constant(index.rows["id"].tolist())
    k = min(k, len(index))

    def nearest(embeddings):
        query = tf.math.l2_normalize(tf.add_n(list(embeddings.values())), axis=1)
        found = tf.math.top_k(tf.matmul(query, vectors, transpose_b=True), k)
        asked = tf.reduce_any(query != 0, axis=1, keepdims=True)
        return {
            "ids": tf.where(asked, tf.gather(names, found.indices), ""),
            "scores": found.values,
        }

    return nearest


def _part_function(part, preprocess, outputs_of):
    def serve(raw):
        tensors, _ = preprocess(raw)
        outputs = outputs_of(part(_listed(part, tensors), training=False))
        return {key: ops.cast(value, "float32") for key, value in outputs.items()}

    return serve


def parts_of(model):
    """`(signature, model of a part, its outputs -> named tensors)`.

    What is computed on top is not wired into the parts: a model that was loaded
    from a file has names that new operations could take again.
    """
    if isinstance(model, Retriever):
        for name in model.towers:
            yield (
                f"embed_{served_name(name)}",
                model.tower(name),
                lambda out: {"embedding": out},
            )
        return
    layers = {layer.name: layer for layer in model.layers}
    fusion = layers[layer_name("fusion")]
    kind = getattr(fusion, "weights_kind", None)
    fused = keras.Model(model.inputs, fusion.output)
    yield (
        "embed",
        fused,
        lambda out: {"embedding": out[0] if isinstance(out, (list, tuple)) else out},
    )
    modalities, encoders = modality_names(model), encoders_of(model)
    served = [served_name(name) for name in modalities]
    for name in modalities:
        signature = f"embed_{served_name(name)}"
        if name in encoders:
            encoder = encoders[name]
            yield signature, encoder, lambda out: {"embedding": masked_mean(*out)}
        else:
            # The textbook's model has no nested encoders.
            inputs = [tensor for tensor in model.inputs if tensor.name == name]
            part = keras.Model(inputs, layers[layer_name("vector", name)].output)
            yield signature, part, lambda out: {"embedding": out}
    if kind == "modalities":
        yield (
            "explain",
            fused,
            lambda out: {n: out[1][:, index] for index, n in enumerate(served)},
        )
    elif kind == "pairs" and fusion.pairs:
        yield (
            "explain",
            fused,
            # A layer's output is a flat list: the vector, then the maps.
            lambda out: dict(zip(pair_names(served), out[1:], strict=True)),
        )


def modality_names(model):
    """Names of the modalities, in the order in which they are fused."""
    encoders = encoders_of(model)
    # model.layers is sorted by depth, which may differ between branches.
    order = [tensor.name for tensor in model.inputs]
    if not encoders:
        return order

    def first_column(name):
        return order.index(columns_of_model(encoders[name])[0])

    return sorted(encoders, key=first_column)


def _listed(model, tensors):
    return [tensors[column] for column in columns_of_model(model)]


def _preprocessing(schema, specs):
    """The function from raw values to tensors, and which files and dates could be read."""
    import tensorflow as tf

    def of(name, value):
        def preprocess(raw):
            compact = value.decode(schema.known_raw(raw, name))
            ok = value.readable(compact) if value.ok_suffix else None
            return value.finish(compact), ok

        return preprocess

    # One graph a column, which the signatures share.
    served = schema.served_names
    functions = {
        name: tf.function(
            of(name, value), input_signature=[specs[served[name]]], autograph=False
        )
        for name, value in schema.inputs.items()
    }

    def preprocess(raw):
        tensors, readable = {}, {}
        for name, function in functions.items():
            if served[name] in raw:
                tensors[name], ok = function(raw[served[name]])
                if ok is not None:
                    readable[f"{served[name]}{schema.inputs[name].ok_suffix}"] = ok
        return tensors, readable

    return preprocess


def _answer(output, schema):
    """Predictions -> named outputs; without a target, a retriever's vectors."""
    if not schema.targets:
        return {f"{served_name(n)}_embedding": v for n, v in output.items()}
    if not schema.has_several_targets:
        output = {schema.target_name: output}
    found = {}
    for name, target in schema.targets.items():
        found |= target.to_answers(output[name], answer_name(name))
    return found
