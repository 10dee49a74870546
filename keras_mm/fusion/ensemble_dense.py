import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class EnsembleDense(keras.layers.Layer):
    """A Dense layer of an ensemble, whose members share one kernel.

    Member `i` computes `activation(s_i * ((r_i * x) W) + b_i)`: it has a vector `r_i`
    for the inputs, and a vector `s_i` and a bias `b_i` for the outputs. An ensemble of
    16 members so has hardly more weights than one network.

    Examples:

    >>> layer = keras_mm.fusion.EnsembleDense(8, members=4, activation="relu")
    >>> tuple(layer(numpy.zeros((2, 3))).shape)
    (2, 4, 8)

    Args:
        units: int, number of outputs of each member.
        members: int.
        activation: string or function.
        random_signs: bool, whether `r` starts as random signs instead of ones: in the
            first layer of a network, so that the members differ.

    Call arguments:
        x: float tensor `(batch, dim)`, which every member reads, or `(batch, members,
            dim)`.

    Returns:
        Tensor `(batch, members, units)`.

    Reference:
        Wen et al. 2020, "BatchEnsemble: An Alternative Approach to Efficient Ensemble
        and Lifelong Learning"; Gorishniy et al. 2025, "TabM: Advancing Tabular Deep
        Learning with Parameter-Efficient Ensembling".
    """

    def __init__(self, units, members, activation=None, random_signs=False, **kwargs):
        super().__init__(**kwargs)
        if units < 1 or members < 1:
            raise ValueError(
                "`units` and `members` must be positive. "
                f"Received: units={units}, members={members}"
            )
        self.units = units
        self.members = members
        self.activation = keras.activations.get(activation)
        self.random_signs = random_signs

    def build(self, shape):
        """Creates `dim * units + members * (dim + 2 * units)` weights."""
        dim = shape[-1]
        self.kernel = self.add_weight(
            name="kernel", shape=(dim, self.units), initializer="glorot_uniform"
        )
        self.input_scales = self.add_weight(
            name="input_scales",
            shape=(self.members, dim),
            initializer=_random_signs if self.random_signs else "ones",
        )
        self.output_scales = self.add_weight(
            name="output_scales", shape=(self.members, self.units), initializer="ones"
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.members, self.units), initializer="zeros"
        )

    def call(self, x):
        """Computes all members at once."""
        if len(x.shape) == 2:
            x = ops.expand_dims(x, 1)
        x = ops.matmul(x * self.input_scales, self.kernel)
        return self.activation(x * self.output_scales + self.bias)

    def compute_output_shape(self, shape):
        """`(batch, members, units)`."""
        return (shape[0], self.members, self.units)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "members": self.members,
            "activation": keras.activations.serialize(self.activation),
            "random_signs": self.random_signs,
        }


def _random_signs(shape, dtype=None):
    uniform = keras.initializers.RandomUniform(-1.0, 1.0)(shape, dtype)
    return ops.where(uniform < 0, -ops.ones_like(uniform), ops.ones_like(uniform))
