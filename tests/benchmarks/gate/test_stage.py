"""The stage: which files it writes, which verdict permits a release, and which figures belong to this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import measure
from benchmarks.evaluation.inference import EvaluationSet, Runtimes
from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate import stage as gate
from benchmarks.gate.baseline import Release, write_baseline
from benchmarks.gate.checks.check_results import ADVISORY, LATENCY, MEMORY
from benchmarks.gate.machine_figures import read_verdict
from benchmarks.report import stage as report
from benchmarks.report.inputs import ReportInput
from pipeline.cli import app
from pipeline.config.params import GateParams, MeasureParams, Params
from pipeline.data.records import Artifact, Verdict
from pipeline.data.storage import read_json
from pipeline.errors import ReleaseRefusedError, UnmeasurableError
from tests.benchmarks.evaluation.measurements import changed, measurement_of
from tests.benchmarks.gate.verdicts import INT8, as_baseline, baseline_of, bench_of, check, judge, saved
from tests.benchmarks.report.pages import section_text
from tests.benchmarks.small_task import brightness

Table = Callable[..., Predictions]


def test_only_a_pass_lets_a_release_go_on(gate_params: GateParams, table: Table) -> None:
    gate.refuse_unless_pass(judge(gate_params, measurement_of(table()), table(), None))
    incomplete = changed(measurement_of(table()), INT8, agreement=None)
    with pytest.raises(ReleaseRefusedError, match=rf"is unmeasured.*\n  unmeasured: agreement: {INT8}: no figure"):
        gate.refuse_unless_pass(judge(gate_params, incomplete, table(), None))


def test_a_verdict_that_its_checks_contradict_is_refused(gate_params: GateParams, table: Table) -> None:
    poor = table(wrong={INT8: 400})
    failed = judge(gate_params, measurement_of(poor), poor, None)
    for forged in (failed.model_copy(update={"verdict": "pass"}), Verdict(verdict="pass", baseline="", checks=())):
        with pytest.raises(ReleaseRefusedError, match="refused"):
            gate.refuse_unless_pass(forged)


def test_advisory_checks_alone_are_no_pass(gate_params: GateParams, table: Table) -> None:
    verdict = judge(gate_params, measurement_of(table()), table(), as_baseline(table()))
    advisory = tuple(row for row in verdict.checks if row.name in ADVISORY)
    assert advisory
    with pytest.raises(ReleaseRefusedError, match="no check supports it"):
        gate.refuse_unless_pass(verdict.model_copy(update={"checks": advisory}))


def test_the_command_reads_the_measurement_and_writes_the_verdict(
    root: Path, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "benchmarks" / "baseline"
    paths = [str(path) for path in saved(tmp_path, table())]
    result = CliRunner().invoke(app, ["gate", *paths, str(folder), "gate.json"])
    assert result.exit_code == 0, result.output
    assert read_json(Path("gate.json"), Verdict).baseline == "none accepted yet: absolute limits only"
    write_baseline(folder, *saved(tmp_path, table()), Release("v1", "c" * 40))
    result = CliRunner().invoke(app, ["gate", *paths, str(folder), "gate.json"])
    assert result.exit_code == 0, result.output
    assert read_json(Path("gate.json"), Verdict).baseline.startswith("v1: checkpoint abc")


def test_two_machines_write_the_same_verdict(gate_params: GateParams, table: Table, tmp_path: Path) -> None:
    baseline = baseline_of(changed(measurement_of(table()), INT8, sha256="old"), table())
    for folder, bench in (("first", bench_of(1.01)), ("second", bench_of(0.9, memory_growth=-0.3))):
        result = gate.run(gate_params, measurement_of(table()), table(), baseline, bench)
        gate.write(result, tmp_path / folder / "gate.json")
    first, second = (tmp_path / folder / "gate.json" for folder in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    tracked = read_json(first, Verdict)
    for name in (LATENCY, MEMORY):
        assert (check(tracked, name).verdict, check(tracked, name).value) == ("pass", None)
        assert check(tracked, name).reason == "within the limit on the machine that ran the gate"
    assert check(read_verdict(first), LATENCY).value == pytest.approx(0.01)
    assert check(read_verdict(second), LATENCY).value == pytest.approx(-0.1)
    assert "10.0 % faster" in check(read_verdict(second), LATENCY).reason


def test_figures_of_another_verdict_are_not_joined(gate_params: GateParams, table: Table, tmp_path: Path) -> None:
    slow = bench_of(1.1, 1.1)
    baseline = baseline_of(changed(measurement_of(table()), INT8, sha256="old"), table())
    gate.write(gate.run(gate_params, measurement_of(table()), table(), baseline, slow), tmp_path / "gate.json")
    assert check(read_verdict(tmp_path / "gate.json"), LATENCY).value == pytest.approx(0.1)
    other = gate.run(gate_params, measurement_of(table()), table(), as_baseline(table())).verdict
    (tmp_path / "gate.json").write_text(other.model_dump_json())
    assert read_verdict(tmp_path / "gate.json") == other


def test_an_artifact_that_this_machine_cannot_run_is_unmeasured_from_the_measurement_to_the_report(
    params: Params, measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    """``convert`` keeps it (tests/export/test_convert.py)."""
    reason = "the MIL executor lacks the op warp: measure on a Mac"

    def open_some(_path: Path, record: Artifact, _threads: int) -> object:
        if record.format == "coreml":
            raise UnmeasurableError(reason)
        return brightness

    measured = measure.run(measure_params, evaluation_set, replace(runtimes, open=open_some))  # type: ignore[arg-type]
    measurement, predictions = measured.measurement, measured.predictions
    assert measurement.artifacts["coreml-float16"].accuracy is None
    assert measurement.unmeasured["artifacts.coreml-float16.accuracy"] == reason

    verdict = judge(params.gate, measurement, predictions, None)
    accuracy = check(verdict, "accuracy", "coreml-float16")
    assert (accuracy.verdict, accuracy.value) == ("unmeasured", None)
    assert reason in accuracy.reason
    with pytest.raises(ReleaseRefusedError, match=f"unmeasured: .*{reason}"):
        gate.refuse_unless_pass(verdict)

    inputs = ReportInput("helmet", "?", measurement, measured.machine, verdict=verdict, predictions=predictions)
    written = report.run(params.report, inputs)
    assert reason in section_text(written.html, "unmeasured")
    assert reason in written.markdown
