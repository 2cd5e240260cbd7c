"""The emulated lab on an emulator of our own: a script that takes qemu-aarch64's place and runs the guest natively."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.arm64 import emulated
from benchmarks.arm64.emulated import EmulatedLab, read_counts
from pipeline.errors import ModelError
from tests.benchmarks.arm64.conftest import by_hand

EMULATOR = """#!{python}
import pathlib, subprocess, sys
options, guest = sys.argv[1:sys.argv.index("-S")], sys.argv[sys.argv.index("-S") + 1:]
cpu = options[options.index("-cpu") + 1]
pathlib.Path("seen").open("a").write(" ".join(sys.argv[1:]) + "\\n")
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
    return EmulatedLab(folder, "lab", still=False)


def test_instructions_are_the_median_of_five_counts(
    lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8]
) -> None:
    assert lab.instructions(models["onnx"], "onnx", frames[0], "cortex-a76") == 1001
    assert lab.instructions(models["onnx"], "onnx", frames[0], "cortex-a53") == 2001


def test_answers_are_the_first_processors(lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8]) -> None:
    np.testing.assert_allclose(lab.answers(models["tflite"], "tflite", frames), by_hand(frames), atol=1e-5)
    seen = (lab.folder / "seen").read_text(encoding="utf-8").splitlines()
    assert len(seen) == 1, "one process for all frames"
    assert seen[0].startswith("-cpu cortex-a76 -L cortex-a76 cortex-a76/usr/bin/python3 -s -S ")


def test_names_of_artifacts_never_reach_the_guest(
    lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8]
) -> None:
    lab.instructions(models["onnx"], "onnx", frames[0], "cortex-a76")
    seen = (lab.folder / "seen").read_text(encoding="utf-8")
    assert "means" not in seen, "a longer name moves the stack, and the counts with it"
    assert [path.name for path in lab.folder.iterdir()] == ["seen"], "and nothing is left behind"


def test_a_guest_that_fails_says_why(lab: EmulatedLab, tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken\.onnx: cannot be run by an emulated cortex-a76: .*[Pp]rotobuf"):
        lab.answers(broken, "onnx", frames)
    with pytest.raises(ModelError, match=r"broken\.onnx: cannot be run by an emulated cortex-a53"):
        lab.instructions(broken, "onnx", frames[0], "cortex-a53")


def test_a_guest_that_hangs_is_given_up(
    lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulated, "TIMEOUT_S", 0.01)
    with pytest.raises(ModelError, match=r"within 0\.01 s"):
        lab.answers(models["onnx"], "onnx", frames)


def test_a_count_too_few_is_no_count(
    lab: EmulatedLab, models: dict[str, Path], frames: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulated, "COUNTED", 6)
    with pytest.raises(ModelError, match="5 counts on cortex-a76; expected 6"):
        lab.instructions(models["onnx"], "onnx", frames[0], "cortex-a76")


def test_addresses_are_fixed_where_the_kernel_lets_them_be(lab: EmulatedLab) -> None:
    still = EmulatedLab(lab.folder, "lab", still=True).command(Path("work"), "cortex-a53", counted=True)
    assert Path(still[0]).name == "setarch"
    assert "-R" in still[: still.index("-cpu")]
    assert still[still.index("-plugin") + 1] == "./count.so,out=work/counts"
    plain = lab.command(Path("work"), "cortex-a53", counted=False)
    assert Path(plain[0]).name == "qemu-aarch64"
    assert "-plugin" not in plain


def test_no_counts_are_read_where_none_were_written(tmp_path: Path) -> None:
    assert read_counts(tmp_path / "counts") == []
