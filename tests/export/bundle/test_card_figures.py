"""`gossamer release` puts the figures that the stages wrote into the model card of the bundle."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.evaluation.machine_figures import MachineFigures
from benchmarks.gate import provenance
from export.convert import ConvertRows
from pipeline.cli import app
from pipeline.data.machine_figures import record_machine_figures
from pipeline.data.records import Check, Outcome, Verdict
from pipeline.data.storage import write_json
from tests.export.bundle.figures import TIMING, measurement_of_two_slices
from tests.export.conftest import Convert

Release = Callable[[Outcome, str], Result]


@pytest.fixture
def release(
    root: Path, convert: Convert, rows: ConvertRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Release:
    """Runs the command on ONNX artifacts: the gate's verdict, and the SHA-256 of the file that was timed.

    That the files of a run belong together is tested in tests/benchmarks/gate/test_provenance.py, so it is not checked.
    """
    monkeypatch.setattr(provenance, "complete_run", lambda run, *_: run)
    shutil.copytree(convert("onnx")[1], tmp_path / "artifacts" / "onnx")
    verdict, measured = tmp_path / "metrics/gate.json", tmp_path / "metrics/measure.json"

    def run(outcome: Outcome, timed_sha256: str) -> Result:
        check = Check(name="accuracy", artifact="onnx-float32", value=0.5, limit=0.9, verdict=outcome, reason="0.5")
        write_json(verdict, Verdict(verdict=outcome, baseline="v1", checks=(check,)))
        write_json(measured, measurement_of_two_slices())
        machine = MachineFigures(artifacts={"onnx-float32": TIMING}, sha256={"onnx-float32": timed_sha256})
        record_machine_figures(tmp_path / "metrics/machine.json", "measure", machine.model_dump(mode="json"))
        paths = [
            root / "policies/helmet.yaml",
            verdict,
            measured,
            tmp_path / "artifacts",
            rows.images,
            tmp_path / "out",
        ]
        return CliRunner().invoke(app, ["release", "1.4.0", *map(str, paths)])

    return run


def row_of_card(folder: Path) -> list[str]:
    card = (folder / "out/helmet-1.4.0/MODEL_CARD.md").read_text(encoding="utf-8")
    (line,) = (line for line in card.splitlines() if line.startswith("| onnx/float32.onnx |"))
    return line.strip("| ").split(" | ")


def test_a_release_has_the_figures_of_the_measurement_and_the_latency_of_this_machine(
    release: Release, tmp_path: Path
) -> None:
    result = release("pass", "f" * 64)
    assert result.exit_code == 0, result.output
    assert row_of_card(tmp_path)[4:7] == ["0.9375", "0.91", "0.96"]
    assert row_of_card(tmp_path)[-2:] == ["1.25", "1.5"]


def test_the_latency_of_another_file_is_not_printed(release: Release, tmp_path: Path) -> None:
    assert release("pass", "0" * 64).exit_code == 0
    assert row_of_card(tmp_path)[-2:] == ["not measured", "not measured"]


def test_a_refused_release_writes_no_bundle(release: Release, tmp_path: Path) -> None:
    result = release("unmeasured", "f" * 64)
    assert (result.exit_code, "the verdict is unmeasured" in result.stderr) == (1, True), result.stderr
    assert not (tmp_path / "out").exists()
