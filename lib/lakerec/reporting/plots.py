"""Plots as inline SVG whose ink is the page's own text colour, so that they fit light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LONG = 18
"""Characters of a name that a plot shows."""
WIDE = 34
"""The same where two names share a line."""
INK = "#010203"
"""Stands for the text colour in matplotlib; becomes `currentColor` in the SVG."""
WIDTH = 5.6
"""Inches of a plot that stands alone: the widest whose letters can still be read on a telephone."""
ACCENT, SECOND, FAINT = "#2f7ed8", "#e07b39", "#8a94a3"
STYLE: Any = {
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none", "svg.hashsalt": "lakerec",
    "font.size": 11, "font.family": "sans-serif",
}  # fmt: skip


def figure_of(width: float, height: float) -> tuple[Any, Any]:
    """A transparent figure, inches wide and high, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    return figure, axes


def short(name: str, most: int = LONG) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def svg_of(figure: Any) -> str:
    """The figure as an SVG element."""
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None})
    text = target.getvalue()
    return re.sub(r"^.*?<svg", "<svg", text, flags=re.S).replace(INK, "currentColor")


def styled(draw: Any) -> Any:
    """Run a drawing function under our style."""

    def styled(*args: Any, **named: Any) -> str:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            found: str = draw(*args, **named)
            return found

    return styled


@styled
def bars_with_intervals(
    chosen: str, names: Sequence[str], values: Sequence[float], lows: Sequence[float], highs: Sequence[float], label: str
) -> str:
    """Horizontal bars, best on top, each with its 95 % interval; the chosen one stands out."""
    order = np.argsort(values)
    figure, axes = figure_of(WIDTH, 0.6 + 0.42 * len(names))
    middle = np.asarray(values)[order]
    spread = np.abs(np.stack([middle - np.asarray(lows)[order], np.asarray(highs)[order] - middle]))
    colors = [ACCENT if names[place] == chosen else FAINT for place in order]
    axes.barh([names[place] for place in order], middle, xerr=spread, color=colors, ecolor=INK, capsize=3, height=0.62)
    axes.set_xlabel(label)
    return svg_of(figure)


@styled
def learning_curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Training loss (left axis) and validation NDCG@10 (right axis) by epoch, of each named fit."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = figure_of(WIDTH, 3.0)
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    right.patch.set_alpha(0)
    for points in curves.values():
        epochs = [point["epoch"] for point in points]
        axes.plot(epochs, [point["loss"] for point in points], color=FAINT, linestyle="--")
        right.plot(epochs, [point["value"] for point in points], color=ACCENT, alpha=0.85, marker="o", markersize=3)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("training loss (dashed)")
    right.set_ylabel("validation NDCG@10 (solid)")
    return svg_of(figure)


@styled
def plane_map(points: np.ndarray, groups: Sequence[str]) -> str:
    """Points in the plane, coloured by the six most common groups; a group without a name is among the others."""
    figure, axes = figure_of(WIDTH, 4.8)
    names, counts = np.unique(np.asarray(groups), return_counts=True)
    shown = [name for name in names[np.argsort(-counts)] if name][:6]
    palette = [ACCENT, SECOND, "#3aa66f", "#b65fcf", "#d1495b", "#c9a227"]
    of = np.asarray(groups)
    rest = ~np.isin(of, shown)
    if rest.any():
        axes.scatter(points[rest, 0], points[rest, 1], s=5, color=FAINT, alpha=0.35, label="other")
    for name, color in zip(shown, palette, strict=False):
        words = short(name, WIDE)
        axes.scatter(points[of == name, 0], points[of == name, 1], s=9, color=color, alpha=0.75, label=words)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if shown:
        columns = 3 if max(map(len, shown)) <= LONG else 2
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, 0), frameon=False, fontsize=10, ncols=columns, handletextpad=0.2
        )
    return svg_of(figure)


def plane(vectors: np.ndarray) -> np.ndarray:
    """The first two principal components of the rows, float [n, 2]."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    found: np.ndarray = centred @ axes[:, ::-1][:, :2]
    return found
