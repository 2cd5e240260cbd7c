"""The emulated lab with a script in place of qemu-aarch64 that runs the guest script natively."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.arm64 import emulated
from benchmarks.arm64.emulated import EmulatedLab, read_counts
from benchmarks.arm64.guests import arm64_guests
from pipeline.errors import ModelError
from tests.benchmarks.arm64.conftest import by_hand

RUNTIMES = {name: guest.script for name, guest in arm64_guests().items()}
EMULATOR = """#!{python}
import pathlib, subprocess, sys
options, guest = sys.argv[1:sys.argv.index("-S")], sys.argv[sys.argv.index("-S") + 1:]
cpu = options[options.index("-cpu") + 1]
pathlib.Path("commands").open("a").write(" ".join(sys.argv[1:]) + "\\n")
if "-plugin" in options:
    plugin, out = options[options.index("-plugin") + 1].split(",out=")
    base = {{"cortex-a76": 1000, "cortex-a53": 2000}}[cpu]
    pathlib.Path(out).write_text("".join(f"{{base + extra}}\\n" for extra in (9, 0, 1, 0, 5)[:int(guest[-1])]))
sys.exit(subprocess.run([sys.executable, *guest]).returncode)
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmulatedLab:
    programs = tmp_path / "bin"
    programs.mkdir()
    emulator = programs / "qemu-aarch64"
    emulator.write_text(EMULATOR.format(python=sys.executable), encoding="utf-8")
    emulator.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "lab"
    folder.mkdir()
    return EmulatedLab(folder, "lab", False, RUNTIMES)


def test_the_instruction_count_is_the_median_of_five(
    lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8]
) -> None:
    assert lab.instructions(models["onnx"], "onnx", frames[0], "cortex-a76") == 1001
    assert lab.instructions(models["onnx"], "onnx", frames[0], "cortex-a53") == 2001


def test_inference_runs_on_the_first_processor_in_one_process(
    lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8]
) -> None:
    np.testing.assert_allclose(lab.predict(models["tflite"], "tflite", frames), by_hand(frames), atol=1e-5)
    commands = (lab.folder / "commands").read_text(encoding="utf-8").splitlines()
    assert len(commands) == 1, "one process for all frames"
    assert commands[0].startswith("-cpu cortex-a76 -L cortex-a76 cortex-a76/usr/bin/python3 -s -S ")


def test_the_guest_never_sees_the_name_of_an_artifact(
    lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8]
) -> None:
    lab.instructions(models["onnx"], "onnx", frames[0], "cortex-a76")
    commands = (lab.folder / "commands").read_text(encoding="utf-8")
    assert "means" not in commands, "a longer name would move the stack and change the counts"
    assert [path.name for path in lab.folder.iterdir()] == ["commands"], "nothing else may be left behind"


def test_an_error_in_the_guest_is_reported(lab: EmulatedLab, tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken\.onnx: cannot be run by an emulated cortex-a76: .*[Pp]rotobuf"):
        lab.predict(broken, "onnx", frames)
    with pytest.raises(ModelError, match=r"broken\.onnx: cannot be run by an emulated cortex-a53"):
        lab.instructions(broken, "onnx", frames[0], "cortex-a53")


def test_a_guest_that_hangs_is_stopped_after_the_timeout(
    lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulated, "TIMEOUT_S", 0.01)
    with pytest.raises(ModelError, match=r"within 0\.01 s"):
        lab.predict(models["onnx"], "onnx", frames)


def test_a_missing_count_is_an_error(
    lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulated, "COUNTED", 6)
    with pytest.raises(ModelError, match="5 counts on cortex-a76; expected 6"):
        lab.instructions(models["onnx"], "onnx", frames[0], "cortex-a76")


def test_addresses_are_fixed_only_where_the_kernel_allows_it(lab: EmulatedLab) -> None:
    fixed = EmulatedLab(lab.folder, "lab", True, RUNTIMES).command(Path("work"), "cortex-a53", counted=True)
    assert Path(fixed[0]).name == "setarch"
    assert "-R" in fixed[: fixed.index("-cpu")]
    assert fixed[fixed.index("-plugin") + 1] == "./count.so,out=work/counts"
    plain = lab.command(Path("work"), "cortex-a53", counted=False)
    assert Path(plain[0]).name == "qemu-aarch64"
    assert "-plugin" not in plain


def test_a_missing_counts_file_gives_no_counts(tmp_path: Path) -> None:
    assert read_counts(tmp_path / "counts") == []
