class Tensors(dict):
    """Preprocessed arrays for a model, by the names of its inputs.

    A plain dict is a table of columns: a model preprocesses its cells like those of a
    DataFrame. `Tensors` marks a dict whose arrays are preprocessed already. A list of
    arrays in the order of `model.inputs`, and a dataset of `(inputs, target)`, always
    hold tensors.

    Examples:

    >>> tensors = keras_mm.Tensors({"image": pixels, "text": ids})
    >>> probabilities = model.predict(tensors, verbose=0)

    Args:
        As those of `dict`: the values are arrays of the shapes that the model takes,
        `(rows, ...)`, standardised and with token ids as `model.schema` says.
    """
