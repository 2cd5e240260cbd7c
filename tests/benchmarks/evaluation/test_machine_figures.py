"""Times and memory come back as they were recorded; a missing or foreign section is a reason, never an error."""

from __future__ import annotations

from pathlib import Path

from benchmarks.evaluation.machine_figures import MachineFigures, read_measured_machine
from benchmarks.latency.preprocessing import PreprocessTiming
from pipeline.data.machine_figures import record_machine_figures
from tests.benchmarks.evaluation.measurements import changed, full_measurement
from tests.benchmarks.report import timings

NAME = "onnx-float32"
TIMING = timings.TIMING.model_copy(update={"latency_p50_ms": 1.0, "latency_p90_ms": 1.5, "latency_p99_ms": 1.9})
PICTURES = PreprocessTiming(
    preprocess_p50_ms=0.4, preprocess_p90_ms=0.5, preprocess_runs=64, width=96, height=128, size_bytes=24_000
)


def test_figures_of_the_machine_are_read_as_they_were_recorded(tmp_path: Path) -> None:
    reasons = {"artifacts.coreml-float16.latency": "Core ML needs a Mac"}
    figures = MachineFigures(
        artifacts={NAME: TIMING}, sha256={NAME: "f" * 64}, preprocess={"selfie": PICTURES}, unmeasured=reasons
    )
    record_machine_figures(tmp_path / "machine.json", "measure", figures.model_dump(mode="json"))
    assert read_measured_machine(tmp_path / "machine.json", full_measurement()) == figures


def test_times_of_other_files_than_those_measured_are_left_out_with_the_reason(tmp_path: Path) -> None:
    """After a checkout of another run, machine.json still has the times of the run before."""
    earlier = MachineFigures(artifacts={NAME: TIMING}, sha256={NAME: "f" * 64})
    record_machine_figures(tmp_path / "machine.json", "measure", earlier.model_dump(mode="json"))
    measurement = changed(full_measurement(), NAME, sha256="0" * 64)
    figures = read_measured_machine(tmp_path / "machine.json", measurement)
    assert figures.artifacts == {}
    assert "timed another file; run dvc repro" in figures.unmeasured[f"artifacts.{NAME}.latency"]


def test_a_machine_that_never_measured_has_a_reason_instead_of_figures(tmp_path: Path) -> None:
    figures = read_measured_machine(tmp_path / "machine.json", full_measurement())
    assert figures.artifacts == {}
    assert "has not run dvc repro measure" in figures.unmeasured["latency"]


def test_a_section_of_another_version_is_a_reason(tmp_path: Path) -> None:
    record_machine_figures(tmp_path / "machine.json", "measure", {"onnx-float32": {"latency_ms": 1.0}})
    figures = read_measured_machine(tmp_path / "machine.json", full_measurement())
    assert figures.artifacts == {}
    assert "dvc repro --force --single-item measure" in figures.unmeasured["latency"]
