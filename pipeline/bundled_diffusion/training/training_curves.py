"""Training curves: shortens the log of a training run and plots it.

Reads the log of ``train_loop``; writes NAME.csv and NAME.svg beside the weights.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class CurvesPlot:
    """How the curves of a log are plotted.

    Attributes:
        points: Largest number of points per curve.
        panels: Title of a panel -> names of its curves.
    """

    points: int
    panels: Mapping[str, tuple[str, ...]]


DENOISER = CurvesPlot(
    200,
    {"velocity error": ("low_noise", "middle", "high_noise"), "distance from the attribute features": ("alignment",)},
)
REWARD = CurvesPlot(
    50,
    {
        "divergence of predicted attributes": ("attributes",),
        "feature matching": ("feature_matching",),
        "regularisation": ("reconstruction", "drift"),
    },
)


def write_curves(log: Path, plot: CurvesPlot, target: Path) -> None:
    """Average a log over equally long stretches of steps; write ``target``.csv and plot ``target``.svg.

    Args:
        log: CSV file with one row per step, as ``train_loop`` writes it.
        plot: Number of points, and panels.
        target: Path without suffix.
    """
    names, values = read_log(log)
    stretches = np.array_split(values, min(plot.points, len(values)))
    short = np.array([[part[-1, 0], *part[:, 1:].mean(0)] for part in stretches])
    lines = [",".join(names), *(",".join(f"{value:.5g}" for value in row) for row in short)]
    target.with_suffix(".csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _draw(dict(zip(names, short.T, strict=True)), plot, target.with_suffix(".svg"))


def read_log(log: Path) -> tuple[list[str], np.ndarray]:
    """Read a log without its times: names of the columns, and values, float64 (steps, columns)."""
    with log.open(newline="") as stream:
        rows = list(csv.reader(stream))
    columns = [column for column, name in enumerate(rows[0]) if name != "seconds"]
    return [rows[0][column] for column in columns], np.array(rows[1:], float)[:, columns]


def _draw(curves: Mapping[str, np.ndarray], plot: CurvesPlot, path: Path) -> None:
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
    with mpl.rc_context({"svg.hashsalt": "gossamer"}):  # equal curves give equal bytes
        figure.savefig(path, metadata={"Date": None})
