"""Where does an artifact lose its precision? The signal-to-noise ratio of every tensor it shares with a reference.

Both are of one format, so tensors go by the same names; the ratio is that of energies over all frames, in decibels:
10 log10(sum(reference ** 2) / sum((reference - artifact) ** 2)). It falls a little with every 8-bit op, and at once
where something collapses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.parity import Trace
from pipeline.data.preprocess import Pixels
from pipeline.errors import DataError


@dataclass(frozen=True, slots=True)
class Layer:
    """One tensor: its name, and how far its signal stands above the noise, in decibels; infinite where equal."""

    name: str
    snr_db: float


def compare_layers(reference: Trace, artifact: Trace, frames: Iterable[Pixels]) -> list[Layer]:
    """Compare tensor by tensor, in the reference's execution order.

    Args:
        reference: Most often the float32 artifact.
        artifact: Of the same format.
        frames: uint8 (height, width, 3) RGB each.

    Raises:
        DataError: There is no frame, or no tensor that both have.
    """
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    for frame in frames:
        theirs = dict(artifact(frame))
        for name, value in reference(frame):
            if name in theirs and theirs[name].shape == value.shape:
                signal[name] = signal.get(name, 0.0) + _energy(value)
                noise[name] = noise.get(name, 0.0) + _energy(value - theirs[name])
    if not signal:
        raise DataError("no frame, or no tensor of the same name in both; expected two artifacts of one checkpoint")
    return [Layer(name, decibels(signal[name], noise[name])) for name in signal]


def decibels(signal: float, noise: float) -> float:
    """Ratio of two energies in decibels; what is no number any more has none: minus infinity."""
    if not math.isfinite(noise):
        return -math.inf
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def steepest_fall(layers: Sequence[Layer]) -> tuple[Layer, float] | None:
    """Give the layer before which most is lost, and how many decibels; None where nothing is lost at all."""
    best = math.inf
    found: tuple[Layer, float] | None = None
    for layer in layers:
        fall = best - layer.snr_db
        if math.isfinite(fall) and fall > (found[1] if found else 0.0):
            found = layer, fall
        best = min(best, layer.snr_db)
    return found


def _energy(values: NDArray[np.float32]) -> float:
    return float(np.sum(np.square(values.astype(np.float64))))
