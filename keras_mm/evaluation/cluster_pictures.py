"""Maps of clusters."""

import numpy as np

from ..inputs.cells import is_missing
from ..inputs.items import items_of
from .pictures import _pixels as pixels_of

_MAPS = ("tsne", "pca")
_GREY = "#c4c9cf"
# Size of an image on the map, whose size is 1.
_SIDE = 0.05


def plot_clusters(result, map="tsne", pictures=None, base_dir=None):
    """Draws a map; see `Clusters.plot`."""
    from matplotlib.figure import Figure

    if map not in _MAPS:
        raise ValueError(f"`map` must be one of {list(_MAPS)}. Received: map={map!r}")
    if pictures is not None and len(pictures) != len(result.clusters):
        raise ValueError(
            "`pictures` must be a column of the table that was clustered, with "
            f"{len(result.clusters)} rows. Received: pictures of {len(pictures)} rows"
        )
    rows = np.flatnonzero(result.clusters >= 0)
    places = _map(result.vectors[rows], map, result.seed)
    drawn = None
    if pictures is not None:
        cells = list(pictures)
        drawn = _pictures([cells[row] for row in rows], places, base_dir, result.seed)
    clusters = result.clusters[rows]
    numbers, labels = _colours(result)
    title = f"{len(result.sizes)} clusters"
    if result.missing:
        title += f" ({result.missing} rows have no inputs)"
    panels = [(title, clusters, numbers, _cluster_names(result))]
    if labels is not None:
        groups = result.labels[rows]
        names = {n: f"{_short(n)} ({np.sum(groups == n)})" for n in labels}
        panels.append((result.column, groups, labels, names))
    side = 5.4 if drawn is None else 8.0
    lines = max(-(-(len(colours) + 2) // 3) for _, _, colours, _ in panels)
    heights = side, 0.22 * lines
    figure = Figure(
        figsize=(side * len(panels), sum(heights) + 0.4), layout="constrained"
    )
    columns = figure.subplots(2, len(panels), height_ratios=heights, squeeze=False).T
    for (axes, below), (title, groups, colours, names) in zip(columns, panels):
        axes.set_title(title, fontsize=11)
        _draw(axes, places, [colours.get(g, _GREY) for g in groups], drawn or {})
        _legend(below, groups, colours, names)
    if drawn is None:
        # On images, the numbers would hide them.
        for number, colour in numbers.items():
            _write_number(columns[0][0], number, places[clusters == number], colour)
    return figure


def _write_number(axes, number, places, colour):
    # At the row nearest to the median, which itself may lie outside the cluster.
    middle = np.median(places, axis=0)
    place = places[np.argmin(np.sum((places - middle) ** 2, axis=1))]
    box = {"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": colour}
    axes.text(*place, number, fontsize=9, ha="center", va="center", bbox=box)


def _map(vectors, map, seed):
    """Places `(rows, 2)`, each axis from 0 to 1."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    # A map takes two components.
    vectors = np.pad(vectors, [(0, 0), (0, max(0, 2 - vectors.shape[1]))])
    if map == "pca":
        model = PCA(2, random_state=seed)
    else:
        perplexity = min(30.0, max(1.0, (len(vectors) - 1) / 3))
        model = TSNE(2, perplexity=perplexity, init="pca", random_state=seed)
    # For few rows, threads cost more than they gain.
    with threadpool_limits(1 if len(vectors) < 3000 else None):
        places = model.fit_transform(vectors)
    low, high = places.min(axis=0), places.max(axis=0)
    return 0.5 + (places - (low + high) / 2) / np.maximum(high - low, 1e-12)


def _colours(result):
    """Colour of each cluster, and of each label or None: dicts."""
    from matplotlib import colormaps

    pairs = np.array(colormaps["tab20"].colors)
    # Strong colours, then pale ones, without greys; more would not be distinguishable.
    colours = [pairs[n] for n in (*range(0, 20, 2), *range(1, 20, 2)) if n // 2 != 7]
    if result.labels is None:
        return dict(zip(result.sizes.index, colours)), None
    counted = (result.clusters >= 0) & result.is_labelled
    names, counts = np.unique(result.labels[counted].astype(str), return_counts=True)
    labels = dict(zip(names[np.argsort(-counts, kind="stable")], colours))
    numbers, before = {}, []
    for number, name in result.sizes["majority"].items():
        if name in labels and len(numbers) < len(colours):
            # The paler, the more larger clusters have this label.
            pale = 0.72 ** before.count(name)
            numbers[number] = 1 - pale * (1 - labels[name])
            before.append(name)
    return numbers, labels


def _cluster_names(result):
    names = {}
    for number, row in result.sizes.iterrows():
        names[number] = f"{number} ({row['rows']})"
        if row.get("labelled"):
            names[number] = f"{number}: {_short(row['majority'])} {row['purity']:.0%}"
    return names


def _draw(axes, places, colours, drawn):
    """Draws the rows as points, in random order, so that no group hides another."""
    order = np.random.default_rng(0).permutation(len(places))
    size = np.clip(9000 / len(places), 6, 36)
    axes.scatter(
        *places[order].T,
        s=size,
        c=[colours[row] for row in order],
        alpha=0.4 if drawn else 0.85,
        linewidths=0,
    )
    for row, pixels in drawn.items():
        height, width = np.array(pixels.shape[:2]) / max(pixels.shape[:2]) * _SIDE / 2
        x, y = places[row]
        extent = (x - width, x + width, y - height, y + height)
        axes.imshow(pixels, extent=extent, zorder=2, cmap="grey")
        frame = {"fill": False, "edgecolor": colours[row], "linewidth": 2, "zorder": 3}
        axes.add_patch(_rectangle(extent, **frame))
    axes.set(
        xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal", xticks=[], yticks=[]
    )
    axes.spines[:].set_color(_GREY)


def _rectangle(extent, **kwargs):
    from matplotlib.patches import Rectangle

    left, right, low, high = extent
    return Rectangle((left, low), right - left, high - low, **kwargs)


def _short(name):
    # "$" would start a formula.
    name = name if len(name) <= 15 else f"{name[:12]}..."
    return name.replace("$", r"\$")


def _legend(axes, groups, colours, names):
    """Draws the legend."""
    from matplotlib.lines import Line2D

    lines = [(names[group], colour) for group, colour in colours.items()]
    unlabelled = sum(group is None for group in groups)
    others = sum(group not in colours for group in groups) - unlabelled
    for name, count in (("others", others), ("no label", unlabelled)):
        if count:
            lines.append((f"{name} ({count})", _GREY))
    handles = []
    for text, colour in lines:
        point = {"linestyle": "", "marker": "o", "color": colour}
        handles.append(Line2D([], [], label=text, **point))
    axes.axis("off")
    axes.legend(
        handles=handles,
        loc="upper center",
        ncols=3,
        columnspacing=1.0,
        borderaxespad=0.0,
        fontsize=8.5,
        frameon=False,
        handletextpad=0.1,
    )


def _pictures(cells, places, base_dir, seed):
    """Images of rows that do not overlap on the map: dict from row to pixels."""
    drawn = {}
    for row in np.random.default_rng(seed).permutation(len(cells)):
        apart = np.abs(places[list(drawn)] - places[row]).max(axis=1)
        empty = all(is_missing(item) for item in items_of(cells[row]))
        if not empty and (apart > 1.15 * _SIDE).all():
            pixels = pixels_of(cells[row], base_dir)
            # Downsampled to the size on the map.
            step = max(1, max(pixels.shape[:2]) // 96)
            drawn[row] = pixels[::step, ::step].copy()
    return drawn
