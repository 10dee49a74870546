import math

import keras
from keras import ops

from .ensemble_dense import EnsembleDense
from .fusion import Fusion, masked_mean, presence


class LateFusion(Fusion):
    """Base class: each modality predicts by itself; the predictions are combined.

    Each modality has an expert: a head of its own. `model.fit` trains every
    expert by its own loss, on the rows that have its modality, all in one pass;
    the combination of their predictions is not trained by gradients. Builders set
    `units` and `activation` to what the target needs.

    Args:
        units: int, number of outputs: classes, labels, or 1 for a number.
        activation: `"softmax"` for classes, `"sigmoid"` for several labels, None
            for numbers.
        hidden_units: int, units of a Dense layer in each expert; a list of ints for
            several such layers, or None.
        dropout: float, dropout rate before each expert's last layer, and between
            hidden layers.
        members: int. With more than one, each expert is an ensemble of networks that
            share the kernels of the hidden layers (`EnsembleDense`). Each is trained by
            its own loss, and their probabilities, or numbers, are averaged.
        linear: list of ints, places of modalities whose experts have no hidden layer
            (and one network), such as texts, of which a table holds too few for more.
    """

    # Whether `fit` finds the weights of the experts on validation rows, needs
    # them for that, or predicts rows out of fold.
    weighs = False
    needs_validation = False
    out_of_fold = False
    has_experts = True

    def __init__(
        self,
        units=1,
        activation=None,
        hidden_units=None,
        dropout=0.0,
        members=1,
        linear=(),
        **kwargs,
    ):
        super().__init__(units=units, **kwargs)
        if activation not in ("softmax", "sigmoid", None):
            raise ValueError(
                "`activation` must be 'softmax', 'sigmoid' or None. "
                f"Received: activation={activation!r}"
            )
        check_members(members, hidden_units)
        self.activation = activation
        self.hidden_units = hidden_units
        self.dropout = dropout
        self.members = members
        self.linear = list(linear)

    def with_head(self, units, activation, hidden_units=None, dropout=0.0, name=None):
        """A new layer with these settings of the head; its own ones come first."""
        config = self.get_config() | {"name": name or self.name}
        config |= {"units": units, "activation": activation}
        config |= {"hidden_units": self.hidden_units or hidden_units}
        config |= {"dropout": self.dropout or dropout}
        return type(self).from_config(config)

    def build(self, tokens_shape, masks_shape):
        """Creates the experts: `units * (dim + 1)` weights each, if not hidden."""
        self.build_experts([shape[-1] for shape in tokens_shape])

    def build_experts(self, dims):
        """Creates an expert for each vector of these lengths."""
        self.drop = keras.layers.Dropout(self.dropout)
        # Keras saves the layers of a list, but not of lists within it.
        self.hidden, self.heads, self._depths = [], [], []
        for index, dim in enumerate(dims):
            is_linear = index in self.linear
            sizes = [] if is_linear else hidden_sizes(self.hidden_units)
            for depth, units in enumerate(sizes):
                self.hidden.append(self._hidden_layer(dim, units, depth, index))
                dim = units
            self._depths.append(len(sizes))
            self.heads.append(self._head(dim, index, 1 if is_linear else self.members))
        # How much each expert's loss counts in training.
        self.loss_weights = self.add_weight(
            name="loss_weights",
            shape=(len(dims),),
            initializer="ones",
            trainable=False,
        )

    def _hidden_layer(self, dim, units, depth, index):
        """A built hidden layer of an expert."""
        name = f"hidden_{depth}_{index}" if depth else f"hidden_{index}"
        if self.members == 1:
            layer = keras.layers.Dense(units, dtype=self.dtype_policy, name=name)
            layer.build((None, dim))
            return layer
        layer = EnsembleDense(
            units,
            self.members,
            random_signs=depth == 0,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, dim) if depth == 0 else (None, self.members, dim))
        return layer

    def _head(self, dim, index, members):
        """The built last layer of an expert."""
        name = f"expert_{index}"
        if members == 1:
            layer = keras.layers.Dense(
                self.units, kernel_initializer="orthogonal", dtype="float32", name=name
            )
            layer.build((None, dim))
            return layer
        # Members share no last layer.
        layer = keras.layers.EinsumDense(
            "bmd,mdu->bmu",
            output_shape=(members, self.units),
            bias_axes="mu",
            kernel_initializer=keras.initializers.RandomUniform(
                -(dim**-0.5), dim**-0.5
            ),
            dtype="float32",
            name=name,
        )
        layer.build((None, members, dim))
        return layer

    def vectors(self, tokens, masks):
        """What each expert reads, whether it is present, and the early fusion.

        Returns:
            list of tensors `(batch, dim)`, one per expert; bool tensor `(batch,
            experts)`; `Fused` of an expert that reads all modalities, or None.
        """
        means = [masked_mean(token, mask) for token, mask in zip(tokens, masks)]
        return means, presence(masks), None

    def call(
        self,
        tokens,
        masks,
        return_weights=False,
        return_tokens=False,
        return_experts=False,
        training=False,
    ):
        """Computes the experts' logits, and combines them."""
        vectors, present, early = self.vectors(tokens, masks)
        logits, hidden = [], iter(self.hidden)
        for vector, depth, head in zip(vectors, self._depths, self.heads):
            for step in range(depth):
                if step:
                    vector = self.drop(vector, training=training)
                vector = ops.relu(next(hidden)(vector))
            vector = head(self.drop(vector, training=training))
            if len(vector.shape) == 2:
                # A single network counts as all members, which are side by side.
                vector = ops.repeat(ops.expand_dims(vector, 1), self.members, axis=1)
            logits.append(vector)
        logits = ops.concatenate(logits, axis=1)
        fused = self.combine(self.scores(logits), present)
        has_any = ops.any(present, axis=1, keepdims=True)
        fused = ops.where(has_any, fused, ops.zeros_like(fused))
        results = [fused]
        if return_weights:
            results.append(self.modality_shares(present, early))
        if return_tokens:
            results += [early.tokens, early.mask]
        if return_experts:
            results += [logits, ops.repeat(present, self.members, axis=1)]
        return tuple(results) if len(results) > 1 else fused

    def scores(self, logits):
        """The experts' log-probabilities; of labels and numbers, their logits.

        Args:
            logits: tensor `(batch, experts * members, units)`.

        Returns:
            Tensor `(batch, experts, units)`; of the mean of the members' probabilities,
            or of their numbers.
        """
        if self.activation == "softmax":
            logits = ops.log_softmax(logits, axis=-1)
        if self.members == 1:
            return logits
        shape = (-1, logits.shape[1] // self.members, self.members, self.units)
        logits = ops.reshape(logits, shape)
        if self.activation == "softmax":
            return ops.logsumexp(logits, axis=2) - math.log(self.members)
        if self.activation == "sigmoid":
            positive = ops.logsumexp(ops.log_sigmoid(logits), axis=2)
            return positive - ops.logsumexp(ops.log_sigmoid(-logits), axis=2)
        return ops.mean(logits, axis=2)

    def present_experts(self, present):
        """Presence of members `(batch, experts * members)` -> `(batch, experts)`."""
        return present[:, :: self.members]

    def combine(self, scores, present):
        """Scores `(batch, experts, units)` and presence -> `(batch, units)`."""
        raise NotImplementedError

    def shares(self, present):
        """The weight of each expert in each row: equal for those present."""
        present = ops.cast(present, "float32")
        return ops.divide_no_nan(present, ops.sum(present, axis=1, keepdims=True))

    def modality_shares(self, present, early):
        """The weight of each modality in each row."""
        return self.shares(present)

    def observe(self, logits, present, y_true):
        """Called in every training step with the experts' logits and the labels."""

    def compute_output_shape(self, tokens_shape, masks_shape):
        """`(batch, units)`."""
        return (tokens_shape[0][0], self.units)

    def compute_output_spec(
        self,
        tokens,
        masks,
        return_weights=False,
        return_tokens=False,
        return_experts=False,
        **kwargs,
    ):
        """Symbolic outputs."""
        batch, count = tokens[0].shape[0], len(self.heads)
        results = [keras.KerasTensor((batch, self.units), "float32")]
        if return_weights:
            results.append(keras.KerasTensor((batch, len(tokens)), "float32"))
        if return_tokens:
            results += self.tokens_spec(tokens)
        if return_experts:
            count *= self.members
            results.append(keras.KerasTensor((batch, count, self.units), "float32"))
            results.append(keras.KerasTensor((batch, count), "bool"))
        return tuple(results) if len(results) > 1 else results[0]

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "activation": self.activation,
            "hidden_units": self.hidden_units,
            "dropout": self.dropout,
            "members": self.members,
            "linear": self.linear,
        }


def hidden_sizes(hidden_units):
    """`hidden_units` -> list of the hidden layers' units."""
    if not hidden_units:
        return []
    return (
        list(hidden_units)
        if isinstance(hidden_units, (list, tuple))
        else [hidden_units]
    )


def check_members(members, hidden_units):
    """Raises a `ValueError` unless there are hidden layers that members can share."""
    if members < 1:
        raise ValueError(f"`members` must be positive. Received: members={members}")
    if members > 1 and not hidden_sizes(hidden_units):
        raise ValueError(
            "The members of an ensemble share hidden layers: pass hidden_units, such as "
            f"128 or [128, 128]. Received: members={members}, hidden_units={hidden_units}"
        )
