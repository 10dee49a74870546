import time

import keras


class TimeLimit(keras.callbacks.Callback):
    """Stops training before an epoch that would end after a point in time.

    Examples:

    >>> import time
    >>> limit = keras_mm.training.TimeLimit(time.monotonic() + 60)
    >>> history = model.fit(train, epochs=2, callbacks=[limit])

    Args:
        until: float, seconds on the clock of `time.monotonic()`.

    Attributes:
        has_stopped: bool, whether the last training was stopped.
    """

    def __init__(self, until):
        super().__init__()
        self.until = until
        self.has_stopped = False

    def on_train_begin(self, logs=None):
        """Forgets the last training."""
        self.has_stopped = False

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the time."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Stops if another epoch as long as this one would take too long."""
        now = time.monotonic()
        is_last = epoch + 1 == self.params["epochs"]
        if now + (now - self.started) > self.until and not is_last:
            self.has_stopped = self.model.stop_training = True
