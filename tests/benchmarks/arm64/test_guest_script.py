"""The guest script run by this machine's own Python and runtimes: it is the same file that the lab emulates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.arm64 import guest_script
from benchmarks.arm64.lab_layout import installed_runtimes
from tests.benchmarks.arm64.conftest import by_hand


def start(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, guest_script.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ""})


@pytest.mark.parametrize("name", list(guest_script.RUNTIMES))
def test_frames_are_answered_in_their_order(
    models: dict[str, Path], frames: NDArray[np.uint8], tmp_path: Path, name: str
) -> None:
    np.save(tmp_path / "frames.npy", frames)
    start("answers", name, models[name], tmp_path / "frames.npy", tmp_path / "out.npy")
    answers = np.load(tmp_path / "out.npy")
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, by_hand(frames), atol=1e-5)
    assert np.ptp(answers[:, 0]) > 0.01, "frames that look alike would not show their order"


@pytest.mark.parametrize("name", list(guest_script.RUNTIMES))
def test_only_inference_stands_between_the_marks_and_never_the_warm_up(
    models: dict[str, Path], frames: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    loaded, events = guest_script.RUNTIMES[name](str(models[name])), []
    place, go = loaded.place, loaded.go
    monkeypatch.setattr(guest_script, "mark", lambda _file, which: events.append({1: "start", 2: "stop"}[which]))
    monkeypatch.setattr(guest_script.gc, "disable", lambda: None)
    loaded.place = lambda frame: events.append("place") or place(frame)
    loaded.go = lambda: events.append("go") or go()
    guest_script.count(loaded, frames[0], 2, watched=-1)
    counted = ["place", "start", "go", "stop"]
    assert events == ["place", "go"] * guest_script.WARM_UP + counted * 2


def test_a_mark_changes_nothing_on_a_machine_that_does_not_watch(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with path.open("rb") as file:
        guest_script.mark(file.fileno(), guest_script.START)
        guest_script.mark(file.fileno(), guest_script.STOP)
        assert file.read() == b"abc"
    assert path.stat().st_size == 3


def test_versions_are_those_of_this_environment() -> None:
    assert json.loads(start("versions").stdout) == installed_runtimes()


def test_it_needs_nothing_of_gossamers() -> None:
    text = Path(guest_script.__file__).read_text(encoding="utf-8")
    assert not [line for line in text.splitlines() if "import" in line and ("benchmarks" in line or "pipeline" in line)]
