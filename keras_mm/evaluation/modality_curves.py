import keras

from ..data import to_table
from ..data.raw import encode_targets
from ..deprecated import renamed
from .labels import constant_predictions, rows_with_label
from .metrics import metrics_of
from .tensors import table_tensors, withhold
from .trials import predict


class ModalityCurves(keras.callbacks.Callback):
    """Callback that measures how each modality learns within a multimodal model.

    After each epoch it scores the model on held-out rows: with all modalities, and
    with each one alone, the others withheld. A modality is called lazy if its final
    gain over the constant baseline is less than a fifth of the best modality's: it is
    either undertrained or uninformative. A model of that modality alone
    (`modality_report`) tells which.

    Examples:

    >>> curves = keras_mm.evaluation.ModalityCurves(validation)
    >>> history = model.fit(train, epochs=1, callbacks=[curves])
    >>> curves.plot().savefig("modalities.png")
    >>> list(curves.table.columns)
    ['all', 'image', 'text']

    Args:
        validation: rows with the targets, in any form that
            `keras_mm.data.to_table` reads. They are kept in memory as tensors.
        metric: name of a score of `evaluation.score`; default `accuracy`, `macro_f1`
            for several labels, `r2` for numbers. For several targets a dict from
            target to name.
        base_dir: as in `model.fit`.
        on_unreadable: as in `model.fit`.

    Attributes:
        table: DataFrame, one row per epoch: the score of `all` modalities, and of
            each alone. For several targets, columns have two levels:
            `table["price"]` is the table of one target.
        baseline: float, the score of the best constant prediction; for several
            targets a dict from target to float.
        sentences: list of strings, one per lazy modality; for several targets, one
            per target and lazy modality.

    Reference:
        Wang et al. 2020, "What Makes Training Multi-modal Classification Networks
        Hard?", and Peng et al. 2022, "Balanced Multimodal Learning via On-the-fly
        Gradient Modulation", on undertrained modalities.
    """

    @renamed(bad="on_unreadable")
    def __init__(self, validation, metric=None, base_dir=None, on_unreadable="error"):
        super().__init__()
        self.validation, self.metric = validation, metric
        self.base_dir, self.on_unreadable = base_dir, on_unreadable
        self._rows, self._targets = [], {}

    def on_train_begin(self, logs=None):
        """Reads the rows."""
        schema = self.model.schema
        self._metrics = metrics_of(schema, self.metric)
        rows = to_table(self.validation)
        self._targets = schema.targets
        self._modalities = self.model.wiring.by_column
        self._labels = encode_targets(rows, schema)
        self._label_rows = rows_with_label(self._labels, schema)
        self._tensors = table_tensors(rows, schema, self.base_dir, self.on_unreadable)
        constant = constant_predictions(self._labels, schema, len(rows))
        self._baselines = self._scores(constant)
        self.metric = schema.without_dict(self._metrics)
        self.baseline = schema.without_dict(self._baselines)
        self._rows = []

    def on_epoch_end(self, epoch, logs=None):
        """Scores all modalities, and each alone."""
        row = {"all": self._scores(predict(self.model, self._tensors))}
        for name in self._modalities:
            others = [
                column
                for other, columns in self._modalities.items()
                for column in columns
                if other != name
            ]
            alone = withhold(self._tensors, others)
            row[name] = self._scores(predict(self.model, alone))
        self._rows.append(row)

    def on_train_end(self, logs=None):
        """Prints which modalities are lazy."""
        for sentence in self.sentences:
            print(sentence)

    @property
    def table(self):
        """The scores of all epochs."""
        import pandas as pd

        tables = {name: self._table(name) for name in self._targets}
        if len(tables) == 1:
            return next(iter(tables.values()))
        return pd.concat(tables, axis=1) if tables else pd.DataFrame()

    def _table(self, target):
        """The scores of one target."""
        import pandas as pd

        rows = [{n: scores[target] for n, scores in row.items()} for row in self._rows]
        index = pd.RangeIndex(1, len(rows) + 1, name="epoch")
        return pd.DataFrame(rows, index=index)

    @property
    def sentences(self):
        """One sentence per lazy modality."""
        if not self._rows:
            return []
        return [line for name in self._targets for line in self._sentences(name)]

    def _sentences(self, target):
        metric, baseline = self._metrics[target], self._baselines[target]
        sign = -1.0 if metric in self._targets[target].lower_is_better else 1.0
        of = f"{target}: " if len(self._targets) > 1 else ""
        last = {name: scores[target] for name, scores in self._rows[-1].items()}
        gains = {name: sign * (last[name] - baseline) for name in self._modalities}
        best = max(gains, key=gains.get)
        return [
            f"{of}{name} is lazy: alone it has {metric} {last[name]:.3f} "
            f"(constant baseline: {baseline:.3f}), {best} has {last[best]:.3f}. "
            "It is either uninformative or undertrained: compare it with a model of "
            "this modality alone. If that is better, try fusion='hybrid', "
            "learning_rates= or GradientBlending."
            for name, gain in gains.items()
            if gains[best] > 0 and gain < 0.2 * gains[best]
        ]

    def plot(self):
        """Draws the curves; those of several targets side by side.

        Returns:
            `matplotlib.figure.Figure`.
        """
        from matplotlib.figure import Figure

        count = len(self._targets)
        figure = Figure(figsize=(6.4 * count, 3.8), layout="constrained")
        panels = figure.subplots(1, count, squeeze=False)[0]
        for axes, target in zip(panels, self._targets):
            table = self._table(target)
            for name in table:
                style = {"color": "black", "linewidth": 2} if name == "all" else {}
                label = "all together" if name == "all" else f"{name} alone"
                axes.plot(table.index, table[name], label=label, **style)
            baseline = self._baselines[target]
            axes.axhline(baseline, color="grey", linestyle=":", label="constant")
            axes.set_xlabel("epoch")
            axes.set_ylabel(self._metrics[target].replace("_", " "))
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            if count > 1:
                axes.set_title(target, fontsize=11)
        panels[0].legend(fontsize=8)
        return figure

    def _scores(self, predictions):
        """The metric of each target on the rows that have its label."""
        scores = {}
        for name, target in self._targets.items():
            rows = self._label_rows[name]
            labelled = self._labels[name][rows], predictions[name][rows]
            scores[name] = target.score(*labelled)[self._metrics[name]]
        return scores
