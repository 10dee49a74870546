import keras


class ProgressBar(keras.callbacks.Callback):
    """One line that says how far training has come, and how well it goes.

    Examples:

    >>> model.fit(train, epochs=20, verbose=0,
    ...           callbacks=[keras_mm.training.ProgressBar("fused")])

    Args:
        description: string in front of the bar.
    """

    def __init__(self, description="training"):
        super().__init__()
        self.description = description

    def on_train_begin(self, logs=None):
        """Shows the bar."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self.progress.start()
        self.task = self.progress.add_task(
            self.description, total=self.params["epochs"], note=""
        )

    def on_epoch_end(self, epoch, logs=None):
        """Moves on by one."""
        logs = logs or {}
        keys = [key for key in logs if key.startswith("val_")] or list(logs)
        note = "  ".join(f"{key} {float(logs[key]):.3f}" for key in sorted(keys))
        self.progress.update(self.task, advance=1, note=note)

    def on_train_end(self, logs=None):
        """Leaves the last state on the screen."""
        self.progress.stop()
