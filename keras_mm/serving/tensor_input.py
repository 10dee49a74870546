import numpy as np

from ..inputs.input import Input


class TensorInput(Input):
    """An input of a model without an adapted schema: a plain tensor.

    Args:
        info: dict with `dtype` and `shape`, as returned by `read_signatures`.
    """

    def __init__(self, info):
        self.raw_dtype = info["dtype"]
        self.raw_shape = tuple(info["shape"][1:])

    @property
    def is_id(self):
        """Whether the numbers are token ids, where 0 is padding."""
        return "int" in self.raw_dtype

    @property
    def missing(self):
        """All 0 for ids, all NaN for other numbers."""
        return self._filled(0 if self.is_id else float("nan"))

    def sample(self, random, bad=False):
        """Out-of-vocabulary tokens, or a grey image."""
        return self._filled(1 if self.is_id else 0.5)

    def _filled(self, value):
        return np.full(self.raw_shape, value, self.raw_dtype)

    def json_schema(self):
        """Arrays of numbers, or of integers."""
        schema = {"type": "integer" if self.is_id else "number"}
        for length in reversed(self.raw_shape):
            schema = {"type": "array", "items": schema}
            schema |= {"minItems": length, "maxItems": length}
        return schema

    def to_json(self, value):
        """A tensor as nested lists."""
        return np.asarray(value).tolist()

    def describe(self):
        """A one-line description."""
        return f"tensor, {self.raw_dtype}"
