"""The guest script, run by this machine's Python and runtimes; the lab emulates the same file."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.arm64 import guest_script
from benchmarks.arm64.guests import arm64_guests
from benchmarks.arm64.lab_layout import installed_runtimes
from tests.benchmarks.arm64.conftest import by_hand
from tests.house import imported

GUESTS = arm64_guests()
every_guest = pytest.mark.parametrize("name", list(GUESTS))


def start(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, guest_script.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ""})


@every_guest
def test_probabilities_are_in_the_order_of_the_frames(
    models: dict[str, Path], frames: NDArray[np.uint8], tmp_path: Path, name: str
) -> None:
    np.save(tmp_path / "frames.npy", frames)
    start("predict", GUESTS[name].script, models[name], tmp_path / "frames.npy", tmp_path / "out.npy")
    answers = np.load(tmp_path / "out.npy")
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, by_hand(frames), atol=1e-5)
    assert np.ptp(answers[:, 0]) > 0.01, "equal frames would not show their order"


@every_guest
def test_marks_enclose_only_inference_and_not_the_warm_up(
    models: dict[str, Path], frames: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    model, events = guest_script.LoadedModel(str(GUESTS[name].script), str(models[name])), []
    set_input, invoke = model.set_input, model.invoke
    monkeypatch.setattr(guest_script, "mark", lambda _file, which: events.append({1: "start", 2: "stop"}[which]))
    monkeypatch.setattr(guest_script.gc, "disable", lambda: None)
    model.set_input = lambda frame: events.append("set_input") or set_input(frame)
    model.invoke = lambda: events.append("invoke") or invoke()
    guest_script.count(model, frames[0], 2, marked=-1)
    counted = ["set_input", "start", "invoke", "stop"]
    assert events == ["set_input", "invoke"] * guest_script.WARM_UP + counted * 2


def test_a_mark_has_no_effect_without_the_plug_in(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with path.open("rb") as file:
        guest_script.mark(file.fileno(), guest_script.START)
        guest_script.mark(file.fileno(), guest_script.STOP)
        assert file.read() == b"abc"
    assert path.stat().st_size == 3


def test_versions_are_those_of_this_environment() -> None:
    scripts = [guest.script for guest in GUESTS.values()]
    assert json.loads(start("versions", *scripts).stdout) == installed_runtimes()


def test_the_scripts_in_the_lab_import_nothing_of_gossamer() -> None:
    for script in (Path(guest_script.__file__), *(guest.script for guest in GUESTS.values())):
        assert imported(ast.parse(script.read_text(encoding="utf-8"))) == set(), script
