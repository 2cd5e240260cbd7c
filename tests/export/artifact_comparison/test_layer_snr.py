from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from export.artifact_comparison.layer_snr import Layer, compare_layers, decibels, steepest_fall
from export.parity import Trace
from pipeline.errors import DataError

FRAMES = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1) + 1


def trace_of(**scales: float) -> Trace:
    """Trace of a model whose tensors are multiples of the frame."""

    def trace(frame: NDArray[np.uint8]) -> list[tuple[str, NDArray[np.float32]]]:
        return [(name, np.full((2,), frame.item() * scale, np.float32)) for name, scale in scales.items()]

    return trace


def test_an_error_of_a_tenth_is_twenty_decibels() -> None:
    layers = compare_layers(trace_of(conv=2.0, head=1.0), trace_of(conv=2.0, extra=5.0, head=1.1), FRAMES)
    assert [layer.name for layer in layers] == ["conv", "head"]
    assert layers[0].snr_db == math.inf
    assert layers[1].snr_db == pytest.approx(20.0, abs=1e-3)


def test_nan_gives_minus_infinity() -> None:
    (layer,) = compare_layers(trace_of(conv=1.0), trace_of(conv=math.nan), FRAMES)
    assert layer.snr_db == -math.inf
    assert decibels(0.0, 1.0) == -math.inf


def test_artifacts_without_a_common_tensor_are_refused() -> None:
    with pytest.raises(DataError, match="no tensor of the same name"):
        compare_layers(trace_of(conv=1.0), trace_of(other=1.0), FRAMES)


def test_the_steepest_fall_is_measured_from_the_lowest_ratio_before() -> None:
    layers = [Layer("a", math.inf), Layer("b", 40.0), Layer("branch", 55.0), Layer("c", 38.0), Layer("d", 12.0)]
    assert steepest_fall(layers) == (Layer("d", 12.0), 26.0)
    assert steepest_fall([Layer("a", math.inf), Layer("b", math.inf)]) is None
