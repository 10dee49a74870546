import keras
import numpy as np

from ..data import to_table
from ..data.targets import encode_targets
from .metrics import metric_of
from .tensors import table_tensors, withhold
from .trials import constant_answer, predict


class ModalityCurves(keras.callbacks.Callback):
    """How each modality learns within one model, epoch by epoch.

    After each epoch it scores the model on held-out rows: with all modalities,
    and with each one alone, the others withheld. A modality is called lazy if in
    the end it has gained less than a fifth of what the best one has over the
    answer that knows nothing: it was left behind, or it does not tell. Which of
    the two, training it alone says (`modality_report`).

    Examples:

    >>> curves = keras_mm.evaluation.ModalityCurves(validation)
    >>> history = model.fit(train, epochs=1, callbacks=[curves])
    >>> curves.plot().savefig("modalities.png")
    >>> list(curves.table.columns)
    ['all', 'image', 'text']

    Args:
        validation: rows with the target, in any form that
            `keras_mm.data.to_table` reads. They are kept in memory as tensors.
        metric: name of a score that `score` gives; default `accuracy`, `macro_f1`
            for several labels, `r2` for numbers.
        base_dir: as in `model.fit`.
        bad: as in `model.fit`.

    Attributes:
        table: DataFrame, one row an epoch: the score of `all` modalities, and of
            each alone.
        baseline: float, the score of the best constant answer.
        sentences: list of strings, one for each modality that is lazy.

    Reference:
        Wang et al. 2020, "What Makes Training Multi-modal Classification Networks
        Hard?", and Peng et al. 2022, "Balanced Multimodal Learning via On-the-fly
        Gradient Modulation", for modalities that are left behind.
    """

    def __init__(self, validation, metric=None, base_dir=None, bad="error"):
        super().__init__()
        self.validation, self.metric = validation, metric
        self.base_dir, self.bad = base_dir, bad
        self._rows = []

    def on_train_begin(self, logs=None):
        """Reads the rows, once."""
        schema = self.model.schema
        self.metric = metric_of(schema.target, self.metric)
        rows = to_table(self.validation)
        self._modalities = self.model.modalities
        self._truth = encode_targets(rows, schema)
        self._tensors = table_tensors(rows, schema, self.base_dir, self.bad)
        constant = constant_answer(schema.target, self._truth, len(rows))
        self.baseline = self._score(constant)
        self._rows = []

    def on_epoch_end(self, epoch, logs=None):
        """Scores all, and each alone."""
        row = {"all": self._score(predict(self.model, self._tensors))}
        for name in self._modalities:
            others = [
                column
                for other, columns in self._modalities.items()
                for column in columns
                if other != name
            ]
            alone = withhold(self._tensors, others)
            row[name] = self._score(predict(self.model, alone))
        self._rows.append(row)

    def on_train_end(self, logs=None):
        """Says which modality is lazy."""
        for sentence in self.sentences:
            print(sentence)

    @property
    def table(self):
        """The scores, epoch by epoch."""
        import pandas as pd

        index = pd.RangeIndex(1, len(self._rows) + 1, name="epoch")
        return pd.DataFrame(self._rows, index=index)

    @property
    def sentences(self):
        """One sentence for each modality that is lazy."""
        if not self._rows:
            return []
        sign = -1.0 if self.metric in self.model.schema.target.lower_is_better else 1.0
        last = self._rows[-1]
        gains = {name: sign * (last[name] - self.baseline) for name in self._modalities}
        best = max(gains, key=gains.get)
        return [
            f"{name} is lazy: alone it has {self.metric} {last[name]:.3f} "
            f"(knowing nothing: {self.baseline:.3f}), {best} has {last[best]:.3f}. "
            "Either it does not tell, or it was left behind: compare it with a "
            "model of its own; fusion='hybrid', learning_rates= and "
            "GradientBlending let it catch up."
            for name, gain in gains.items()
            if gains[best] > 0 and gain < 0.2 * gains[best]
        ]

    def plot(self):
        """Draws the curves.

        Returns:
            `matplotlib.figure.Figure`.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes, table = figure.subplots(), self.table
        for name in table:
            style = {"color": "black", "linewidth": 2} if name == "all" else {}
            label = "all together" if name == "all" else f"{name} alone"
            axes.plot(table.index, table[name], label=label, **style)
        axes.axhline(self.baseline, color="grey", linestyle=":", label="constant")
        axes.set_xlabel("epoch")
        axes.set_ylabel(self.metric.replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8)
        return figure

    def _score(self, predicted):
        target = self.model.schema.target
        return target.score(self._truth, np.asarray(predicted))[self.metric]
