"""The functions of an exported model, as TensorFlow graphs."""

from keras import ops

from ..names import answer_name, served_name


def signatures(model, index=None, k=10):
    """dict from signature name to `(function, dict of TensorSpec)`.

    Inputs and outputs have their columns' served names.

    Args:
        model: a `MultimodalModel` on the TensorFlow backend. Signatures that take raw
            values exist only if its schema is adapted.
        index: `SearchIndex` of the model, for the signature `search`, or None.
        k: int, number of rows that `search` returns.
    """
    import tensorflow as tf

    schema, serving_model = model.schema, model.serving_model()
    tensor_specs = {
        served_name(tensor.name): tf.TensorSpec(
            [None, *tensor.shape[1:]], tensor.dtype, name=served_name(tensor.name)
        )
        for tensor in model.inputs
    }

    def serve_tensors(tensors):
        tensors = [tensors[served_name(tensor.name)] for tensor in model.inputs]
        return _answer(serving_model(tensors, training=False), schema)

    functions = {"serving_tensors": (serve_tensors, tensor_specs)}
    if not schema.is_adapted:
        functions["serving_default"] = (serve_tensors, tensor_specs)
        return functions

    served = schema.served_names
    raw_specs = {
        served[name]: value.serving_spec(served[name])
        for name, value in schema.inputs.items()
    }
    preprocess = _preprocessing(schema, raw_specs)

    def serve(raw):
        tensors, readable = preprocess(raw)
        tensors = [tensors[tensor.name] for tensor in model.inputs]
        outputs = serving_model(tensors, training=False)
        return {**_answer(outputs, schema), **readable}

    functions["serving_default"] = (serve, raw_specs)

    if index is not None:
        nearest = _nearest(index, k)

        def search(raw):
            tensors, _ = preprocess(raw)
            tensors = [tensors[tensor.name] for tensor in model.inputs]
            return nearest(model(tensors, training=False))

        functions["search"] = (search, raw_specs)

    # Submodels for embeddings and explanations.
    for name, part in model.parts().items():
        specs = {served[column]: raw_specs[served[column]] for column in part.columns}
        functions[name] = (_part_function(part, preprocess), specs)
    return functions


def _nearest(index, k):
    """The function from all towers' vectors to the nearest rows of an index."""
    import tensorflow as tf

    vectors = tf.constant(index.vectors)
    names = tf.constant(index.rows["id"].tolist())
    k = min(k, len(index))

    def nearest(embeddings):
        query = tf.math.l2_normalize(tf.add_n(list(embeddings.values())), axis=1)
        top = tf.math.top_k(tf.matmul(query, vectors, transpose_b=True), k)
        is_present = tf.reduce_any(query != 0, axis=1, keepdims=True)
        return {
            "ids": tf.where(is_present, tf.gather(names, top.indices), ""),
            "scores": top.values,
        }

    return nearest


def _part_function(part, preprocess):
    def serve(raw):
        tensors, _ = preprocess(raw)
        return {key: ops.cast(value, "float32") for key, value in part(tensors).items()}

    return serve


def _preprocessing(schema, specs):
    """The function from raw values to tensors, and to the validity of files and dates."""
    import tensorflow as tf

    def of(name, value):
        def preprocess(raw):
            compact = value.decode(schema.replace_missing_raw(raw, name))
            ok = value.readable(compact) if value.ok_suffix else None
            return value.finish(compact), ok

        return preprocess

    # One graph per column, shared by the signatures.
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


def _answer(outputs, schema):
    """Named outputs of predictions, by target, and vectors, by tower or column."""
    answers = {}
    for name, values in schema.by_target(outputs).items():
        if name in schema.targets:
            answers |= schema.targets[name].to_answers(values, answer_name(name))
        else:
            answers[f"{served_name(name)}_embedding"] = values
    return answers
