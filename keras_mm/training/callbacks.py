import keras

from .progress import ProgressBar


def callbacks(description=None, patience=15, monitor="val_loss"):
    """Callbacks that suit small tables: stop in time, keep the best weights.

    Examples:

    >>> model.fit(train, validation_data=validation, epochs=60,
    ...           callbacks=keras_mm.training.callbacks())

    Args:
        description: string, shown beside a progress bar; without it there is
            none (Keras shows its own unless `verbose=0`).
        patience: int, epochs without improvement until training stops.
        monitor: string, what must improve.

    Returns:
        list of Keras callbacks.
    """
    found = [
        keras.callbacks.EarlyStopping(
            monitor=monitor, patience=patience, restore_best_weights=True
        ),
        keras.callbacks.TerminateOnNaN(),
    ]
    if description is not None:
        found.append(ProgressBar(description))
    return found
