import keras
from keras import ops

# Keras's own (`use_ema` of an optimizer, with `SwapEMAWeights`) has the same decay from the
# first step on, and so lags behind in the first epochs.
# How often an epoch's weights enter the average.
_TIMES = 16


class AveragedWeights(keras.callbacks.Callback):
    """Replaces a model's weights by their moving average, for validation and at the end.

    The average of the last epochs is steadier than the last weights, from the first
    epoch on. Training goes on with the weights themselves. Callbacks that read the
    weights at the end of an epoch, such as `EarlyStopping`, come after it in the list:
    they get the averaged ones.

    Examples:

    >>> model.fit(train, validation_data=validation, epochs=60,
    ...           callbacks=[keras_mm.training.AveragedWeights()])

    Args:
        epochs: float, over how many epochs to average: older weights count less by a
            factor of e for every such number of epochs.

    Reference:
        Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by
        Averaging". While there have been few updates `n`, the decay is
        `(1 + n) / (10 + n)`, as in TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(self, epochs=3):
        super().__init__()
        if not epochs > 0:
            raise ValueError(f"`epochs` must be positive. Received: epochs={epochs}")
        self.epochs = epochs

    def on_train_begin(self, logs=None):
        """Starts the average anew."""
        self._updates, self._own = 0, None
        self._average = None

    def on_epoch_begin(self, epoch, logs=None):
        """Puts the weights themselves back."""
        self._restore()

    def on_train_batch_end(self, batch, logs=None):
        """Adds the weights to the average, a few times in each epoch."""
        interval = max(1, (self.params.get("steps") or 0) // _TIMES)
        if (batch + 1) % interval:
            return
        values = self._values()
        self._updates += 1
        if self._average is None:
            self._average = values
            return
        times = max(1.0, (self.params.get("steps") or _TIMES) / interval)
        decay = min(
            1.0 - 1.0 / max(1.0, self.epochs * times),
            (1.0 + self._updates) / (10.0 + self._updates),
        )
        self._average = [
            average + (1.0 - decay) * (value - average)
            for average, value in zip(self._average, values, strict=True)
        ]

    def on_test_begin(self, logs=None):
        """Averaged weights are validated."""
        self._swap()

    def on_epoch_end(self, epoch, logs=None):
        """Leaves the averaged weights in the model."""
        self._swap()

    def _swap(self):
        if self._average is None or self._own is not None:
            return
        self._own = self._values()
        self._assign(self._average)

    def _restore(self):
        if self._own is not None:
            self._assign(self._own)
            self._own = None

    def _variables(self):
        """Trained variables, and the moving statistics that belong to them."""
        model = self.model
        statistics = [
            variable
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
            for variable in layer.non_trainable_variables
        ]
        return [*model.trainable_variables, *statistics]

    def _values(self):
        # Copies: on the CPU an array may be the variable's own memory.
        return [ops.convert_to_numpy(value).copy() for value in self._variables()]

    def _assign(self, values):
        for variable, value in zip(self._variables(), values, strict=True):
            variable.assign(value)
