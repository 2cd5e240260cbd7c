"""An ARM machine's own lab, run by whatever machine this is: the code does not depend on the architecture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.arm64.native import CPU, NativeLab, read_perf
from pipeline.errors import ModelError
from tests.benchmarks.arm64.conftest import by_hand


def test_answers_come_from_a_process_of_its_own(models: dict[str, Path], frames: NDArray[np.uint8]) -> None:
    np.testing.assert_allclose(NativeLab().answers(models["onnx"], "onnx", frames), by_hand(frames), atol=1e-5)


def test_a_broken_artifact_is_the_runtimes_error_in_one_line(tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken\.onnx: cannot be run by onnx's runtime: .*[Pp]rotobuf"):
        NativeLab().answers(broken, "onnx", frames)


def test_one_run_costs_what_many_runs_cost_more(
    models: dict[str, Path], frames: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perf = tmp_path / "perf"  # 1,000 instructions a run, and 777,000 for all else; the runs are the last argument
    perf.write_text(
        '#!/bin/sh\nfor last; do :; done\necho "$((1000 * last + 777000)),,instructions:u,5,100.00,," >&2\n'
    )
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert NativeLab().instructions(models["onnx"], "onnx", frames[0], CPU) == 1000


def test_without_perf_nothing_is_counted(
    models: dict[str, Path], frames: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelError, match="no perf"):
        NativeLab().instructions(models["onnx"], "onnx", frames[0], CPU)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<not supported>,,instructions:u,0,100.00,,\n", "not supported on this machine"),
        ("Error:\nAccess to performance monitoring is limited.\n", "is limited"),
        ("", "said nothing"),
    ],
)
def test_where_perf_cannot_count_its_reason_is_told(text: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        read_perf(text)


def test_perfs_figure_is_found_among_what_the_runtime_says() -> None:
    assert read_perf("INFO: Created delegate, once\n\n1234567,,instructions:u,99,100.00,,\n") == 1_234_567
