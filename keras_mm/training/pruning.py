import keras


class Pruning(keras.callbacks.Callback):
    """Tells Optuna each epoch's validation loss, and stops a trial that falls behind.

    Args:
        trial: `optuna.Trial`.

    Attributes:
        is_pruned: bool, whether it was stopped.
    """

    is_pruned = False

    def __init__(self, trial):
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch, logs=None):
        """Reports the loss."""
        self.trial.report(float(logs["val_loss"]), epoch)
        # The first trial, of the defaults, is what all others are compared with.
        if self.trial.number and self.trial.should_prune():
            self.is_pruned = self.model.stop_training = True
