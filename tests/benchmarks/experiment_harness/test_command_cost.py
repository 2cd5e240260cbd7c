"""Duration and memory of a command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.experiment_harness.command_cost import run_measured
from pipeline.errors import DataError


def test_memory_is_that_of_the_command_and_not_of_this_process(tmp_path: Path) -> None:
    cost = run_measured(tmp_path, "--help")
    assert cost.seconds > 0
    assert cost.peak_rss_bytes > 10**7
    ballast = np.ones(50_000_000)
    again = run_measured(tmp_path, "--help")
    assert again.peak_rss_bytes < cost.peak_rss_bytes + ballast.nbytes / 2


def test_a_failed_command_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gossamer split nowhere ended with 2; see .*split\.log"):
        run_measured(tmp_path, "split", "nowhere")
