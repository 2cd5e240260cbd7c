"""Which lab is opened, and the reason where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.arm64 import lab as labs
from benchmarks.arm64.lab import CachedLab, open_lab
from benchmarks.arm64.lab_layout import RECORD, LabRecord
from benchmarks.arm64.native import NativeLab
from benchmarks.arm64.result_cache import open_results
from pipeline.data.storage import write_json

RUNTIMES = {"ai-edge-litert": "2.3.0", "onnxruntime": "1.32.0", "numpy": "2.4.6"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An x86 Linux with the runtimes and the emulator that ``record`` names."""
    monkeypatch.setattr(labs.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(labs, "installed_runtimes", lambda: RUNTIMES)
    monkeypatch.setattr(labs, "emulator_version", lambda: "7.2.22")
    return monkeypatch


def set_up(folder: Path, **changes: object) -> Path:
    values = {"emulator": "7.2.22", "python": "3.11", "packages": {}, "runtimes": RUNTIMES, "plugin_sha256": "0" * 64}
    write_json(folder / RECORD, LabRecord.model_validate(values | changes))
    return folder


@pytest.mark.usefixtures("machine")
def test_a_complete_lab_is_opened(tmp_path: Path) -> None:
    lab = open_lab(set_up(tmp_path))
    assert isinstance(lab, CachedLab)
    assert (lab.cpus, lab.emulated) == (("cortex-a76", "cortex-a53"), True)


@pytest.mark.usefixtures("machine")
def test_the_reason_for_a_missing_lab_names_the_setup_command(tmp_path: Path) -> None:
    reason = open_lab(tmp_path / "nowhere")
    assert (
        reason
        == f"{tmp_path}/nowhere: no ARM lab; expected one; run python -m benchmarks.arm64.setup {tmp_path}/nowhere"
    )


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"runtimes": RUNTIMES | {"onnxruntime": "1.31.0"}},
            "onnxruntime 1.31.0; expected 1.32.0, as in this environment",
        ),
        ({"emulator": "8.0.0"}, "QEMU 8.0.0; expected 7.2.22, as on this machine"),
    ],
)
def test_a_lab_with_other_versions_is_not_opened(tmp_path: Path, changes: dict[str, object], expected: str) -> None:
    reason = open_lab(set_up(tmp_path, **changes))
    assert isinstance(reason, str)
    assert expected in reason
    assert "; run python -m benchmarks.arm64.setup" in reason


@pytest.mark.usefixtures("machine")
def test_a_damaged_record_gives_a_reason(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text("{", encoding="utf-8")
    reason = open_lab(tmp_path)
    assert isinstance(reason, str)
    assert "not a LabRecord" in reason


def test_an_arm_machine_is_its_own_lab(tmp_path: Path, machine: pytest.MonkeyPatch) -> None:
    machine.setattr(labs.platform, "machine", lambda: "aarch64")
    machine.setattr(labs.sys, "platform", "linux")
    assert isinstance(open_lab(tmp_path), NativeLab)


def test_labs_with_other_packages_have_other_ids(tmp_path: Path) -> None:
    one, other = (
        LabRecord.model_validate_json((set_up(tmp_path / name, packages=packages) / RECORD).read_bytes())
        for name, packages in (("one", {"libc6": "2.36"}), ("other", {"libc6": "2.41"}))
    )
    assert one.id() != other.id()


def test_cached_results_are_not_computed_again(tmp_path: Path) -> None:
    calls = []

    class Counting:
        id, cpus, emulated = "counting", ("cortex-a76", "cortex-a53"), True

        def instructions(self, _artifact: Path, _format: str, _frame: object, cpu: str) -> int:
            calls.append(cpu)
            return {"cortex-a76": 10, "cortex-a53": 20}[cpu]

        def predict(self, _artifact: Path, _format: str, frames: np.ndarray) -> np.ndarray:
            calls.append("predict")
            return np.full((len(frames), 2), 0.5, np.float32)

    artifact, frames = tmp_path / "model", np.zeros((3, 2, 2, 3), np.uint8)
    artifact.write_bytes(b"weights")
    for _ in range(2):
        lab = CachedLab(Counting(), open_results(tmp_path / "cache", "counting"))
        assert [lab.instructions(artifact, "onnx", frames[0], cpu) for cpu in lab.cpus] == [10, 20]
        assert lab.predict(artifact, "onnx", frames).shape == (3, 2)
    assert calls == ["cortex-a76", "cortex-a53", "predict"]
