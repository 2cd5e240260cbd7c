"""Signal-to-noise ratio of every tensor that an artifact shares with a reference, to locate a loss of precision.

Both artifacts are of one format, so that tensors have the same names. The ratio is that of energies over all frames, in
decibels: 10 log10(sum(reference ** 2) / sum((reference - artifact) ** 2)). It falls a little with every 8-bit op, and
abruptly where a layer collapses. Pure: traces and frames in, figures out.
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
    """Name of a tensor and its signal-to-noise ratio in decibels; infinite if it is equal in both artifacts."""

    name: str
    snr_db: float


def compare_layers(reference: Trace, artifact: Trace, frames: Iterable[Pixels]) -> list[Layer]:
    """Compare tensor by tensor, in the reference's execution order.

    Args:
        reference: Trace of the reference, usually the float32 artifact.
        artifact: Trace of another artifact of the same format.
        frames: Frames, uint8 (height, width, 3) RGB each.

    Raises:
        DataError: There are no frames, or no tensor is in both.
    """
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    for frame in frames:
        tensors = dict(artifact(frame))
        for name, value in reference(frame):
            if name in tensors and tensors[name].shape == value.shape:
                signal[name] = signal.get(name, 0.0) + _energy(value)
                noise[name] = noise.get(name, 0.0) + _energy(value - tensors[name])
    if not signal:
        raise DataError("no frame, or no tensor of the same name in both; expected two artifacts of one checkpoint")
    return [Layer(name, decibels(signal[name], noise[name])) for name in signal]


def decibels(signal: float, noise: float) -> float:
    """Ratio of two energies in decibels; minus infinity if the noise is not a number."""
    if not math.isfinite(noise):
        return -math.inf
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def steepest_fall(layers: Sequence[Layer]) -> tuple[Layer, float] | None:
    """Find the layer whose ratio is furthest below all before it; returns it and the fall in decibels.

    None if no layer has a lower ratio than the layers before it.
    """
    lowest = math.inf
    steepest: tuple[Layer, float] | None = None
    for layer in layers:
        fall = lowest - layer.snr_db
        if math.isfinite(fall) and fall > (steepest[1] if steepest else 0.0):
            steepest = layer, fall
        lowest = min(lowest, layer.snr_db)
    return steepest


def _energy(values: NDArray[np.float32]) -> float:
    return float(np.sum(np.square(values.astype(np.float64))))
