import math
from typing import NamedTuple


class TrainingSettings(NamedTuple):
    """Settings of training that suit the size of a table.

    Args:
        learning_rate: float, of `keras.optimizers.Adam`; the same for all sizes.
        batch_size: int.
        epochs: int, at the most; early stopping ends training before.
    """

    learning_rate: float
    batch_size: int
    epochs: int


def training_settings(rows=None):
    """How to train on a table of this size, if nothing else is asked for.

    The builders take the learning rate from it, `model.fit` the batch size, and
    `keras-mm train` the number of epochs, too:

    Examples:

    >>> settings = keras_mm.training.training_settings(len(train))
    >>> model.fit(train, validation_data=validation, epochs=settings.epochs,
    ...           callbacks=keras_mm.training.callbacks())

    Batches are of a sixty-fourth of the rows, rounded down to a power of two, from 32
    to 256, so that an epoch has 64 steps or more, except in tables of fewer than 2,048
    rows. Epochs are at most 100, in tables of more than 8,192 rows fewer, so that
    training has at most 819,200 rows to read, but at least 10.

    Args:
        rows: int, number of training rows; None where it is not known.

    Returns:
        `TrainingSettings`.
    """
    rows = rows or 1
    batch_size = 2 ** int(math.log2(max(rows / 64, 1)))
    epochs = min(100, max(10, 819_200 // rows))
    return TrainingSettings(2e-3, min(max(batch_size, 32), 256), epochs)
