"""The log of a learning, made short enough to keep, and drawn: NAME.csv and NAME.svg beside the weights."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Plot:
    """How a log is shown.

    Attributes:
        points: At most so many.
        panels: Title -> names of the curves in it.
    """

    points: int
    panels: Mapping[str, tuple[str, ...]]


LEARNING = Plot(
    200, {"velocity error": ("low_noise", "middle", "high_noise"), "distance from the seen features": ("alignment",)}
)
REWARD = Plot(
    50,
    {
        "divergence of what is read": ("told",),
        "distance of the look": ("look",),
        "what holds it": ("decoded", "drift"),
    },
)


def write_curves(log: Path, plot: Plot, target: Path) -> None:
    """Average a log of single steps over equal stretches; write them as ``target``.csv, drawn as ``target``.svg."""
    names, values = read_log(log)
    stretches = np.array_split(values, min(plot.points, len(values)))
    short = np.array([[part[-1, 0], *part[:, 1:].mean(0)] for part in stretches])
    lines = [",".join(names), *(",".join(f"{value:.5g}" for value in row) for row in short)]
    target.with_suffix(".csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _draw(dict(zip(names, short.T, strict=True)), plot, target.with_suffix(".svg"))


def read_log(log: Path) -> tuple[list[str], np.ndarray]:
    """Names and values (steps, names) of a log; without its clock, which says nothing on another machine."""
    with log.open(newline="") as stream:
        rows = list(csv.reader(stream))
    kept = [place for place, name in enumerate(rows[0]) if name != "seconds"]
    return [rows[0][place] for place in kept], np.array(rows[1:], float)[:, kept]


def _draw(curves: Mapping[str, np.ndarray], plot: Plot, path: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(1, len(plot.panels)), plot.panels.items(), strict=True):
        for name in names:
            axes.plot(curves["step"], curves[name], label=name.replace("_", " "), linewidth=1.2)
        axes.set(title=title, xlabel="step", ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        if len(names) > 1:
            axes.legend(frameon=False)
    with mpl.rc_context({"svg.hashsalt": "gossamer"}):  # the same curves, the same bytes
        figure.savefig(path, metadata={"Date": None})
