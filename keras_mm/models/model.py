import keras

from ..data import to_table
from ..data.columns import column_name, fill_absent, is_dataset
from ..data.raw import refuse_unreadable
from ..data.rows import plain_errors
from ..data.weights import combined_weights
from ..deprecated import renamed
from ..encoders.pretrained import renew_lora
from .late import check_late, fit_linear_model, weigh_experts
from .rows import plain, split_last, warn_of_overlap
from .seeded import seeded
from .table_model import TableModel
from .training_settings import training_settings


@keras.saving.register_keras_serializable(package="keras_mm")
class MultimodalModel(TableModel):
    """A functional Keras model with a schema, which takes tables.

    Made by the builders. It supports the full API of `keras.Model`; `fit`, `evaluate`,
    `predict` and their `..._on_batch` variants take tables as well as tensors, and the
    saved file holds the schema.

    A DataFrame, a path, a dict of columns and a dataset of dicts are tables. Tensors
    are passed as a list, as `keras_mm.Tensors`, or in a dataset of `(inputs, target)`.
    Calling the model is plain Keras: it takes tensors only.
    """

    @renamed(bad="on_unreadable")
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
        on_unreadable="error",
        **kwargs,
    ):
        """Trains the model; `keras.Model.fit`, for tables too.

        Examples:

        >>> model.fit(train, validation_data=validation, epochs=20)
        >>> tensors = keras_mm.Tensors({"image": pixels, "text": ids})
        >>> model.fit(tensors, labels, epochs=20)

        Args:
            x: a table (DataFrame, path, dict of raw columns, or
                `tf.data.Dataset` of dicts), which holds the target too; or
                tensors: a list of arrays, `keras_mm.Tensors`, a dataset of
                `(inputs, target)`, or anything else that Keras takes.
            y: the target, if `x` does not hold it; for several targets a dict.
            batch_size: int; if not given, that of `training.training_settings` for a
                table, 32 for tensors.
            epochs: int.
            verbose: as in Keras.
            callbacks: as in Keras.
            validation_split: as in Keras; not for tables (see
                `keras_mm.data.split`).
            validation_data: a table, or `(x, y)` or `(x, y, sample_weight)`, in the
                same forms as `x` and `y`.
            shuffle: bool, whether to shuffle the rows in every epoch.
            class_weight: `"balanced"`, or a dict from class name to weight (or from
                index, unless a class is named by a number).
            sample_weight: array of row weights; for a table also the name of the
                column that holds them; for several targets also a dict from target to
                either. It is multiplied with `class_weight`.
            base_dir: folder that the table's relative file paths start from.
            on_unreadable: `"error"` refuses cells that cannot be read, `"missing"`
                treats them as missing.
            **kwargs: as in Keras.

        Returns:
            `keras.callbacks.History`.
        """
        reading = batch_size, base_dir, on_unreadable
        with seeded(self.seed):
            renew_lora(self)
            self.objective.before_fit(self, x, y, class_weight, sample_weight)
            try:
                return self._fit(
                    x,
                    y,
                    self._validation(validation_data, *reading),
                    batch_size=batch_size,
                    epochs=epochs,
                    verbose=verbose,
                    callbacks=callbacks,
                    validation_split=validation_split,
                    shuffle=shuffle,
                    class_weight=class_weight,
                    sample_weight=column_name(sample_weight),
                    base_dir=base_dir,
                    on_unreadable=on_unreadable,
                    **kwargs,
                )
            finally:
                self.objective.after_fit(self)

    def _fit(self, x, y, validation_data, **settings):
        """Trains the model, and fits the weights of late fusions."""
        late = next(iter(self.late_fusions().values()), None)
        if validation_data is not None and not self.is_table(x):
            settings["validation_split"] = 0.0
        if not self.is_table(x):
            y = self.objective.tensor_labels(self, x, y)
        share = settings["validation_split"]
        # Validation rows must not affect the experts' or the class weights.
        apart = late is not None or settings["class_weight"] is not None
        if share and apart and not self.is_table(x) and y is not None:
            # The same rows as in Keras: the last ones.
            rows = x, y, settings["sample_weight"]
            (x, y, settings["sample_weight"]), validation_data = split_last(rows, share)
            settings["validation_split"] = 0.0
        if late is None:
            return self._train(x, y, validation_data, **settings)
        if late.out_of_fold and self.is_table(x) and not is_dataset(x):
            x, y = to_table(self._with_target(x, y)), None
        check_late(late, x, validation_data)
        if late.out_of_fold:
            fit_linear_model(self, x, y, validation_data, **settings)
        history = self._train(x, y, validation_data, **settings)
        if late.weighs and validation_data is not None:
            reading = [settings[n] for n in ("batch_size", "base_dir", "on_unreadable")]
            rows = self._pairs(validation_data, None, *reading)
            weigh_experts(self, rows, settings.get("validation_steps"))
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
        on_unreadable,
        **kwargs,
    ):
        """Runs `keras.Model.fit`, for tables and for tensors."""
        if self.is_table(x) and batch_size is None:
            batch_size = training_settings(self.schema.rows).batch_size
        reading = batch_size, base_dir, on_unreadable
        if not self.is_table(x):
            self.check(x, y)
            sample_weight = self._weights(y, sample_weight, class_weight)
            if class_weight is not None and y is None:
                raise ValueError(
                    "`class_weight` needs a table or arrays; it does not work with a "
                    "dataset that is streamed. Received: "
                    f"class_weight={class_weight!r}, x of type {type(x).__name__}"
                )
            if self.is_table(validation_data):
                validation_data = self._dataset(validation_data, *reading)
            self._make_variables(x, y)
            return super().fit(
                plain(x),
                y,
                batch_size=batch_size,
                verbose=verbose,
                validation_split=validation_split,
                validation_data=plain(validation_data),
                shuffle=shuffle,
                sample_weight=sample_weight,
                **kwargs,
            )
        if validation_split:
            raise ValueError(
                "`validation_split` takes the last rows, which may not be "
                "representative of a table. Use train, validation, test = "
                "keras_mm.data.split(table, ...). "
                f"Received: validation_split={validation_split}"
            )
        table = self._with_target(x, y)
        train = self._dataset(
            table,
            *reading,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
        )
        if self.is_table(validation_data):
            warn_of_overlap(table, validation_data, self.schema)
            validation_data = self._dataset(validation_data, *reading)
        self._make_variables(train)
        try:
            with plain_errors():
                return super().fit(
                    train,
                    verbose=verbose,
                    validation_data=plain(validation_data),
                    # The dataset is shuffled already; Keras would warn.
                    shuffle=False,
                    **kwargs,
                )
        except Exception as error:
            # A large table is not decoded beforehand: report the image that could
            # not be decoded.
            if "InvalidArgument" in type(error).__name__ and not is_dataset(table):
                refuse_unreadable(table, self.schema, base_dir)
            raise

    def _weights(self, y, sample_weight, class_weight=None):
        """Sample weights of arrays of labels, times those of their classes."""
        is_array = class_weight is None and not isinstance(sample_weight, dict)
        if is_array or y is None or not (self.schema and self.schema.targets):
            return sample_weight
        labels = self.schema.by_target(y)
        rows = next(iter(labels.values()))
        return combined_weights(rows, labels, self.schema, class_weight, sample_weight)

    def predict_from_logits(self, logits, target):
        """Converts logits `(batch, units)` to predictions of a target."""
        return self.get_layer(self.wiring.heads[target])(logits)

    @renamed(bad="on_unreadable")
    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        *,
        sample_weight=None,
        base_dir=None,
        on_unreadable="error",
        **kwargs,
    ):
        """Loss and metrics; `keras.Model.evaluate`, for tables too.

        Args:
            x: a table, or anything else that Keras takes.
            y: the target, if `x` does not hold it.
            batch_size: int, 32 if not given.
            sample_weight: as in `fit`.
            base_dir: as in `fit`.
            on_unreadable: as in `fit`.
            **kwargs: as in Keras.

        Returns:
            list of floats, or a dict with `return_dict=True`.
        """
        if kwargs.get("_use_cached_eval_dataset"):
            # Called by Keras in `fit`, which has checked these rows.
            pass
        elif self.is_table(x):
            weight = {"sample_weight": sample_weight}
            table = self._with_target(x, y)
            x = self._dataset(table, batch_size, base_dir, on_unreadable, **weight)
            y = batch_size = sample_weight = None
        else:
            y = self.objective.tensor_labels(self, x, y)
            self.check(x, y)
            sample_weight = self._weights(y, sample_weight)
        with plain_errors():
            return super().evaluate(
                plain(x),
                y,
                batch_size=batch_size,
                sample_weight=sample_weight,
                **kwargs,
            )

    @renamed(bad="on_unreadable")
    def predict(
        self, x, batch_size=None, *, base_dir=None, on_unreadable="error", **kwargs
    ):
        """Predictions in the order of the rows; `keras.Model.predict`, for tables too.

        Args:
            x: a table without the target (the cells of an absent input are missing, with
                a warning), or anything else that Keras takes.
            batch_size: int, 32 if not given.
            base_dir: as in `fit`.
            on_unreadable: as in `fit`.
            **kwargs: as in Keras.

        Returns:
            Array `(rows, classes)` of probabilities, or `(rows, 1)` of numbers; for
            several targets a dict of arrays.
        """
        if self.is_table(x):
            x = fill_absent(x, self.schema.inputs)
            x = self._dataset(x, batch_size, base_dir, on_unreadable, with_target=False)
            batch_size = None
        else:
            self.check(x)
        with plain_errors():
            return super().predict(plain(x), batch_size=batch_size, **kwargs)

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, return_dict=False
    ):
        """One step on one batch; `keras.Model.train_on_batch`, for tables too.

        Args are as in `fit`.
        """
        labels = self.objective.batch_labels(self, x, y)
        if self.is_table(x):
            settings = {"sample_weight": sample_weight, "class_weight": class_weight}
            x, y, sample_weight = self._batch(self._with_target(x, y), **settings)
            class_weight = None
        else:
            y = labels
            weights = self._weights(y, sample_weight, class_weight)
            class_weight = class_weight if weights is sample_weight else None
            sample_weight = weights
        return super().train_on_batch(
            plain(x), y, sample_weight, class_weight, return_dict
        )

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Loss and metrics of one batch; `keras.Model.test_on_batch`, for tables too.

        Args are as in `evaluate`.
        """
        if self.is_table(x):
            table = self._with_target(x, y)
            x, y, sample_weight = self._batch(table, sample_weight=sample_weight)
        else:
            y = self.objective.tensor_labels(self, x, y)
            sample_weight = self._weights(y, sample_weight)
        return super().test_on_batch(plain(x), y, sample_weight, return_dict)

    def predict_on_batch(self, x):
        """Predictions of one batch; `keras.Model.predict_on_batch`, for tables too.

        Args are as in `predict`.
        """
        if self.is_table(x):
            x, _, _ = self._batch(fill_absent(x, self.schema.inputs), with_target=False)
        return super().predict_on_batch(plain(x))
