import math

import keras
from keras import ops

# As in CLIP: the temperature is at least 0.01.
_LARGEST = math.log(100.0)


@keras.saving.register_keras_serializable(package="keras_mm")
class Similarity(keras.layers.Layer):
    """Cosine similarities of embeddings, divided by a learned temperature.

    In the model it passes its vectors on, and holds the parameters of the contrastive
    loss: the temperature, the bias of the sigmoid loss, and optionally a memory of
    vectors of past batches, which serve as further negatives.

    Examples:

    >>> similarity = keras_mm.heads.Similarity(temperature=0.1)
    >>> one, other = similarity([np.eye(3), np.eye(3)[:2]])
    >>> tuple(similarity.logits(one, other).shape)
    (3, 2)

    Args:
        temperature: float, initial value. It is learned, except that 1 is fixed and
            leaves cosines unscaled.
        bias: float, initial value, or None for no bias.
        memory: int, how many past rows are kept. Their vectors were computed with
            earlier weights, which change slowly.

    Call arguments:
        vectors: list of tensors `(batch, units)`, of Euclidean norm 1, or 0 where the
            tower's columns are missing.

    Returns:
        The same list.

    Reference:
        Temperature: Radford et al. 2021, "Learning Transferable Visual Models From
        Natural Language Supervision"; bias: Zhai et al. 2023, "Sigmoid Loss for
        Language Image Pre-Training"; past rows: Wang et al. 2020, "Cross-Batch
        Memory for Embedding Learning".
    """

    def __init__(self, temperature=0.07, bias=None, memory=0, **kwargs):
        super().__init__(**kwargs)
        if not 0.01 <= temperature <= 1 or memory < 0:
            raise ValueError(
                "`temperature` must lie between 0.01 and 1, `memory` must not be "
                f"negative. Received: temperature={temperature}, memory={memory}"
            )
        self.temperature = temperature
        self.initial_bias = bias
        self.memory = memory

    def build(self, vectors_shape):
        """Creates the logarithm of the temperature, the bias, and the memory."""
        constant = keras.initializers.Constant
        self.log_scale = self.add_weight(
            name="log_scale",
            shape=(),
            initializer=constant(-math.log(self.temperature)),
            trainable=self.temperature < 1,
            constraint=_capped,
            dtype="float32",
        )
        if self.initial_bias is not None:
            self.bias = self.add_weight(
                name="bias",
                shape=(),
                initializer=constant(self.initial_bias),
                dtype="float32",
            )
        if self.memory:
            self.past = [
                self.add_weight(
                    name=f"past_{index}",
                    shape=(self.memory, shape[-1]),
                    initializer="zeros",
                    trainable=False,
                    dtype="float32",
                )
                for index, shape in enumerate(vectors_shape)
            ]
            # An id for each of the vectors, and one for the row's group.
            self.past_ids = self.add_weight(
                name="past_ids",
                shape=(self.memory, len(vectors_shape) + 1),
                initializer=constant(-1),
                trainable=False,
                dtype="int32",
            )

    def call(self, vectors):
        """The vectors, unchanged."""
        return list(vectors)

    def logits(self, one, other):
        """Scaled cosines of all pairs.

        Args:
            one: unit vectors `(n, units)`.
            other: unit vectors `(m, units)`.

        Returns:
            float32 tensor `(n, m)`.
        """
        one, other = ops.cast(one, "float32"), ops.cast(other, "float32")
        logits = ops.exp(self.log_scale) * ops.matmul(one, ops.transpose(other))
        return logits if self.initial_bias is None else logits + self.bias

    def forget(self):
        """Empties the memory."""
        for past in self.past:
            past.assign(ops.zeros(past.shape, past.dtype))
        self.past_ids.assign(ops.full(self.past_ids.shape, -1, "int32"))

    def remember(self, vectors, ids):
        """Puts a batch into the memory, in place of the oldest rows.

        Args:
            vectors: list of tensors `(batch, units)`.
            ids: int tensor `(batch, len(vectors) + 1)`.
        """
        for past, new in zip([*self.past, self.past_ids], [*vectors, ids]):
            new = ops.stop_gradient(ops.convert_to_tensor(new))
            new = ops.cast(new, past.dtype)
            past.assign(ops.concatenate([new, past], axis=0)[: self.memory])

    def compute_output_shape(self, vectors_shape):
        """The same shapes."""
        return list(vectors_shape)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "bias": self.initial_bias,
            "memory": self.memory,
        }


def _capped(log_scale):
    return ops.minimum(log_scale, _LARGEST)
