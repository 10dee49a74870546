import keras
import numpy as np
from keras import ops

from ..names import layer_name
from .ensemble_parts import parts_of_members
from .ensemble_report import EnsembleReport
from .model import MultimodalModel
from .parts import vectors_of
from .unit import unit
from .wiring import Wiring


@keras.saving.register_keras_serializable(package="keras_mm")
class Ensemble(MultimodalModel):
    """The weighted mean of several models' predictions, as one model.

    Made by `keras_mm.fit_ensemble`. It predicts, is scored, saved and exported as any
    other model. Its members are nested models that read the same inputs; each is a
    `MultimodalModel` and predicts by itself, too. The embedding of a row is those of the
    members side by side. A member's encoders are `members[0].encoders`.

    Examples:

    >>> models = [keras_mm.build_classifier(schema, seed=seed) for seed in (0, 1)]
    >>> ensemble = keras_mm.models.Ensemble.of(models, {"category": [0.25, 0.75]})
    >>> ensemble.predict(test, verbose=0).shape
    (6, 3)

    Attributes:
        report: `EnsembleReport` of how it was found, or None.
    """

    report = None

    _OWN_NAMES = (*MultimodalModel._OWN_NAMES, "report")

    @classmethod
    def of(cls, models, weights):
        """The compiled ensemble of copies of trained models.

        Args:
            models: list of models that builders made from one schema.
            weights: dict from target to a list of weights, one for each model. Models
                whose weights are all 0 are left out.

        Raises:
            ValueError: if the models do not read the same tensors.
        """
        for model in models[1:]:
            check_alike(models[0], model)
        used = np.flatnonzero(np.sum(list(weights.values()), axis=0))
        weights = {name: np.asarray(given)[used] for name, given in weights.items()}
        return cls.join([copy_of(models[place]) for place in used], weights)

    @classmethod
    def join(cls, members, weights):
        """The compiled ensemble of models, which it contains from now on.

        Args:
            members: list of models that builders made from one schema, not compiled.
            weights: dict from target to a list of weights, one for each model.
        """
        from .build import compile_settings

        first = members[0]
        schema, heads = first.schema, first.heads
        inputs = {
            name: value.keras_input(name) for name, value in schema.inputs.items()
        }
        answers = []
        for number, member in enumerate(members):
            member.name, member.schema = _member_name(number), schema
            tensors = [inputs[tensor.name] for tensor in member.inputs]
            answers.append(schema.by_target(member(tensors)))
        outputs = {}
        for name, target in schema.targets.items():
            given = np.asarray(weights[name], "float64")
            used = np.flatnonzero(given)
            mean = heads[name].mean(target, (given[used] / given.sum()).tolist(), name)
            outputs[name] = mean([answers[place][name] for place in used])
        ensemble = cls(
            list(inputs.values()), schema.without_dict(outputs), name="ensemble"
        )
        ensemble.schema, ensemble.heads = schema, heads
        ensemble.seed, ensemble.objective = first.seed, first.objective
        ensemble.wiring = Wiring(
            first.wiring.by_column,
            heads={name: head.layer_name(name) for name, head in heads.items()},
        )
        # To be scored; this optimizer has no state to save.
        ensemble.compile("sgd", **compile_settings(schema, heads))
        return ensemble

    @property
    def members(self):
        """list of the models that it averages."""
        names = {layer.name for layer in self.layers}
        numbered = map(_member_name, range(len(names)))
        return [self.get_layer(name) for name in numbered if name in names]

    @property
    def weights_of_members(self):
        """dict from target to a list of the members' weights, which sum to 1."""
        order = {member.name: index for index, member in enumerate(self.members)}
        found = {}
        for name, head in self.wiring.heads.items():
            mean = self.get_layer(head)
            tensors = mean.input if isinstance(mean.input, list) else [mean.input]
            found[name] = [0.0] * len(order)
            for tensor, weight in zip(tensors, mean.mean_weights):
                found[name][order[tensor._keras_history.operation.name]] = weight
        return found

    def parts(self):
        """The members' parts, joined; see `MultimodalModel.parts`."""
        columns = [tensor.name for tensor in self.inputs]
        return parts_of_members(self.members, self._shares(), columns)

    def vectors(self, tower=None):
        """The members' embeddings side by side; see `MultimodalModel.vectors`."""
        if tower is not None:
            return super().vectors(tower)
        inputs = [self.schema.inputs[t.name].keras_input(t.name) for t in self.inputs]
        by_name = {tensor.name: tensor for tensor in inputs}
        models, functions = zip(*map(vectors_of, self.members))
        outputs = [model([by_name[t.name] for t in model.inputs]) for model in models]
        scales = np.sqrt(self._shares())

        def vectors(outputs):
            parts = [
                scale * unit(np.asarray(function(given)))
                for scale, function, given in zip(scales, functions, outputs)
            ]
            return np.concatenate(parts, axis=1)

        # Each is of unit length: a cosine is the weighted mean of the members'.
        return keras.Model(inputs, outputs), vectors, True

    def _shares(self):
        """Each member's weight, averaged over the targets."""
        return np.mean(list(self.weights_of_members.values()), axis=0)

    def _own_config(self):
        report = None if self.report is None else self.report.get_config()
        return {**super()._own_config(), "report": report}

    def _set_own(self, config):
        super()._set_own(config)
        report = config.get("report")
        self.report = None if report is None else EnsembleReport(**report)


def copy_of(model):
    """A copy of a model with its weights, not compiled."""
    copy = type(model).from_config(model.get_config())
    for variable, source in zip(copy.weights, model.weights, strict=True):
        # A copy: on jax they would share memory, which training overwrites.
        variable.assign(ops.convert_to_numpy(source))
    return copy


def check_alike(model, other):
    """Raises a `ValueError` unless two models can be averaged.

    They must have the same targets, read the same tensors, and correct alike for classes
    of unequal size.
    """
    for what in ("inputs", "targets"):
        config, theirs = (dict(one.schema.get_config()[what]) for one in (model, other))
        differ = [
            name
            for name in {**config, **theirs}
            if config.get(name) != theirs.get(name)
        ]
        if differ:
            raise ValueError(
                f"The members of an ensemble must have the same {what}, prepared in the "
                "same way, but their encoders or schemas prepare these columns "
                "differently. Choose encoders that read the same form of a column. "
                f"Received: {what}={differ}"
            )
    corrections = [{n: h.imbalance for n, h in m.heads.items()} for m in (model, other)]
    if corrections[0] != corrections[1]:
        raise ValueError(
            "The members of an ensemble must correct for classes of unequal size in the "
            "same way, or their probabilities have no common meaning. "
            f"Received: loss={corrections[0]} and loss={corrections[1]}"
        )


def _member_name(index):
    return layer_name("member", f"model_{index + 1}")
