import keras
from keras import ops

from ..data import Schema, overlap, to_dataset, to_table
from ..data.class_weights import class_weights
from ..data.columns import fill_absent, is_dataset
from ..data.raw import refuse_unreadable
from ..data.rows import plain_errors
from ..encoders.pretrained import (
    enable_lora,
    freeze_again,
    pretrained_parts,
    renew_lora,
)
from ..names import encoders_of, served_name
from .late import (
    check_late,
    class_indices,
    experts_loss,
    fit_linear_model,
    late_fusion,
    weigh_experts,
)
from .rates import RatesOptimizer
from .tensors import are_tensors, check_names, check_tensors, one_target
from .torch_compile import for_each_size


@keras.saving.register_keras_serializable(package="keras_mm")
class MultimodalModel(keras.Model):
    """A functional Keras model that knows its schema and reads tables.

    Made by the builders. Everything that `keras.Model` does works; `fit`,
    `evaluate` and `predict` take tables besides tensors, and the saved file
    holds the schema.
    """

    _schema = None
    seed = None

    # Encoders by name: the learning rate of what is pretrained in them, which
    # `compile` reads, and the rank of their LoRA matrices. Not to be changed in
    # place: set a new dict and compile.
    learning_rates = {}
    lora_ranks = {}

    @property
    def encoders(self):
        """dict from modality to its encoder, a layer of the model."""
        return encoders_of(self)

    @property
    def schema(self):
        """What the model takes and answers; `adapt` cannot change it any more."""
        return self._schema

    @schema.setter
    def schema(self, schema):
        self._schema = schema
        if schema is not None:
            schema.is_in_use = True

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

    def get_compile_config(self):
        """What `compile` was called with."""
        config = super().get_compile_config()
        if config and self.learning_rates:
            config["optimizer"] = self._optimizer_config
        return config

    def compile_from_config(self, config):
        """Compiles the model as `get_compile_config()` says."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer and self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        *,
        base_dir=None,
        bad="error",
        **kwargs,
    ):
        """Trains the model; `keras.Model.fit`, for tables too.

        Examples:

        >>> model.fit(train, validation_data=validation, epochs=20)
        >>> model.fit({"image": pixels, "text": ids}, labels, epochs=20)

        Args:
            x: a table (DataFrame, path, dict of raw columns, or
                `tf.data.Dataset` of dicts), which holds the target too; or
                what Keras takes: tensors, or a dataset of `(inputs, target)`.
            y: the target, if `x` does not hold it; of several targets a dict.
            batch_size: int, 32 if not given.
            epochs: int.
            verbose: as in Keras.
            callbacks: as in Keras.
            validation_split: as in Keras; not for tables (see
                `keras_mm.data.split`).
            validation_data: a table, or what Keras takes.
            shuffle: bool, whether to shuffle the rows anew in every epoch.
            class_weight: `"balanced"`, or a dict from class name to weight (from
                index, too, if no class is named by a number).
            sample_weight: as in Keras; not for tables.
            base_dir: folder that the table's relative file paths start from.
            bad: `"error"` refuses cells that cannot be read, `"missing"`
                treats them as missing.
            **kwargs: as in Keras.

        Returns:
            `keras.callbacks.History`.
        """
        renew_lora(self)
        settings = {
            "batch_size": batch_size,
            "epochs": epochs,
            "verbose": verbose,
            "callbacks": callbacks,
            "validation_split": validation_split,
            "shuffle": shuffle,
            "class_weight": class_weight,
            "sample_weight": sample_weight,
            "base_dir": base_dir,
            "bad": bad,
            **kwargs,
        }
        late = late_fusion(self)
        if late is None:
            return self._train(x, y, validation_data, **settings)
        if validation_split and not self._is_table(x) and y is not None:
            # The same rows as Keras would take: the last ones.
            x, y, validation_data = _split_last(x, y, validation_split)
            settings["validation_split"] = 0.0
        if late.out_of_fold and self._is_table(x) and not is_dataset(x):
            x, y = to_table(self._with_target(x, y)), None
        check_late(late, x, validation_data)
        if late.out_of_fold:
            fit_linear_model(self, x, y, validation_data, **settings)
        history = self._train(x, y, validation_data, **settings)
        if late.weighs and validation_data is not None:
            rows = self._pairs(validation_data, None, batch_size, base_dir, bad)
            weigh_experts(self, rows, kwargs.get("validation_steps"))
        return history

    def _train(
        self,
        x,
        y,
        validation_data,
        batch_size,
        verbose,
        shuffle,
        class_weight,
        sample_weight,
        validation_split,
        base_dir,
        bad,
        **kwargs,
    ):
        """Trains the weights, for tables and for what Keras takes."""
        if not self._is_table(x):
            self._check(x, y)
            if class_weight is not None and y is not None:
                target = self.schema.target
                weights = class_weights(class_indices(y), target, class_weight)
                sample_weight = weights * (
                    1 if sample_weight is None else sample_weight
                )
            elif class_weight is not None:
                raise ValueError(
                    "`class_weight` goes with a table or with arrays, not with a "
                    "dataset that is read row by row. Received: "
                    f"class_weight={class_weight!r}, x of type {type(x).__name__}"
                )
            if self._is_table(validation_data):
                validation_data = self._dataset(
                    validation_data, batch_size, base_dir, bad
                )
            self._make_variables(x, y)
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                verbose=verbose,
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
                sample_weight=sample_weight,
                **kwargs,
            )
        if validation_split:
            raise ValueError(
                "Split a table by its meaning, not by its last rows: train, "
                "validation, test = keras_mm.data.split(table, ...). "
                f"Received: validation_split={validation_split}"
            )
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` goes with tensors. For a table use "
                "`class_weight`. Received: sample_weight"
            )
        table = self._with_target(x, y)
        train = self._dataset(
            table,
            batch_size,
            base_dir,
            bad,
            shuffle=shuffle,
            class_weight=class_weight,
        )
        validation = validation_data
        if self._is_table(validation_data):
            self._warn_of_overlap(table, validation_data)
            validation = self._dataset(validation_data, batch_size, base_dir, bad)
        self._make_variables(train)
        try:
            with plain_errors():
                return super().fit(
                    train,
                    verbose=verbose,
                    validation_data=validation,
                    # The rows are shuffled already; Keras would warn.
                    shuffle=False,
                    **kwargs,
                )
        except Exception as error:
            # A table too large to be decoded beforehand may hold a picture
            # whose damage only decoding shows: say which one.
            if "InvalidArgument" in type(error).__name__ and not is_dataset(table):
                refuse_unreadable(table, self.schema, base_dir)
            raise

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
                lambda output: ops.zeros((1, *output.shape[1:])), self.output
            )
            super().compute_loss(None, y, outputs, training=False)
            self.compute_metrics(None, y, outputs)
            self.reset_metrics()

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The compiled loss; in training a late fusion's, expert by expert."""
        late = late_fusion(self)
        experts = late.take_experts() if late is not None and training else None
        if experts is None:
            return super().compute_loss(x, y, y_pred, sample_weight, training)

        late.observe(*experts, y)

        def loss(repeated, predictions, shown):
            if sample_weight is not None:
                shown = shown * repeated(sample_weight)
            return super(MultimodalModel, self).compute_loss(
                x, repeated(y), predictions, shown, training
            )

        return experts_loss(self, experts, loss)

    def predict_from_logits(self, logits):
        """What a late fusion's logits `(batch, units)` mean as a prediction."""
        return self.get_layer(served_name(self.schema.target_name))(logits)

    def evaluate(
        self, x=None, y=None, batch_size=None, *, base_dir=None, bad="error", **kwargs
    ):
        """Loss and metrics; `keras.Model.evaluate`, for tables too.

        Args:
            x: a table, or what Keras takes.
            y: the target, if `x` does not hold it.
            batch_size: int, 32 if not given.
            base_dir: as in `fit`.
            bad: as in `fit`.
            **kwargs: as in Keras.

        Returns:
            list of floats, or a dict with `return_dict=True`.
        """
        if self._is_table(x):
            table = self._with_target(x, y)
            x, y = self._dataset(table, batch_size, base_dir, bad), None
            batch_size = None
        else:
            self._check(x, y)
        with plain_errors():
            return super().evaluate(x, y, batch_size=batch_size, **kwargs)

    def predict(self, x, batch_size=None, *, base_dir=None, bad="error", **kwargs):
        """Predictions in the order of the rows; `keras.Model.predict`, for tables too.

        Args:
            x: a table (the target is not needed, and the cells of an absent input
                are missing, with a warning), or what Keras takes.
            batch_size: int, 32 if not given.
            base_dir: as in `fit`.
            bad: as in `fit`.
            **kwargs: as in Keras.

        Returns:
            Array `(rows, classes)` of probabilities, or `(rows, 1)` of numbers; of
            several targets a dict of arrays.
        """
        if self._is_table(x):
            x = fill_absent(x, self.schema.inputs)
            x = self._dataset(x, batch_size, base_dir, bad, with_target=False)
            batch_size = None
        else:
            self._check(x)
        with plain_errors():
            return super().predict(x, batch_size=batch_size, **kwargs)

    def _dataset(self, table, batch_size, base_dir, bad, **kwargs):
        return to_dataset(
            table,
            self.schema,
            batch_size=batch_size or 32,
            seed=self.seed,
            base_dir=base_dir,
            bad=bad,
            **kwargs,
        )

    def _pairs(self, x, y, batch_size, base_dir, bad):
        """Rows as a dataset of inputs and targets, or as arrays of both."""
        if self._is_table(x):
            return self._dataset(self._with_target(x, y), batch_size, base_dir, bad)
        return x if y is None else (x, y)

    def _is_table(self, x):
        if is_dataset(x):
            return isinstance(x.element_spec, dict)
        if isinstance(x, dict):
            return not are_tensors(x, self)
        return hasattr(x, "columns") or isinstance(x, str) or hasattr(x, "__fspath__")

    def _with_target(self, table, target):
        if target is None:
            return table
        table = to_table(table)
        if self.schema.has_several_targets:
            check_names(target, self.schema)
            return table.assign(**{n: list(target[n]) for n in self.schema.targets})
        return table.assign(**{self.schema.target_name: list(target)})

    def _check(self, x, y=None):
        if isinstance(x, (dict, list, tuple)) or hasattr(x, "shape"):
            check_tensors(x, y, self)

    def _warn_of_overlap(self, train, validation):
        import warnings

        if is_dataset(train) or is_dataset(validation):
            return
        for name, value in self.schema.inputs.items():
            if value.is_file:
                count = overlap(train, validation, name)
                if count:
                    warnings.warn(
                        f"{count} files of column {name!r} are in the training "
                        "rows and in the validation rows: the scores will be too "
                        "good. Split by group: keras_mm.data.split(groups=...).",
                        stacklevel=4,
                    )

    def get_config(self):
        """The network and the schema."""
        return {
            **super().get_config(),
            "schema": None if self.schema is None else self.schema.get_config(),
            "seed": self.seed,
            "learning_rates": dict(self.learning_rates),
            "lora_ranks": dict(self.lora_ranks),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Creates the model again from `get_config()`."""
        config = dict(config)
        schema, seed = config.pop("schema", None), config.pop("seed", None)
        rates, ranks = config.pop("learning_rates", {}), config.pop("lora_ranks", {})
        model = super().from_config(config, custom_objects=custom_objects)
        model.schema = None if schema is None else Schema.from_config(schema)
        model.seed = seed
        model.learning_rates, model.lora_ranks = dict(rates), dict(ranks)
        freeze_again(model)
        for name, rank in ranks.items():
            enable_lora(model.get_layer(name), rank)
        return model


def _split_last(x, y, share):
    """Arrays without their last rows, and these."""
    first = int(len(y) * (1 - share))

    def part(rows):
        return keras.tree.map_structure(lambda value: value[rows], (x, y))

    return *part(slice(None, first)), part(slice(first, None))
