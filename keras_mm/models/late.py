"""What `fit` does beyond training where every modality predicts by itself."""

import itertools

import keras
import numpy as np
from keras import ops

from .. import heads as head_room
from ..data.targets import encode_targets
from ..data.weights import combined_weights
from ..errors import warn
from ..fusion.late_fusion import LateFusion
from .rows import plain, take_rows


def late_fusion(model):
    """The model's late fusion, or None."""
    found = (layer for layer in model.layers if isinstance(layer, LateFusion))
    return next(found, None)


def head_of(model):
    """The `Head` of a model's only target."""
    target, name = model.schema.target, model.schema.target_name
    # Files of before do not say.
    return head_room.get(model.heads.get(name), target, name)


def experts_loss(model, experts, loss):
    """Mean of the experts' losses, each over the rows that it is there for.

    Args:
        model: `MultimodalModel` with a late fusion.
        experts: logits `(batch, experts, units)` and bools `(batch, experts)`.
        loss: function of predictions, expert by expert, and the rows' weights.
    """
    logits, present = experts
    count = logits.shape[1]
    weights = late_fusion(model).loss_weights
    predictions = [model.predict_from_logits(logits[:, k]) for k in range(count)]
    shown = [
        ops.cast(present[:, k], "float32") * ops.cast(weights[k], "float32")
        for k in range(count)
    ]
    return loss(
        lambda rows: ops.concatenate([rows] * count, axis=0),
        ops.concatenate(predictions, axis=0),
        ops.concatenate(shown, axis=0),
    )


def check_late(layer, x, validation):
    """Refuses, before training starts, what the weights cannot be found from."""
    if layer.needs_validation and validation is None:
        raise ValueError(
            f"The fusion {type(layer).__name__} weighs the modalities on rows that "
            "they were not trained on: pass validation_data, or take "
            "fusion='late_mean'. Received: validation_data=None"
        )
    if layer.weighs and validation is not None and not _can_be_read_again(validation):
        text = (
            f"The fusion {type(layer).__name__} weighs the modalities on the "
            "validation rows, which a generator gives only once: pass a table, a "
            "dataset or arrays. "
        )
        if layer.needs_validation:
            raise ValueError(
                f"{text}Received: validation_data of type {type(validation).__name__}"
            )
        warn(f"{text}They will count equally.")
    if layer.out_of_fold and not (hasattr(x, "iloc") or _are_arrays(x)):
        raise ValueError(
            "Stacking trains on parts of the rows: pass a table or arrays, which "
            f"can be divided. Received: x of type {type(x).__name__}"
        )


def weigh_experts(model, validation, steps=None):
    """Sets the experts' weights and their scale: least loss on these rows.

    Args:
        model: `MultimodalModel` whose late fusion weighs.
        validation: dataset of `(inputs, target)` or `(inputs, target, weight)`, or
            a tuple of arrays. Of what can be read only once nothing is learned.
        steps: int, how many batches of the dataset to read; None: all.
    """
    from scipy.optimize import minimize

    if not _can_be_read_again(validation):
        return
    layer, head, target = late_fusion(model), head_of(model), model.schema.target
    scores, present, truth, counts = _said(model, validation, steps)
    if not counts.any():
        return
    count = scores.shape[1]

    def loss(parameters):
        logits, scale = parameters[:count], np.exp(parameters[count])
        weights = np.where(present, np.exp(logits - logits.max()), 0.0)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        fused = scale * np.einsum("bk,bku->bu", weights, scores)
        # Few rows: rather weights that are equal and a scale of 1, which a handful
        # of easy rows would drive up. A standard deviation is a factor of 7 for
        # the weights, of 1.4 for the scale.
        few = (np.sum(logits**2) / 8 + parameters[count] ** 2 * 4) / np.count_nonzero(
            counts
        )
        return _mean(head.row_losses(fused, truth, target), counts) + few

    found = minimize(loss, np.zeros(count + 1), method="L-BFGS-B").x
    layer.weight_logits.assign(found[:count])
    layer.scale.assign(np.exp(found[count]))


def experts_losses(model, rows):
    """Each expert's mean loss on the rows that it is there for: `(experts,)`.

    Args:
        model: `MultimodalModel` with a late fusion.
        rows: dataset of `(inputs, target)`, or a tuple of arrays.
    """
    scores, present, truth, counts = _said(model, rows)
    head, target = head_of(model), model.schema.target
    return np.array(
        [
            _mean(
                head.row_losses(scores[shown, k], truth[shown], target), counts[shown]
            )
            if shown.any()
            else 0.0
            for k, shown in enumerate(present.T)
        ]
    )


