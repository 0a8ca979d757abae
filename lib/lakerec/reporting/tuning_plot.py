"""How a search for better settings went: the best so far by trial, and the value against each setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lakerec.reporting.plots import ACCENT, FAINT, SECOND

COLUMNS = 4
"""Panels beside each other."""


def draw(file: Path, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write a PNG.

    Args:
        found: for each model its trials in order, each with `values` (setting → value) and `value`, None where it was
            stopped early.
    """
    from matplotlib.figure import Figure

    panels = [(model, key) for model, trials in found.items() for key in (None, *sorted(trials[0]["values"]))]
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(3.2 * COLUMNS, 2.6 * rows), layout="constrained")
    for number, (model, key) in enumerate(panels):
        axes = figure.add_subplot(rows, COLUMNS, number + 1)
        ended = [trial for trial in found[model] if trial["value"] is not None]
        values = np.array([trial["value"] for trial in ended])
        if key is None:
            places = [trial["number"] + 1 for trial in ended]
            axes.scatter(places, values, s=14, color=FAINT, label="trial")
            axes.step(places, np.maximum.accumulate(values), where="post", color=ACCENT, label="best so far")
            axes.set_title(model, fontweight="bold")
            axes.set_xlabel("trial")
            axes.set_ylabel("validation NDCG@10")
            axes.legend(fontsize=7, frameon=False)
        else:
            _against(axes, [trial["values"][key] for trial in ended], values)
            axes.set_title(f"{model}: {key}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.savefig(file, dpi=110)


def _against(axes: Any, settings: list[float], values: np.ndarray) -> None:
    """Values by setting, the best one marked; a logarithmic axis where the settings span more than a decade."""
    from matplotlib.ticker import NullFormatter

    best = int(values.argmax())
    axes.scatter(settings, values, s=14, color=FAINT)
    axes.scatter(settings[best], values[best], s=36, color=SECOND)
    if min(settings) > 0 and max(settings) > 10 * min(settings):
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())  # their labels would lie over each other
