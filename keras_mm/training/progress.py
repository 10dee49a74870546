import contextlib
from importlib.util import find_spec

import keras


class ProgressBar(keras.callbacks.Callback):
    """A progress bar in one line, with the metrics of the last epoch.

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
        """Starts the bar."""
        self.progress = _bar("epochs")
        self.progress.start()
        self.task = self.progress.add_task(
            self.description, total=self.params["epochs"], note=""
        )

    def on_epoch_end(self, epoch, logs=None):
        """Advances the bar by one."""
        logs = logs or {}
        keys = [key for key in logs if key.startswith("val_")] or list(logs)
        note = "  ".join(f"{key} {float(logs[key]):.3f}" for key in sorted(keys))
        self.progress.update(self.task, advance=1, note=note)

    def on_train_end(self, logs=None):
        """Stops the bar and leaves it on the screen."""
        self.progress.stop()


@contextlib.contextmanager
def counted(description, total, unit, shown=True):
    """A bar for `total` steps; yields the function that advances it.

    Args:
        description: string in front of the bar.
        total: int, or None if unknown.
        unit: string, the unit of the steps.
        shown: bool, whether there is a bar at all.
    """
    if not shown:
        yield lambda note, steps=1: None
        return
    with _bar(unit) as progress:
        task = progress.add_task(description, total=total, note="")
        yield lambda note, steps=1: progress.update(task, advance=steps, note=note)


def _bar(unit):
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    # In a notebook without ipywidgets, rich would warn at each step.
    plain = None if find_spec("ipywidgets") else Console(force_jupyter=False)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=plain,
    )
