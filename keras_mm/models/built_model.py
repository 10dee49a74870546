import os
import weakref

import keras
from keras import ops

from ..data import Schema
from ..encoders.pretrained import enable_lora, freeze_again, pretrained_parts
from ..fusion import has_experts
from ..objectives import Supervised
from .graph import is_outermost
from .parts import parts_of, vectors_of
from .rates import RatesOptimizer
from .tensors import one_target
from .torch_compile import for_each_size
from .wiring import EXPERTS, PREDICTIONS, Wiring

# Where a compiled model keeps its own configuration, for its copies.
_OWN = "built_model"


class BuiltModel(keras.Model):
    """Compiling, saving and copying of models made by the builders.

    Constructed from inputs and outputs, as every functional `keras.Model`; the
    builders set the other attributes.
    """

    _schema = None
    # The `Head` of each target.
    heads = {}
    # What training minimises, and the roles of the layers.
    objective = Supervised()
    wiring = Wiring()
    seed = None

    # By encoder name: the learning rate of the pretrained part, which `compile` reads,
    # and the rank of the LoRA matrices. Do not change them in place: set a new dict
    # and compile.
    learning_rates = {}
    lora_ranks = {}

    # Weak reference to the model that this one is the rest of, see `graph.rest_of`.
    _whole = None

    # While saving, the model's attributes are in its `get_config`.
    _is_saving = False

    @property
    def schema(self):
        """The inputs and targets; in use by the model, it can no longer be adapted."""
        return self._schema

    @schema.setter
    def schema(self, schema):
        self._schema = schema
        if schema is not None:
            columns = {**schema.inputs, **schema.targets}
            for part in (schema, *columns.values()):
                part.is_in_use = True

    @property
    def modalities(self):
        """dict from modality to its columns, in the order in which they are fused."""
        return dict(self.wiring.modalities)

    @property
    def encoders(self):
        """dict from modality to its encoder, a layer of the model."""
        return {n: self.get_layer(name) for n, name in self.wiring.encoders.items()}

    # Methods, not properties: Keras traverses properties when it saves a model.
    def fusion_layers(self):
        """dict from target to its fusion layer; targets may share one."""
        return {n: self.get_layer(name) for n, name in self.wiring.fusions.items()}

    def late_fusions(self):
        """dict from target to its late fusion; empty if fusion is early."""
        return {n: f for n, f in self.fusion_layers().items() if has_experts(f)}

    def call(self, inputs, training=None, mask=None, **kwargs):
        """The predictions; in the model's own training all outputs that the loss needs."""
        outputs = super().call(inputs, training=training, mask=mask, **kwargs)
        return outputs if training and is_outermost(self) else self.predictions(outputs)

    def compute_output_spec(self, inputs, training=None, mask=None):
        """The Keras tensors of the predictions."""
        return self.predictions(super().compute_output_spec(inputs, training, mask))

    @property
    def output(self):
        """The Keras tensors of the predictions."""
        return self.predictions(self.every_output())

    def every_output(self):
        """The Keras tensors of all outputs, those of experts too."""
        return super().output

    def predictions(self, outputs):
        """The predictions among the model's outputs: a tensor, or a dict of tensors."""
        return outputs[PREDICTIONS] if self.experts(outputs) else outputs

    def experts(self, outputs):
        """The outputs of late fusions' experts, if the model has any.

        Returns:
            dict from target to logits `(batch, experts * members, units)` and bools
            `(batch, experts * members)`; empty without late fusions or training.
        """
        if not self.wiring.has_experts or not isinstance(outputs, dict):
            return {}
        experts = outputs.get(EXPERTS)
        # A target may be called "experts".
        return experts if isinstance(experts, dict) else {}

    def parts(self):
        """Submodels that an export serves: dict from signature to `Part`."""
        return parts_of(self)

    def vectors(self, tower=None):
        """The row embedding: submodel, function of its outputs, whether to normalise.

        See `evaluation.Embedder`.

        Args:
            tower: string, the tower of a retriever; other models have none.
        """
        if tower is not None:
            raise ValueError(
                f"Only a retriever has towers. Leave `tower` out. Received: tower={tower!r}"
            )
        if not self.wiring.fusions:
            raise ValueError(
                "The model has no fusion to take vectors from. For one tower of a "
                "retriever pass the retriever and tower=<name>. "
                f"Received: model={self.name!r}"
            )
        # A classifier's vector norm reflects confidence, not content.
        scaled = any(value.kind != "number" for value in self.schema.targets.values())
        return (*vectors_of(self), scaled)

    def serving_model(self):
        """The model whose outputs an export serves: by default this one."""
        return self

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The objective's loss."""
        return self.objective.loss(self, x, y, y_pred, sample_weight, training)

    def compiled_loss(self, x, y, predictions, sample_weight, training):
        """The compiled losses."""
        return super().compute_loss(x, y, predictions, sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The compiled metrics of the predictions."""
        return super().compute_metrics(x, y, self.predictions(y_pred), sample_weight)

    def compile(self, optimizer="rmsprop", *args, **kwargs):
        """`keras.Model.compile`; encoders keep their own learning rates.

        Args:
            optimizer: Keras optimizer or its name; its learning rate applies to
                everything but the pretrained parts in `learning_rates`.
            *args: as in Keras.
            **kwargs: as in Keras.
        """
        if self.learning_rates:
            optimizer = keras.optimizers.get(optimizer)
            self._optimizer_config = keras.saving.serialize_keras_object(optimizer)
            groups = []
            for name, rate in self.learning_rates.items():
                parts = pretrained_parts(self.get_layer(name))
                groups.append((rate, [v for part in parts for v in part.variables]))
            optimizer = RatesOptimizer(optimizer, groups)
        super().compile(optimizer, *args, **kwargs)

    def make_train_function(self, force=False):
        """As in Keras."""
        return self._make("train_function", super().make_train_function, force)

    def make_test_function(self, force=False):
        """As in Keras."""
        return self._make("test_function", super().make_test_function, force)

    def make_predict_function(self, force=False):
        """As in Keras."""
        return self._make("predict_function", super().make_predict_function, force)

    def _make(self, name, make, force):
        """Makes a step; see `for_each_size`."""
        before = getattr(self, name)
        make(force)
        made = getattr(self, name)
        if (
            made is not before
            and keras.backend.backend() == "torch"
            and self.jit_compile
        ):
            setattr(self, name, for_each_size(made))
        return getattr(self, name)

    def _make_variables(self, x, y=None):
        """Creates the variables of optimizer and metrics before the first step.

        TensorFlow traces a step twice if it creates variables. (With a distribution
        strategy they must be created in the step.)
        """
        if keras.backend.backend() != "tensorflow" or self.run_eagerly:
            return
        if self._distribute_strategy is not None:
            return
        if self.optimizer and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        if self.loss is None:
            return
        y = one_target(x, y)
        sizes = [n for o in keras.tree.flatten(self.output) for n in o.shape[1:]]
        if y is not None and None not in sizes:
            outputs = keras.tree.map_structure(
                lambda output: ops.zeros((1, *output.shape[1:])), self.output
            )
            self.compiled_loss(None, y, outputs, None, training=False)
            self.compute_metrics(None, y, outputs)
            self.reset_metrics()

    def compile_settings(self):
        """The arguments of `compile`, as plain data."""
        config = super().get_compile_config()
        if config and self.learning_rates:
            config["optimizer"] = self._optimizer_config
        return config

    def get_compile_config(self):
        """The arguments of `compile`, and the model's own attributes.

        `keras.models.clone_model` passes nothing else on to a copy.
        """
        config = self.compile_settings()
        if not config or self._is_saving:
            return config
        return {**config, _OWN: self._own_config()}

    def compile_from_config(self, config):
        """Compiles the model from `get_compile_config()`."""
        config = dict(config)
        own = config.pop(_OWN, None)
        if own is not None and self.schema is None:
            self._set_own(own)
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer and self.built:
            self.optimizer.build(self.trainable_variables)

    def save(self, filepath, *args, **kwargs):
        """`keras.Model.save`, to a `.keras` file, which holds the schema, too.

        Args:
            filepath: path that ends in `.keras`.
            *args: as in Keras.
            **kwargs: as in Keras.
        """
        if self._whole is not None:
            return self._whole().save(filepath, *args, **kwargs)
        if os.fspath(filepath).lower().endswith((".h5", ".hdf5")):
            raise _no_hdf5(f"filepath={os.fspath(filepath)!r}")
        self._is_saving = True
        try:
            super().save(filepath, *args, **kwargs)
        finally:
            self._is_saving = False

    def save_weights(self, *args, **kwargs):
        """`keras.Model.save_weights`."""
        if self._whole is not None:
            return self._whole().save_weights(*args, **kwargs)
        return super().save_weights(*args, **kwargs)

    def load_weights(self, *args, **kwargs):
        """`keras.Model.load_weights`."""
        if self._whole is not None:
            return self._whole().load_weights(*args, **kwargs)
        return super().load_weights(*args, **kwargs)

    def export(
        self,
        filepath,
        format="tf_saved_model",
        verbose=None,
        input_signature=None,
        **kwargs,
    ):
        """`keras.Model.export`: the network alone, which takes tensors.

        `keras_mm.export` includes preprocessing, so that raw cells can be served.

        Args:
            filepath: as in Keras.
            format: as in Keras.
            verbose: as in Keras.
            input_signature: as in Keras.
            **kwargs: as in Keras.
        """
        if format == "onnx" and input_signature is None:
            # Keras's own default, which it infers only after the model was called.
            input_signature = [
                [
                    keras.layers.InputSpec(
                        shape=tensor.shape, dtype=tensor.dtype, name=tensor.name
                    )
                    for tensor in self.inputs
                ]
            ]
        return super().export(filepath, format, verbose, input_signature, **kwargs)

    def get_config(self):
        """The network, and the model's own attributes."""
        from keras.src.backend.common import global_state

        # The only hook that `keras.saving.save_model` calls for HDF5.
        if global_state.get_global_attribute("use_legacy_config"):
            raise _no_hdf5(f"model={self.name!r}")
        return {**super().get_config(), **self._own_config()}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Creates the model again from `get_config()`."""
        config = dict(config)
        names = cls._OWN_NAMES
        own = {name: config.pop(name) for name in names if name in config}
        model = super().from_config(config, custom_objects=custom_objects)
        late = [one for one in model.layers if has_experts(one)]
        if late and "wiring" not in own:
            # In older files, the experts' predictions are not outputs.
            (name, _), *_ = own["schema"]["targets"]
            experts = {name: list(late[0].output[-2:])}
            outputs = {PREDICTIONS: model.output, EXPERTS: experts}
            model = cls(model.inputs, outputs, name=model.name)
        model._set_own(own)
        return model

    # The entries of `_own_config`.
    _OWN_NAMES = (
        *("schema", "heads", "objective", "wiring"),
        *("seed", "learning_rates", "lora_ranks"),
    )

    def _own_config(self):
        """The model's own attributes, as plain data."""
        return {
            "schema": None if self.schema is None else self.schema.get_config(),
            "heads": {
                name: keras.saving.serialize_keras_object(head)
                for name, head in self.heads.items()
            },
            "objective": keras.saving.serialize_keras_object(self.objective),
            "wiring": self.wiring._asdict(),
            "seed": self.seed,
            "learning_rates": dict(self.learning_rates),
            "lora_ranks": dict(self.lora_ranks),
        }

    def mark_as_rest_of(self, model):
        """Marks the model as the rest of another; callbacks then save the whole."""
        self._whole = weakref.ref(model)

    def copy_attributes(self, model):
        """Copies another model's attributes, except network and tuning."""
        self.schema, self.heads, self.seed = model.schema, model.heads, model.seed
        self.objective, self.wiring = model.objective, model.wiring

    def _set_own(self, config):
        """Sets the attributes from an `_own_config`."""
        schema = config.get("schema")
        self.schema = None if schema is None else Schema.from_config(schema)
        self.heads = {
            name: keras.saving.deserialize_keras_object(head)
            for name, head in config.get("heads", {}).items()
        }
        if "objective" in config:
            self.objective = keras.saving.deserialize_keras_object(config["objective"])
        if "wiring" in config:
            self.wiring = Wiring(**config["wiring"])
        elif self.schema is not None:
            self.wiring = Wiring.of_names(self, self.schema)
        self.seed = config.get("seed")
        self.learning_rates = dict(config.get("learning_rates", {}))
        self.lora_ranks = dict(config.get("lora_ranks", {}))
        freeze_again(self)
        for name, rank in self.lora_ranks.items():
            enable_lora(self.get_layer(name), rank)


def _no_hdf5(received):
    return ValueError(
        "An HDF5 file does not hold the schema, without which the model cannot read "
        "tables. Save it as a .keras file: model.save('model.keras'). "
        f"Received: {received}"
    )
