"""Plots of modality reports and leaderboards."""

import numpy as np

_ALONE, _FUSED = "#9aa5b1", "#2f6fb3"


def plot_comparison(results):
    """Draws a leaderboard, or those of several targets; single modalities are grey.

    Examples:

    >>> results = pandas.DataFrame(
    ...     {"kind": ["fused", "alone"], "mean": [0.8, 0.7], "low": [0.75, 0.6],
    ...      "high": [0.85, 0.8]}, index=["gated", "text alone"])
    >>> keras_mm.evaluation.plot_comparison(results).savefig("results.png")

    Args:
        results: result of `compare`: a DataFrame, or for several targets a dict.

    Returns:
        `matplotlib.figure.Figure`.
    """
    from matplotlib.figure import Figure

    tables = results if isinstance(results, dict) else {"": results}
    height = 1.0 + 0.42 * max(map(len, tables.values()))
    figure = Figure(figsize=(7 * len(tables), height), layout="constrained")
    panels = figure.subplots(1, len(tables), squeeze=False)[0]
    for axes, (target, table) in zip(panels, tables.items()):
        _draw_leaderboard(axes, table)
        axes.set_title(target, fontsize=11)
    return figure


def _draw_leaderboard(axes, results):
    best_last = results.iloc[::-1]
    _bars(
        axes,
        list(best_last.index),
        best_last,
        "mean",
        colors=[_ALONE if kind == "alone" else _FUSED for kind in best_last.kind],
    )
    metric = results.attrs.get("metric", "score").replace("_", " ")
    axes.set_xlabel(f"{metric} on held-out rows, with 95% intervals")
    single = results[results.kind == "alone"]
    if len(single):
        # The best single modality is the first.
        axes.axvline(single["mean"].iloc[0], color=_ALONE, linestyle="--", linewidth=1)


def plot_report(report):
    """Draws a `ModalityReport`: gains, scores, missing cells and noise."""
    from matplotlib.figure import Figure

    metric = report.metric.replace("_", " ")
    count = len(report.modalities)
    figure = Figure(figsize=(11, 6.4 + 0.25 * count), layout="constrained")
    (gain, scores, worth), (missing, noise, subsets) = figure.subplots(2, 3)

    left = report.left_out.iloc[::-1]
    _bars(gain, list(left.index), left, "gain", "gain_low", "gain_high")
    gain.axvline(0, color="black", linewidth=0.8)
    gain.set_title(f"gain from the modality ({metric})", fontsize=10)

    rows = [report.full, *(row for _, row in report.alone.iterrows())]
    _bars(
        scores,
        [*(f"{name} alone" for name in report.modalities[::-1]), "all"],
        _frame(rows[::-1]),
        "score",
        colors=[_ALONE] * count + [_FUSED],
    )
    scores.axvline(report.baseline, color="black", linestyle=":", linewidth=1)
    scores.set_title(f"{metric} (dotted: constant baseline)", fontsize=10)

    shapley = report.shapley.iloc[::-1]
    _bars(worth, list(shapley.index), shapley, "value")
    worth.axvline(0, color="black", linewidth=0.8)
    worth.set_title("Shapley value", fontsize=10)

    for matched, rows in report.missing.groupby("matched"):
        label = "trained with as many missing" if matched else "trained on all cells"
        style = "s" if matched else "o-"
        _curve(missing, rows.removed, rows, style, label, f"C{int(matched)}")
    missing.set_xlabel("share of cells missing")
    missing.set_ylabel(metric)
    missing.set_title("missing cells", fontsize=10)
    missing.legend(fontsize=8)

    for index, (name, rows) in enumerate(report.noise.groupby("modality", sort=False)):
        _curve(noise, rows.level, rows, "o-", name, f"C{index}")
    every = report.noise[report.noise.modality == "all"]
    noise.plot(every.level, every.late_fusion, "k:", label="all, late fusion")
    noise.set_xlabel("noise (standard deviations, share of ids)")
    noise.set_title("noise in", fontsize=10)
    noise.legend(fontsize=8)

    # The largest subsets, if there are many.
    largest = report.subsets.iloc[-16:].iloc[::-1]
    _bars(subsets, list(largest.index), largest, "score")
    title = "subsets, the others withheld"
    if report.interactions is not None:
        title += f"\ninteraction (EMAP) {report.interactions.gap:+.2f}"
    subsets.set_title(title, fontsize=10)
    return figure


def _frame(rows):
    import pandas as pd

    return pd.DataFrame(rows)


def _bars(axes, names, table, value, low="low", high="high", colors=_FUSED):
    """Draws horizontal bars with intervals, the first at the bottom."""
    places = np.arange(len(names))
    values = table[value].to_numpy(float)
    # Rounding errors may make lengths negative.
    ends = [
        np.maximum(values - table[low].to_numpy(float), 0),
        np.maximum(table[high].to_numpy(float) - values, 0),
    ]
    axes.barh(places, values, color=colors, height=0.65)
    axes.margins(y=0.5 / max(len(values), 1))
    axes.errorbar(
        values, places, xerr=ends, fmt="none", ecolor="black", elinewidth=1, capsize=3
    )
    axes.set_yticks(places, names, fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _curve(axes, places, rows, style, label, color):
    axes.plot(places, rows.score, style, color=color, label=label, markersize=4)
    axes.fill_between(places, rows.low, rows.high, color=color, alpha=0.12)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
