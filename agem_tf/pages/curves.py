"""Charts: how training went, precision over recall, scores of queries.

They use Matplotlib's object interface, which needs no display and changes no
global state.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

# Title, and (key of a row, label) of its curves.
_TRAINING_PANELS = (
    ("Loss", (("train_loss", "training"), ("validation_loss", "validation"))),
    ("Mean average precision", (("validation_map", "mAP"),)),
    ("Pooling exponent p", (("p", "p"),)),
)


def training_curves(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Draws the history of a training run.

    Args:
        rows: one per epoch, with "epoch" and any of "train_loss",
            "validation_loss", "validation_map" and "p"; keys with "/" are
            scores of benchmarks. Missing values and NaN are left out of a
            curve, panels without values out of the figure.
    """
    benchmarks = dict.fromkeys(key for row in rows for key in row if "/" in key)
    panels = [
        (title, [(label, _curve(rows, key)) for key, label in keys])
        for title, keys in (
            *_TRAINING_PANELS,
            ("Benchmarks", [(key, key) for key in benchmarks]),
        )
        if any(_curve(rows, key)[0] for key, _ in keys)
    ]
    width = max(1, len(panels))
    figure = Figure(figsize=(4.2 * width, 3.2), layout="constrained")
    for number, (title, curves) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number)
        axes.set(title=title, xlabel="epoch")
        for label, (epochs, values) in curves:
            if epochs:
                axes.plot(epochs, values, marker="o", ms=3, label=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        if len(curves) > 1:
            axes.legend(frameon=False)
    return figure


def score_curves(
    scores: np.ndarray | None,
    label: str,
    curves: Mapping[str, Mapping[str, np.ndarray]],
) -> Figure:
    """Draws the scores of the queries beside precision over recall.

    Args:
        scores: (queries,) in [0, 1], NaN for queries without a score; None for
            no such panel.
        label: what the scores are.
        curves: name -> "recall" and "precision", (points,) each; empty for no
            such panel.
    """
    count = (scores is not None) + bool(curves)
    figure = Figure(figsize=(4.6 * count, 3.4), layout="constrained")
    panels = iter(figure.subplots(1, count, squeeze=False)[0])
    if scores is not None:
        axes = next(panels)
        known = np.sort(scores[~np.isnan(scores)])[::-1]
        edges = np.arange(len(known) + 1) + 0.5
        axes.set(xlabel="queries, best first", ylabel=label)
        axes.stairs(known, edges, fill=True)
        axes.set_xlim(edges[0], max(edges[-1], 1.5))
    if curves:
        axes = next(panels)
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01))
        for name, curve in curves.items():
            axes.plot(curve["recall"], curve["precision"], label=name)
        if len(curves) > 1:
            axes.legend(frameon=False)
    for axes in figure.axes:
        axes.set_ylim(0, 1.02)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    return figure


def figure_to_image(figure: Figure, dots_per_inch: int = 150) -> Image.Image:
    """Renders a figure as an RGB image."""
    figure.set_dpi(dots_per_inch)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _curve(
    rows: Sequence[Mapping[str, float]], key: str
) -> tuple[list[float], list[float]]:
    points = [
        (row["epoch"], row[key])
        for row in rows
        if row.get(key) is not None and not math.isnan(row[key])
    ]
    return [epoch for epoch, _ in points], [value for _, value in points]