def fit_linear_model(model, x, y, validation_data, **settings):
    """Sets the weights of `Stacking` from predictions of rows not trained on."""
    from sklearn.model_selection import KFold, StratifiedKFold

    layer, target = late_fusion(model), model.schema.target
    if y is None:
        truth = encode_targets(x, model.schema)
    else:
        truth = np.asarray(y)
    truth = target.to_labels(truth)
    classes = target.is_divided_evenly
    kind = StratifiedKFold if classes and np.bincount(truth).max() > 1 else KFold
    folds = kind(layer.folds, shuffle=True, random_state=model.seed or 0)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    state = [*model.weights, *model.optimizer.variables]
    start = [ops.convert_to_numpy(variable) for variable in state]
    features = np.zeros((len(truth), layer.kernel.shape[0], layer.units))
    weights = settings["sample_weight"]
    counts = combined_weights(
        x if isinstance(weights, str) else truth,
        truth,
        model.schema,
        settings["class_weight"],
        weights,
    )
    counts = np.ones(len(truth)) if counts is None else counts
    for train, held in folds.split(np.zeros(len(truth)), truth if classes else None):
        part = weights
        if not (weights is None or isinstance(weights, str)):
            part = np.asarray(weights)[train]
        model._train(
            take_rows(x, train),
            None if y is None else np.asarray(y)[train],
            validation_data,
            **{**settings, "sample_weight": part},
        )
        part, labels = take_rows(x, held), None if y is None else np.asarray(y)[held]
        found = model._pairs(part, labels, **_reading(settings))
        scores, present, _, _ = _said(model, found)
        features[held] = ops.convert_to_numpy(
            layer.features(
                ops.convert_to_tensor(scores.astype("float32")),
                ops.convert_to_tensor(present),
            )
        )
        # As it was: the next fold must not know these rows. Compiled anew, the
        # steps would be traced again.
        for variable, value in zip(state, start):
            variable.assign(value)
    features, counts = features.reshape(len(truth), -1), counts.astype("float64")
    kernel, bias = head_of(model).linear_model(
        features[counts > 0], truth[counts > 0], counts[counts > 0], target
    )
    layer.kernel.assign(kernel.reshape(layer.kernel.shape))
    layer.bias.assign(bias)


def _can_be_read_again(rows):
    # Tables may be paths.
    return any(
        hasattr(rows, name) for name in ("as_numpy_iterator", "__len__", "__fspath__")
    )


def _are_arrays(x):
    return isinstance(x, (dict, list, tuple)) or hasattr(x, "shape")


def _batches(rows, steps):
    batches = rows
    if hasattr(rows, "as_numpy_iterator"):
        batches = rows.as_numpy_iterator()
    elif isinstance(rows, keras.utils.PyDataset):
        batches = (rows[index] for index in range(len(rows)))
    for batch in itertools.islice(batches, steps):
        yield keras.tree.map_structure(ops.convert_to_numpy, batch)


def _said(model, rows, steps=None):
    """What the experts say: scores, who is there, the truth, and how much rows count."""
    layer = late_fusion(model)
    # Where the model is one behind encoders, the layer is in two graphs.
    nodes = itertools.chain(*model._nodes_by_depth.values())
    node = next(node for node in nodes if node.operation is layer)
    part = keras.Model(model.inputs, list(node.output_tensors[-2:]))
    if isinstance(rows, (tuple, list)):
        logits, present = part.predict(plain(rows[0]), verbose=0)
        truth = np.asarray(rows[1])
        weights = rows[2] if len(rows) > 2 else None
        weights = np.ones(len(truth)) if weights is None else np.asarray(weights)
    else:
        found = []
        for inputs, truth, *weights in _batches(rows, steps):
            weights = weights[0] if weights else np.ones(len(truth))
            found.append((*part.predict_on_batch(inputs), truth, weights))
        logits, present, truth, weights = map(np.concatenate, zip(*found))
    scores = layer.scores(ops.convert_to_tensor(logits))
    scores = ops.convert_to_numpy(scores).astype("float64")
    truth = model.schema.target.to_labels(truth)
    return scores, np.asarray(present, bool), truth, np.reshape(weights, len(truth))


def _mean(losses, weights):
    return losses @ weights / max(weights.sum(), 1e-12)


def _reading(settings):
    return {name: settings[name] for name in ("batch_size", "base_dir", "bad")}
