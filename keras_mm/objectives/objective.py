"""The interface of training objectives."""


class Objective:
    """Base class: which labels a model learns from, and what it minimises.

    The model implements fit, evaluate, predict and save, and delegates the rest.
    """

    # Whether labels are those of the schema's targets.
    predicts_targets = False

    def before_fit(self, model, x, y=None, class_weight=None, sample_weight=None):
        """Called before training on `x`: raises an error for unsuitable data.

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
        """The labels of a table's rows.

        Args:
            model: a model made by a builder.
            table: DataFrame or dataset of rows.

        Returns:
            Array, one entry per row; None: those of the schema's targets, if any.
        """
        return None

    def tensor_labels(self, model, x, y):
        """The labels of rows given as tensors: `y` in the form that the loss needs."""
        return y

    def batch_labels(self, model, x, y):
        """The labels of a single batch."""
        return self.tensor_labels(model, x, y)

    def loss(self, model, x, y, outputs, sample_weight, training):
        """The loss of a batch.

        Args:
            model: a model made by a builder.
            x: dict or list of input tensors.
            y: labels; for several targets a dict.
            outputs: the outputs of the model's call.
            sample_weight: tensor `(batch,)`, dict of these, or None.
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
