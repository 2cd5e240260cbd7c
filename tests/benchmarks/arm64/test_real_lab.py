"""The real lab, where it was set up: in data/arm64-lab, or in the folder named by GOSSAMER_ARM64_LAB."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.arm64.emulated import EmulatedLab
from benchmarks.arm64.lab import CachedLab, open_lab
from tests.benchmarks.arm64.conftest import by_hand


@pytest.fixture(scope="module")
def lab(root: Path) -> EmulatedLab:
    """The emulated lab without its cache."""
    opened = open_lab(Path(os.environ.get("GOSSAMER_ARM64_LAB", root / "data" / "arm64-lab")))
    if isinstance(opened, str):
        pytest.skip(opened)
    if not isinstance(opened, CachedLab) or not isinstance(opened.lab, EmulatedLab):
        pytest.skip("this machine needs no emulated lab")
    return opened.lab


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_probabilities_on_arm_equal_those_computed_by_hand(
    lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8], name: str
) -> None:
    np.testing.assert_allclose(lab.predict(models[name], name, frames), by_hand(frames), atol=1e-5)


@pytest.mark.slow
def test_litert_executes_the_same_number_of_instructions_each_time(
    lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8]
) -> None:
    first, again = (lab.instructions(models["tflite"], "tflite", frames[0], "cortex-a53") for _ in range(2))
    assert first == again
    assert 1_000 < first < 200_000, "a mean of 48 pixels, and the call"
