"""The contract of what training minimises."""


class Objective:
    """Base class: which labels a model learns from, and what it minimises.

    A model keeps fit, evaluate, predict and save, and asks its objective for the rest.
    """

    # Whether labels are those of the schema's targets.
    predicts_targets = False

    def before_fit(self, model, x, y=None, class_weight=None, sample_weight=None):
        """Called before training on `x`: refuses what cannot be learned from.

        Args:
            model: a model made by a builder.
            x: as in `model.fit`.
            y: as in `model.fit`.
            class_weight: as in `model.fit`.
            sample_weight: as in `model.fit`.
        """

    def after_fit(self, model):
        """Called after training, also after one that failed."""

    def table_labels(self, model, table):
        """What the loss is told of a table's rows.

        Args:
            model: a model made by a builder.
            table: DataFrame or dataset of rows.

        Returns:
            Array, one entry a row; None: what the schema's targets say, if it has any.
        """
        return None

    def tensor_labels(self, model, x, y):
        """What the loss is told of rows that are tensors: `y` in the loss's form."""
        return y

    def batch_labels(self, model, x, y):
        """The same of one batch, of which the others are not known."""
        return self.tensor_labels(model, x, y)

    def loss(self, model, x, y, outputs, sample_weight, training):
        """The loss of a batch.

        Args:
            model: a model made by a builder.
            x: dict or list of input tensors.
            y: labels; of several targets a dict.
            outputs: what calling the model gave.
            sample_weight: tensor `(batch,)`, dict of such, or None.
            training: bool.

        Returns:
            Scalar tensor.
        """
        raise NotImplementedError

    def get_config(self):
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Creates the objective again from `get_config()`."""
        return cls(**config)
