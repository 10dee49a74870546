import keras
from keras import ops

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
        hidden_units: int, units of a Dense layer in each expert, or None.
        dropout: float, dropout rate before each expert's last layer.
    """

    # Whether `fit` finds the weights of the experts on validation rows, needs
    # them for that, or predicts rows out of fold.
    weighs = False
    needs_validation = False
    out_of_fold = False
    has_experts = True

    def __init__(
        self, units=1, activation=None, hidden_units=None, dropout=0.0, **kwargs
    ):
        super().__init__(units=units, **kwargs)
        if activation not in ("softmax", "sigmoid", None):
            raise ValueError(
                "`activation` must be 'softmax', 'sigmoid' or None. "
                f"Received: activation={activation!r}"
            )
        self.activation = activation
        self.hidden_units = hidden_units
        self.dropout = dropout

    def with_head(self, units, activation, hidden_units=None, dropout=0.0, name=None):
        """A new layer with these settings of the head."""
        config = self.get_config() | {"name": name or self.name}
        config |= {"units": units, "activation": activation}
        config |= {"hidden_units": hidden_units or self.hidden_units}
        config |= {"dropout": dropout or self.dropout}
        return type(self).from_config(config)

    def build(self, tokens_shape, masks_shape):
        """Creates the experts: `units * (dim + 1)` weights each, if not hidden."""
        self.build_experts([shape[-1] for shape in tokens_shape])

    def build_experts(self, dims):
        """Creates an expert for each vector of these lengths."""
        self.hidden = []
        if self.hidden_units:
            shapes = [(None, None, dim) for dim in dims]
            self.hidden = self.projections(
                shapes, use_bias=True, units=self.hidden_units, name="hidden"
            )
            dims = [self.hidden_units] * len(dims)
        self.drop = keras.layers.Dropout(self.dropout)
        self.heads = []
        for index, dim in enumerate(dims):
            head = keras.layers.Dense(
                self.units,
                kernel_initializer="orthogonal",
                dtype="float32",
                name=f"expert_{index}",
            )
            head.build((None, dim))
            self.heads.append(head)
        # How much each expert's loss counts in training.
        self.loss_weights = self.add_weight(
            name="loss_weights",
            shape=(len(dims),),
            initializer="ones",
            trainable=False,
        )

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
        logits = []
        for index, (head, vector) in enumerate(zip(self.heads, vectors)):
            if self.hidden:
                vector = ops.relu(self.hidden[index](vector))
            logits.append(head(self.drop(vector, training=training)))
        logits = ops.stack(logits, axis=1)
        fused = self.combine(self.scores(logits), present)
        has_any = ops.any(present, axis=1, keepdims=True)
        fused = ops.where(has_any, fused, ops.zeros_like(fused))
        results = [fused]
        if return_weights:
            results.append(self.modality_shares(present, early))
        if return_tokens:
            results += [early.tokens, early.mask]
        if return_experts:
            results += [logits, present]
        return tuple(results) if len(results) > 1 else fused

    def scores(self, logits):
        """The experts' log-probabilities; of labels and numbers, their logits."""
        if self.activation == "softmax":
            return ops.log_softmax(logits, axis=-1)
        return logits

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
        }
