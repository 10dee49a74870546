import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class PiecewiseLinear(keras.layers.Layer):
    """Piecewise linear encoding: how far a number is through each of its column's bins.

    A bin below the number gives 1, one above it 0, and the bin in which it lies the
    part of the bin that is below it. A linear layer behind it is a piecewise linear
    function of the number.

    Examples:

    >>> layer = keras_mm.encoders.PiecewiseLinear([[0.0, 1.0, 3.0]])
    >>> numpy.array(layer(numpy.array([[2.0]]))).tolist()
    [[[1.0, 0.5]]]

    Args:
        edges: list of the increasing edges of each column's bins, a list of floats.

    Call arguments:
        x: float tensor `(batch, columns)`, without NaN.

    Returns:
        `float32` tensor `(batch, columns, bins)`, of the column with the most bins;
        additional bins are 0.

    Reference:
        Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep
        Learning".
    """

    def __init__(self, edges, **kwargs):
        super().__init__(**kwargs)
        self.edges = [[float(edge) for edge in column] for column in edges]
        if any(len(column) < 2 for column in self.edges):
            raise ValueError(
                "Each column needs at least two edges, those of one bin. "
                f"Received: edges={self.edges}"
            )
        bins = max(map(len, self.edges)) - 1
        self._lower = np.full((len(self.edges), bins), np.inf, "float32")
        self._width = np.ones_like(self._lower)
        for row, column in enumerate(self.edges):
            self._lower[row, : len(column) - 1] = column[:-1]
            self._width[row, : len(column) - 1] = np.diff(column)

    def call(self, x):
        """Encodes; in `float32`, as bins may be narrow."""
        x = ops.expand_dims(ops.cast(x, "float32"), -1)
        return ops.clip((x - self._lower) / self._width, 0.0, 1.0)

    def compute_output_shape(self, shape):
        """`(batch, columns, bins)`."""
        return (shape[0], *self._lower.shape)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "edges": self.edges}
