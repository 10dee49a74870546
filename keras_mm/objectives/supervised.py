import keras
import numpy as np
from keras import ops

from .objective import Objective


@keras.saving.register_keras_serializable(package="keras_mm")
class Supervised(Objective):
    """Supervised learning: the compiled loss.

    Each expert of a late fusion, and each of its members, is trained by its own loss, on
    the rows where it is present; the loss is the mean over them.
    """

    predicts_targets = True

    def before_fit(self, model, x, y=None, class_weight=None, sample_weight=None):
        """Refuses class weights where the loss corrects for the classes' sizes."""
        corrected = {n: h.imbalance for n, h in model.heads.items() if h.imbalance}
        if class_weight is not None and corrected:
            raise ValueError(
                "`class_weight` and this loss would both correct for classes of unequal "
                "size. Pass one of them. "
                f"Received: class_weight={class_weight!r}, loss={corrected}"
            )

    def tensor_labels(self, model, x, y):
        """Converts lists and pandas objects to arrays; for several targets a dict.

        Keras would take a list for the targets of several outputs.
        """
        several = model.schema is not None and len(model.schema.targets) > 1
        if several and hasattr(y, "columns"):
            y = {name: y[name] for name in y.columns}
        if isinstance(y, dict):
            by_name = {name: _array(values) for name, values in y.items()}
            # Labels of a single target are passed without its name.
            alone = set(by_name) == set(model.schema.targets) and len(by_name) == 1
            return model.schema.without_dict(by_name) if alone else by_name
        return y if isinstance(y, list) and several else _array(y)

    def loss(self, model, x, y, outputs, sample_weight, training):
        """The compiled loss; in training of a late fusion, of each expert."""
        predictions = model.predictions(outputs)
        experts = model.experts(outputs) if training else {}
        if not experts:
            return model.compiled_loss(x, y, predictions, sample_weight, training)
        schema, layers = model.schema, model.fusion_layers()
        labels, weights = schema.by_target(y), sample_weight
        if not isinstance(weights, dict):
            weights = dict.fromkeys(experts, weights)
        repeated, stacked, counted = {}, {}, {}
        for name, (logits, present) in experts.items():
            layer = layers[name]
            layer.observe(logits, present, labels[name])
            count = logits.shape[1]
            # One expert's rows after another's.
            present = ops.cast(ops.transpose(present), "float32")
            scales = ops.repeat(layer.loss_weights, layer.members)
            present *= ops.expand_dims(ops.cast(scales, "float32"), 1)
            if weights.get(name) is not None:
                present *= ops.cast(ops.reshape(weights[name], (1, -1)), "float32")
            counted[name] = ops.reshape(present, (-1,))
            repeated[name] = ops.concatenate([labels[name]] * count, axis=0)
            logits = ops.reshape(
                ops.transpose(logits, (1, 0, 2)), (-1, logits.shape[2])
            )
            stacked[name] = model.predict_from_logits(logits, name)
        repeated, stacked, counted = map(
            schema.without_dict, (repeated, stacked, counted)
        )
        return model.compiled_loss(x, repeated, stacked, counted, training)


def _array(y):
    if not (isinstance(y, list) or hasattr(y, "iloc")):
        return y
    values = np.asarray(y)
    return values.reshape(-1) if values.shape[1:] == (1,) else values
