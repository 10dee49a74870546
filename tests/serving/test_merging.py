"""What a server does to requests that come at the same time: it merges them.

With the `batching.config` that an export writes, the values of several requests are
put one after the other, if they have one shape. Each request must be answered as it
is when it is alone.
"""

import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm import inputs
from keras_mm.serving.guide import ragged_inputs
from keras_mm.serving.requests import raw_numbers, raw_strings

from ..encoders import conformance as made

# A new input joins by its row.
COLUMNS = {
    "Image": (made.image, made.pictures),
    "Image, several": (made.several_images, made.lists_of_pictures),
    "Text": (made.text, made.texts),
    "Text, several": (made.several_texts, made.lists_of_texts),
    "Audio": (made.audio, made.sounds),
    "Video": (made.video, made.clips),
    "Sequence": (made.sequence, made.signals),
    "Graph": (lambda: keras_mm.Graph(6, 2), made.graphs),
    "Vector": (lambda: keras_mm.Vector(3), made.vectors),
    "Date": (keras_mm.Date, made.dates),
    "Number": (keras_mm.Number, made.numbers),
    "Category": (keras_mm.Category, made.categories),
}


def test_every_input_is_here():
    kinds = {
        name
        for name, kind in vars(inputs).items()
        if isinstance(kind, type) and issubclass(kind, inputs.Input)
    }
    # What a server gets for a column in several forms is the column itself.
    assert kinds - {"Input", "Forms"} == {name.partition(",")[0] for name in COLUMNS}


def sent(value, column):
    """The array that a server makes of a request with these rows."""
    shape = [None, *value.raw_shape]
    if value.raw_dtype != "string":
        return np.asarray(raw_numbers(column, "x", shape=shape), value.raw_dtype)
    cells = raw_strings(column, "x", value.is_file, is_list=len(shape) == 2)
    return np.array(cells, dtype=object)


def merge(requests, shape):
    """`BatchingSession`: all dimensions but the first must be equal."""
    for request in requests:
        fits = [n in (None, m) for n, m in zip(shape, request.shape[1:], strict=True)]
        assert all(fits), "the server refuses the request by itself"
    if len({request.shape[1:] for request in requests}) > 1:
        raise ValueError("from different tasks have different shapes")
    return np.concatenate(requests)


@pytest.mark.parametrize("kind", COLUMNS)
def test_merged_requests_are_answered_as_alone(kind):
    make, cells = COLUMNS[kind]
    column = pd.Series([*cells(7), None], dtype=object)
    value = make()
    if type(value).adapt is not inputs.Input.adapt:
        value.adapt(column)
    parts = [column.iloc[:1], column.iloc[1:4], column.iloc[4:5], column.iloc[5:]]
    requests = [sent(value, part) for part in parts]
    alone = np.concatenate([value.preprocess(each.tolist()) for each in requests])
    if ragged_inputs({"x": value}):
        # Such a model is served without batching, see test_companions.
        with pytest.raises(ValueError, match="different shapes"):
            merge(requests, value.raw_shape)
    else:
        together = value.preprocess(merge(requests, value.raw_shape).tolist())
        np.testing.assert_array_equal(together, alone)
    # One request of all rows, filled up as the client does, is never wrong.
    filled = value.preprocess(sent(value, column).tolist())
    np.testing.assert_allclose(filled, alone, atol=1e-6)
