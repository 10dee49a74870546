import keras

from .averaged_weights import AveragedWeights
from .progress import ProgressBar


def callbacks(description=None, patience=15, monitor="val_loss"):
    """Default callbacks: averaged weights, early stopping, and the best epoch's weights.

    Examples:

    >>> model.fit(train, validation_data=validation, epochs=60,
    ...           callbacks=keras_mm.training.callbacks())

    Args:
        description: string, label of a progress bar; None: no bar (Keras shows its
            own unless `verbose=0`).
        patience: int, epochs without improvement until training stops.
        monitor: string, the metric that must improve.

    Returns:
        list of Keras callbacks.
    """
    listed = [
        AveragedWeights(),
        keras.callbacks.EarlyStopping(
            monitor=monitor, patience=patience, restore_best_weights=True
        ),
        keras.callbacks.TerminateOnNaN(),
    ]
    if description is not None:
        listed.append(ProgressBar(description))
    return listed
