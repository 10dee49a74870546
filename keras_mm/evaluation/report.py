import numpy as np

from .interactions import all_subsets, shapley_values

_CAVEAT = (
    "95% intervals are over held-out rows; the variance between training runs is not "
    "included."
)


class ModalityReport:
    """The result of `modality_report`: tables, sentences and a plot.

    `score`, `low` and `high` are the metric over all held-out rows and its 95%
    interval. For several targets, each report is of one target, over the rows that
    have its label.

    Attributes:
        metric: string, the metric's name; all scores and gains are in its unit.
        full: Series: the model of all modalities.
        baseline: float, the score of the constant prediction: the training rows' most
            frequent class, their share of each label, or their mean (with `model`,
            those of the rows themselves).
        alone: DataFrame, one row per modality: the model of that modality alone.
        left_out: DataFrame: the model trained without it; `gain` is the score with it
            minus the score without it.
        permuted: DataFrame: the model of all modalities with the modality permuted
            among the rows, mean of five permutations; `drop` is the loss of score.
        subsets: DataFrame, one row per subset: the model of all modalities with the
            others withheld; `"nothing"`: the baseline.
        ensemble: Series: the mean of the model's logits over these subsets, and its
            `gain` over the model with all modalities at once.
        shapley: DataFrame: exact Shapley `value` over these subsets; they sum to the
            score of all modalities minus the baseline.
        interactions: Series: the `score` of the model on the rows that were used,
            `additive`, the score of its additive projection (EMAP), and their
            difference `gap`; None if it was left out, there is one modality, or none
            of these rows has a label.
        missing: DataFrame: requested `rate` of missing cells, share `removed` (each
            row keeps one), and whether the training rows missed as many (`matched`).
        noise: DataFrame: score by noisy modality (`"all"`: all of them) and level, and
            the score of late fusion, the mean of the unimodal models' logits.
        robustness: DataFrame: `relative`, the area under score(noise) / score(0), and
            `effective`, the area between the curves of the model and of late fusion,
            both shifted to 0 at no noise, for levels from 0 to 1.
        sentences: list of strings, one per modality.
    """

    def __init__(self, target, metric, names, truth, predictions, draws, folds):
        import pandas as pd

        self.metric, self.rows, self.folds = metric, len(truth), folds
        self.modalities = list(names)
        self._errs = metric in target.lower_is_better

        def score(key, rows=None):
            """The score, followed by its bootstrap scores."""
            some = slice(None) if rows is None else rows
            part = draws if rows is None else draws.part(rows)
            pair = truth[some], predictions[key][some]
            drawn = part.scores(target, metric, *pair)
            return np.append(target.score(*pair)[metric], drawn)

        def with_interval(values, name="score", low="low", high="high"):
            """An estimate with its interval."""
            interval = draws.interval(values[1:])
            return {name: values[0], low: interval[0], high: interval[1]}

        def frame(rows, index=None):
            table = pd.DataFrame(rows)
            return table if index is None else table.set_index(index)

        whole = tuple(names)
        full = score(("trained", whole))
        constant = score("constant")
        self.full = pd.Series(with_interval(full))
        self.baseline = float(constant[0])

        alone, left, permuted, gains = [], [], [], {}
        for name in names:
            one = score(("trained", (name,)))
            alone.append({"modality": name, **with_interval(one)})
            others = tuple(other for other in names if other != name)
            rest = score(("trained", others)) if others else constant
            gains[name] = with_interval(full - rest, "gain", "gain_low", "gain_high")
            left.append({"modality": name, **with_interval(rest), **gains[name]})
            turns = [
                key for key in predictions if key[0] == "permuted" and key[1][0] == name
            ]
            mixed = np.mean([score(key) for key in turns], axis=0)
            drop = with_interval(full - mixed, "drop", "drop_low", "drop_high")
            permuted.append({"modality": name, **with_interval(mixed), **drop})
        self.alone = frame(alone, "modality")
        self.left_out = frame(left, "modality")
        self.permuted = frame(permuted, "modality")

        # The empty subset is the constant baseline: the model was not trained without
        # any input, and a worse score would inflate the values of all modalities.
        scores = {(): constant}
        for subset in all_subsets(names)[1:]:
            scores[subset] = score(("subset", subset))
        self.subsets = frame(
            [
                {
                    "subset": " + ".join(subset) or "nothing",
                    "modalities": len(subset),
                    **with_interval(values),
                }
                for subset, values in scores.items()
            ],
            "subset",
        )
        mean = score("ensemble")
        gain = with_interval(mean - scores[whole], "gain", "gain_low", "gain_high")
        self.ensemble = pd.Series({**with_interval(mean), **gain})
        self.shapley = frame(
            [
                {"modality": name, **with_interval(values, "value")}
                for name, values in shapley_values(names, scores).items()
            ],
            "modality",
        )

        self.interactions = None
        used = []
        if "additive" in predictions:
            used = np.flatnonzero(~np.isnan(predictions["additive"]).any(axis=1))
        if len(used):
            plain, additive = score("plain", used), score("additive", used)
            self.interactions = pd.Series(
                {
                    "score": plain[0],
                    "additive": additive[0],
                    **with_interval(plain - additive, "gap"),
                    "rows": len(used),
                }
            )

        self.missing = frame(
            [
                {
                    "matched": key[0] == "matched",
                    "rate": key[1],
                    "removed": predictions.share(key),
                    **with_interval(score(key)),
                }
                for key in predictions
                if key[0] in ("missing", "matched")
            ]
        )

        noise, robustness = [], []
        curves = {}
        for key in [key for key in predictions if key[0] == "noise"]:
            name, level = key[1]
            values, late = score(key), score(("late", key[1]))
            named = name or "all"
            curves.setdefault(named, []).append((level, values[0], late[0]))
            row = {"modality": named, "level": level, **with_interval(values)}
            noise.append({**row, "late_fusion": late[0]})
        for name, points in curves.items():
            level, own, late = np.array(points).T
            span = level[-1] - level[0]
            area = np.trapezoid(own, level) / span
            beside = np.trapezoid((own - own[0]) - (late - late[0]), level) / span
            relative = area / own[0] if own[0] else np.nan
            robustness.append(
                {"modality": name, "relative": relative, "effective": beside}
            )
        self.noise = frame(noise)
        self.robustness = frame(robustness, "modality")
        self.sentences = [self._sentence(name, gains[name]) for name in names]

    def _sentence(self, name, gain):
        low, high = gain["gain_low"], gain["gain_high"]
        if self._errs:
            low, high = -high, -low
        verdict = "helps" if low > 0 else "hurts" if high < 0 else "does not help"
        metric = self.metric.replace("_", " ")
        ends = f"[{plain(gain['gain_low'])}, {plain(gain['gain_high'])}]"
        alone = plain(self.alone.score[name])
        return (
            f"{name} {verdict}: {plain(gain['gain'], True)} {metric} {ends}; "
            f"alone {alone}"
        )

    def plot(self):
        """Draws the report.

        Returns:
            `matplotlib.figure.Figure`.
        """
        from .report_pictures import plot_report

        return plot_report(self)

    def __str__(self):
        lines = [self._title(), *(f"  {line}" for line in self.sentences)]
        lines.append(_CAVEAT)
        for title, table in self._tables():
            lines += ["", title, table.round(3).to_string()]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self):
        from html import escape

        parts = [f"<h4>{escape(self._title())}</h4>", "<ul>"]
        parts += [f"<li>{escape(line)}</li>" for line in self.sentences]
        parts.append(f"</ul><p>{_CAVEAT}</p>")
        for title, table in self._tables():
            parts.append(f"<h5>{escape(title)}</h5>{table.round(3).to_html()}")
        return "".join(parts)

    def _title(self):
        how = f"{self.folds} folds" if self.folds else "a trained model"
        full = self.full
        return (
            f"{' + '.join(self.modalities)}: {plain(full.score)} "
            f"{self.metric.replace('_', ' ')} [{plain(full.low)}, {plain(full.high)}]; "
            f"constant baseline {plain(self.baseline)} ({self.rows} rows, {how})"
        )

    def _tables(self):
        yield "Alone", self.alone
        yield "Left out: the gain is the score with it minus without it", self.left_out
        yield "Permuted", self.permuted
        yield "Subsets, with the others withheld", self.subsets
        yield "Ensemble: mean over these subsets", self.ensemble.to_frame("").T
        yield "Shapley values", self.shapley
        if self.interactions is not None:
            yield "Interaction (EMAP)", self.interactions.to_frame("").T
        yield "Missing cells", self.missing
        yield "Noise", self.noise
        yield "Robustness", self.robustness


def plain(value, sign=False):
    """A short text of a number: `.81`, `-.02`; with `sign` also `+.18`."""
    size = abs(value)
    digits = 2 if size < 10 else 1 if size < 100 else 0
    if 0.0005 <= size < 0.005:
        # So that it is not rounded to 0.
        digits = 3
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if not float(text) and not sign:
        text = text.lstrip("-")
    return text.replace("0.", ".", 1) if size < 0.995 else text
