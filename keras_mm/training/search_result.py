class SearchResult:
    """The settings that a search found, and all of its trials.

    Examples:

    >>> trial = {"trial": 0, "state": "complete", "loss": 0.5, "epochs": 9, "seconds": 2.0}
    >>> found = keras_mm.training.SearchResult({"dropout": 0.1}, [trial])
    >>> found.settings
    {'dropout': 0.1}

    Args:
        settings: dict of arguments of `build_model`: those of the trial with the smallest
            loss, and those that all trials shared.
        trials: list of dicts, one for each trial.
    """

    def __init__(self, settings, trials):
        self.settings = settings
        self.trials = trials

    @classmethod
    def of(cls, study, settings):
        """The result of an Optuna study so far."""
        lines, best, least = [], {}, None
        for trial in study.trials:
            if not trial.state.is_finished():
                # Of a search that was killed.
                continue
            found = trial.user_attrs.get("settings", {})
            state = trial.state.name.lower()
            # Of a pruned trial, Optuna keeps the last epoch's.
            loss = trial.value if state == "complete" else None
            line = {"trial": trial.number, "state": state, "loss": loss}
            line |= {key: trial.user_attrs.get(key) for key in ("epochs", "seconds")}
            lines.append(line | _flat(found))
            if loss is not None and (least is None or loss < least):
                best, least = found, loss
        return cls({**settings, **best}, lines)

    @property
    def loss(self):
        """The smallest loss on the validation rows; None if no trial was completed."""
        return min(
            (t["loss"] for t in self.trials if t["loss"] is not None), default=None
        )

    def to_frame(self):
        """A DataFrame with one row per trial, the best first."""
        import pandas as pd

        return pd.DataFrame(self.trials).sort_values("loss", ignore_index=True)

    def summary(self):
        """How many trials there are, and the smallest loss beside that of the defaults."""
        states = [trial["state"] for trial in self.trials]
        counts = [f"{states.count(one)} {one}" for one in dict.fromkeys(states)]
        text = f"{len(states)} trials: {', '.join(counts)}"
        if self.loss is None:
            return text
        first = self.trials[0]["loss"]
        text += f"; least validation loss {self.loss:.4g}"
        return text if first is None else f"{text}, of the defaults {first:.4g}"

    def __str__(self):
        frame = self.to_frame()
        table = frame.to_string(index=False, na_rep="", float_format="{:.4g}".format)
        return f"{self.summary()}\n{table}"

    __repr__ = __str__


def _flat(settings):
    """Settings as columns: those of the optimizer by their own names."""
    found = dict(settings)
    optimizer = found.pop("optimizer", {"config": {}})
    return {**optimizer["config"], **found}
