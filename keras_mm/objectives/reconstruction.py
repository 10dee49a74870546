import keras

from .objective import Objective


@keras.saving.register_keras_serializable(package="keras_mm")
class Reconstruction(Objective):
    """Reconstruction: the compiled loss, with the input as the label."""

    def loss(self, model, x, y, outputs, sample_weight, training):
        """The compiled loss; the label is the input, unless `y` is given."""
        if y is None:
            (column,) = model.schema.inputs
            y = x[column] if isinstance(x, dict) else keras.tree.flatten(x)[0]
        return model.compiled_loss(x, y, outputs, sample_weight, training)
