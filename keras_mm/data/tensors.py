class Tensors(dict):
    """Arrays that go into a model as they are, by the names of its inputs.

    A dict of columns is a table: a model preprocesses its cells as those of a
    DataFrame. What is preprocessed already says so by being `Tensors`; a list of
    arrays in the order of `model.inputs` and a dataset of `(inputs, target)` are
    tensors in any case.

    Examples:

    >>> tensors = keras_mm.Tensors({"image": pixels, "text": ids})
    >>> probabilities = model.predict(tensors, verbose=0)

    Args:
        As those of `dict`: the values are arrays of the shapes that the model takes,
        `(rows, ...)`, standardised and with token ids as `model.schema` says.
    """
