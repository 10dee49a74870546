import os
import weakref

import keras
from keras import ops

from ..data import Schema
from ..encoders.pretrained import enable_lora, freeze_again, pretrained_parts
from ..fusion import has_experts
from ..objectives import Supervised
from .parts import parts_of, vectors_of
from .rates import RatesOptimizer
from .tensors import one_target
from .torch_compile import for_each_size
from .wiring import EXPERTS, PREDICTIONS, Wiring

# Where a compiled model keeps its own configuration, for its copies.
_OWN = "built_model"


class BuiltModel(keras.Model):
    """What a builder's model knows of itself, compiles with, saves and copies.

    Made from what is in it, as every functional `keras.Model`; the builders tell it
    the rest.
    """

    _schema = None
    # The `Head` of each target.
    heads = {}
    # What training minimises, and which layer is which.
    objective = Supervised()
    wiring = Wiring()
    seed = None

    # Encoders by name: the learning rate of what is pretrained in them, which
    # `compile` reads, and the rank of their LoRA matrices. Not to be changed in
    # place: set a new dict and compile.
    learning_rates = {}
    lora_ranks = {}

    # Weak reference to the model that this one is the rest of, see `graph.rest_of`.
    _whole = None

    # A file has what belongs to the model in its `get_config`.
    _is_saving = False

    @property
    def schema(self):
        """What the model takes and answers; `adapt` cannot change it any more."""
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

    # No property, nor is the next one: Keras looks into each when it saves a model.
    def fusion_layers(self):
        """dict from target to the layer that fuses for it; they may share one."""
        return {n: self.get_layer(name) for n, name in self.wiring.fusions.items()}

    def late_fusions(self):
        """dict from target to its late fusion; empty if fusion is early."""
        return {n: f for n, f in self.fusion_layers().items() if has_experts(f)}

    def call(self, inputs, training=None, mask=None, **kwargs):
        """The predictions; in training also what else the loss needs."""
        outputs = super().call(inputs, training=training, mask=mask, **kwargs)
        return outputs if training else self.predictions(outputs)

    def predictions(self, outputs):
        """What users are given of the model's outputs: a tensor, or a dict of such."""
        if not self.wiring.has_experts or not isinstance(outputs, dict):
            return outputs
        # Outside training they are what is left; a target may be called "experts".
        is_all = isinstance(outputs.get(EXPERTS), dict)
        return outputs[PREDICTIONS] if is_all else outputs

    def experts(self, outputs):
        """What late fusions' experts predict by themselves, if `outputs` hold it.

        Returns:
            dict from target to a list of logits `(batch, experts, units)` and bools
            `(batch, experts)`; empty if there is none.
        """
        return outputs[EXPERTS] if self.wiring.has_experts else {}

    def parts(self):
        """Parts that an export serves by themselves: dict from signature to `Part`."""
        return parts_of(self)

    def vectors(self, tower=None):
        """What gives one vector a row: model, function of its outputs, whether to scale.

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
        # The length that a classifier gives a row tells how sure it is, not what it is.
        scaled = any(value.kind != "number" for value in self.schema.targets.values())
        return (*vectors_of(self), scaled)

    def answering(self):
        """The model whose predictions an export answers with: this one."""
        return self

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """What the objective minimises."""
        return self.objective.loss(self, x, y, y_pred, sample_weight, training)

    def compiled_loss(self, x, y, predictions, sample_weight, training):
        """What the losses minimise that the model was compiled with."""
        return super().compute_loss(x, y, predictions, sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The compiled metrics, of the predictions."""
        return super().compute_metrics(x, y, self.predictions(y_pred), sample_weight)

    def compile(self, optimizer="rmsprop", *args, **kwargs):
        """`keras.Model.compile`; encoders keep learning rates of their own.

        Args:
            optimizer: Keras optimizer or its name; its learning rate is that
                of everything but the pretrained parts of `learning_rates`.
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
        known = getattr(self, name)
        make(force)
        made = getattr(self, name)
        if (
            made is not known
            and keras.backend.backend() == "torch"
            and self.jit_compile
        ):
            setattr(self, name, for_each_size(made))
        return getattr(self, name)

    def _make_variables(self, x, y=None):
        """Makes what optimizer and metrics count with, before the first step.

        TensorFlow traces a step that makes variables twice. (Among several
        devices they must be made in the step.)
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
                lambda output: ops.zeros((1, *output.shape[1:])),
                self.predictions(self.output),
            )
            self.compiled_loss(None, y, outputs, None, training=False)
            self.compute_metrics(None, y, outputs)
            self.reset_metrics()

    def compile_settings(self):
        """What `compile` was called with, as plain data."""
        config = super().get_compile_config()
        if config and self.learning_rates:
            config["optimizer"] = self._optimizer_config
        return config

    def get_compile_config(self):
        """What `compile` was called with, and what belongs to the model alone.

        `keras.models.clone_model` hands nothing else on to a copy.
        """
        config = self.compile_settings()
        if not config or self._is_saving:
            return config
        return {**config, _OWN: self._own_config()}

    def compile_from_config(self, config):
        """Compiles the model as `get_compile_config()` says."""
        config = dict(config)
        own = config.pop(_OWN, None)
        if own is not None and self.schema is None:
            self._set_own(own)
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer and self.built:
            self.optimizer.build(self.trainable_variables)

    def save(self, filepath, *args, **kwargs):
        """`keras.Model.save`, into a `.keras` file, which holds everything.

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

        `keras_mm.export` writes what takes cells of tables.

        Args:
            filepath: as in Keras.
            format: as in Keras.
            verbose: as in Keras.
            input_signature: as in Keras.
            **kwargs: as in Keras.
        """
        if format == "onnx" and input_signature is None:
            # What Keras takes, too, but only once the model has been called.
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
        """The network, and what belongs to the model alone."""
        from keras.src.backend.common import global_state

        # `keras.saving.save_model` asks the model nothing else.
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
            # In files of before, what experts predict is no output.
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
        """What the network does not say, as plain data."""
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

    def is_rest_of(self, model):
        """Makes the model the rest of another: what callbacks save is the whole."""
        self._whole = weakref.ref(model)

    def take_over(self, model):
        """Takes over what another model knows besides its network and how it is tuned."""
        self.schema, self.heads, self.seed = model.schema, model.heads, model.seed
        self.objective, self.wiring = model.objective, model.wiring

    def _set_own(self, config):
        """Takes over another model's `_own_config`."""
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
        "An HDF5 file does not hold the schema, without which the model reads no "
        "tables. Save it as a .keras file: model.save('model.keras'). "
        f"Received: {received}"
    )
