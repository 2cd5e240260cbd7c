"""The lab of an ARM machine, tested on any machine: the code does not depend on the architecture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.arm64.native import CPU, NativeLab, read_perf
from pipeline.errors import ModelError
from tests.benchmarks.arm64.conftest import by_hand


def test_inference_runs_in_a_separate_process(models: dict[str, Path], frames: NDArray[np.uint8]) -> None:
    np.testing.assert_allclose(NativeLab().predict(models["onnx"], "onnx", frames), by_hand(frames), atol=1e-5)


def test_a_broken_artifact_gives_the_runtimes_error_in_one_line(tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken\.onnx: cannot be run by onnx's runtime: .*[Pp]rotobuf"):
        NativeLab().predict(broken, "onnx", frames)


def test_the_count_of_one_run_is_the_difference_between_many_and_few(
    models: dict[str, Path], frames: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perf = tmp_path / "perf"  # 1,000 instructions per run, and 777,000 besides; the last argument is the number of runs
    perf.write_text(
        '#!/bin/sh\nfor last; do :; done\necho "$((1000 * last + 777000)),,instructions:u,5,100.00,," >&2\n'
    )
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert NativeLab().instructions(models["onnx"], "onnx", frames[0], CPU) == 1000


def test_without_perf_instructions_cannot_be_counted(
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
        ("", "no output"),
    ],
)
def test_the_reason_of_perf_is_reported(text: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        read_perf(text)


def test_the_count_is_read_among_other_output() -> None:
    assert read_perf("INFO: Created delegate, once\n\n1234567,,instructions:u,99,100.00,,\n") == 1_234_567
