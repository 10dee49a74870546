import keras

from ..deprecated import renamed
from .score_retrieval import RetrievalRows


class RetrievalCurves(keras.callbacks.Callback):
    """Callback that scores a retriever on held-out rows after each epoch.

    It adds the scores to the logs, `val_image_to_text_recall_at_1` and the mean over
    all directions, `val_recall_at_1`, so that callbacks after it in the list, such as
    `keras.callbacks.EarlyStopping`, can monitor them.

    Examples:

    >>> curves = keras_mm.evaluation.RetrievalCurves(validation, at=[1])
    >>> history = retriever.fit(train, epochs=1, callbacks=[curves])
    >>> "val_recall_at_1" in history.history
    True

    Args:
        validation: rows, in any form that `keras_mm.data.to_table` reads. They are
            kept in memory as tensors.
        at: list of ints, the k of recall at k.
        base_dir: as in `model.fit`.
        on_unreadable: as in `model.fit`.

    Attributes:
        tables: list of DataFrames, one per epoch, as `score_retrieval` returns them.
    """

    @renamed(bad="on_unreadable")
    def __init__(self, validation, at=(1, 5, 10), base_dir=None, on_unreadable="error"):
        super().__init__()
        self.validation, self.at = validation, list(at)
        self.base_dir, self.on_unreadable = base_dir, on_unreadable
        self.tables = []

    def on_train_begin(self, logs=None):
        """Reads the rows."""
        self._rows = RetrievalRows(
            self.model, self.validation, self.base_dir, self.on_unreadable
        )
        self.tables = []

    def on_epoch_end(self, epoch, logs=None):
        """Scores all directions."""
        table = self._rows.score(self.model, self.at)
        self.tables.append(table)
        if logs is None:
            return
        for k in self.at:
            for direction, value in table[f"recall_at_{k}"].items():
                name = direction.replace(" ", "_")
                logs[f"val_{name}_recall_at_{k}"] = float(value)
            logs[f"val_recall_at_{k}"] = float(table[f"recall_at_{k}"].mean())
