"""Results on disk, one JSON line a fit with its predictions beside, and tables."""

import json
import os
import re

import numpy as np

# What this library's methods are called, before a space.
OURS = "keras_mm"
# The library's names of the metrics.
NAMES = {
    "R2": "r2",
    "MAE": "mean_absolute_error",
    "accuracy": "accuracy",
    "macro-F1": "macro_f1",
}


class Results:
    """What was fitted: `results.jsonl` and a file of predictions for each line."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(os.path.join(folder, "predictions"), exist_ok=True)
        self.path = os.path.join(folder, "results.jsonl")
        self.lines = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                for line in map(json.loads, file):
                    self.lines[tuple(line["key"])] = line

    def has(self, key):
        """Whether a fit is there (and did not fail)."""
        return key in self.lines and "error" not in self.lines[key]

    def predictions(self, key):
        """The predictions of a fit."""
        return np.load(self._file(key))

    def _file(self, key):
        name = re.sub(r"\W+", "_", "-".join(key))
        return os.path.join(self.folder, "predictions", f"{name}.npy")

    def add(self, key, task, rows, answer, predictions):
        """Scores and keeps a fit; returns its line, short."""
        line = {"key": list(key), **answer}
        if predictions is not None:
            np.save(self._file(key), predictions)
            line["scores"] = scores(task, rows, predictions)
        self.lines[key] = line
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        short = {k: round(v, 3) for k, v in line.items() if isinstance(v, float)}
        found = {k: round(v, 4) for k, v in line.get("scores", {}).items()}
        return " ".join(map(str, [*key, found, short, line.get("error", "")]))

    def table(self, name, task):
        """Markdown: methods and columns, own split with interval, folds."""
        first, second = metrics(task)
        lines = [
            f"### `{name}`",
            "",
            f"| columns | method | own split: {first} | {second} | five folds: {first} "
            f"| {second} | seconds | processor | MB | rows/s |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        pairs = {(key[3], key[2]): None for key in self.lines if key[0] == name}
        order = list(task.columns)
        for columns, method in sorted(pairs, key=lambda p: (order.index(p[0]), p[1])):
            lines.append(self._row(name, task, columns, method, (first, second)))
        return "\n".join(lines) + "\n"

    def _row(self, name, task, columns, method, names):
        own = (name, "own", method, columns)
        cells = [columns, f"`{method}`"]
        for metric in names:
            cells.append(self._own(own, task, metric) if self.has(own) else "")
        keys = [(name, str(k), method, columns) for k in range(5)]
        keys = [key for key in keys if self.has(key)]
        for metric in names:
            found = [self.lines[key]["scores"][metric] for key in keys]
            text = f"{np.mean(found):.3f} ± {np.std(found):.3f}" if found else ""
            cells.append(
                text + (f" ({len(found)} folds)" if 0 < len(found) < 5 else "")
            )
        done = [key for key in (own, *keys) if self.has(key)]
        for what in ("seconds", "processor_seconds", "megabytes", "rows_per_second"):
            values = [self.lines[key][what] for key in done]
            values = np.median(values) if values else np.nan
            cells.append(f"{values:.3g}" if values < 100 else f"{values:,.0f}")
        if not done:
            cells[-4:] = ["failed", "", "", ""]
        return "| " + " | ".join(cells) + " |"

    def _own(self, key, task, metric):
        rows = task.parts("own")[2]
        value, low, high = compare(task, rows, self.predictions(key), metric)
        return f"{value:.3f} [{low:.3f}, {high:.3f}]"

    def differences(self, name, task):
        """Each of this library's methods on everything, against what is best beside it.

        That is its own best choice of fewer columns, and the best rival.
        """
        lines = []
        for splits, where in ((["own"], "own split"), (list("01234"), "five folds")):
            done = {}
            for _, _, method, columns in self.lines:
                keys = [(name, split, method, columns) for split in splits]
                if all(map(self.has, keys)):
                    done[method, columns] = self._pooled(task, splits, keys)
            whole = list(task.columns)[-1]
            for method in [m for m, c in done if m.startswith(OURS) and c == whole]:
                single = [k for k in done if k[0] == method and k[1] != whole]
                rivals = [k for k in done if not k[0].startswith(OURS)]
                for others in (single, rivals):
                    line = self._difference(task, done, (method, whole), others)
                    lines += [f"- {where}: {line}"] if line else []
        return "\n".join(lines) + "\n"

    def _pooled(self, task, splits, keys):
        """Rows and predictions of splits, one after the other."""
        rows = [task.parts(s if s == "own" else int(s))[2] for s in splits]
        found = [self.predictions(key) for key in keys]
        return np.concatenate(rows), np.concatenate(found)

    @staticmethod
    def _difference(task, done, key, others):
        metric = metrics(task)[0]
        if not others:
            return None
        best = max(others, key=lambda k: compare(task, *done[k], metric)[0])
        rows, predictions = done[key]
        value, low, high = compare(task, rows, predictions, metric, done[best][1])
        return (
            f"`{key[0]}` on {key[1]} against `{best[0]}` on {best[1]}: {metric} "
            f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
        )


def metrics(task):
    """The names of the two metrics that are reported."""
    return ("R2", "MAE") if task.kind == "number" else ("accuracy", "macro-F1")


def _labels(task, rows):
    """The library's target, and the labels of some rows as it has them."""
    import keras_mm

    truth = task.table[task.target].to_numpy()[rows]
    if task.kind == "number":
        return keras_mm.targets.NumberTarget(), truth
    return keras_mm.ClassLabel(), np.searchsorted(task.classes, truth.astype(str))


def scores(task, rows, predictions):
    """Both metrics of predictions for some rows of the table."""
    target, truth = _labels(task, rows)
    found = target.score(truth, predictions)
    return {name: found[NAMES[name]] for name in metrics(task)}


def compare(task, rows, predictions, metric, other=None):
    """A metric, or its difference to other predictions', and its 95% interval.

    Rows are drawn again by group, the same for both.
    """
    from keras_mm.evaluation.bootstrap import Bootstrap

    target, truth = _labels(task, rows)
    draws = Bootstrap(len(rows), task.group()[rows])
    value = scores(task, rows, predictions)[metric]
    drawn = draws.scores(target, NAMES[metric], truth, predictions)
    if other is not None:
        value -= scores(task, rows, other)[metric]
        drawn = drawn - draws.scores(target, NAMES[metric], truth, other)
    return value, *draws.interval(drawn)
