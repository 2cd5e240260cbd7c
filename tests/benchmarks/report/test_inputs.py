"""What the report reads from the outputs of the chain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.evaluation.predictions import Predictions, write_predictions
from benchmarks.gate.machine_figures import split_machine_figures
from benchmarks.report.experiments.results import ExperimentResults
from benchmarks.report.inputs import Gallery, ReportInput, ReportPaths, read_report_input
from pipeline.data.machine_figures import record_machine_figures
from pipeline.data.records import Check, Image, Rejection, Verdict
from pipeline.data.storage import write_json, write_rows
from pipeline.errors import DataError
from tests.benchmarks.evaluation.measurements import full_measurement, measurement_of
from tests.benchmarks.report.timings import timings_of

Table = Callable[..., Predictions]
QUESTION = "Does the rider wear a helmet?"


@pytest.fixture
def paths(tmp_path: Path) -> ReportPaths:
    """Paths that do not exist yet."""
    return ReportPaths(*(tmp_path / name for name in ReportPaths.__dataclass_fields__))


def test_every_output_of_the_chain_is_read(paths: ReportPaths, selfies: tuple[Path, list[Image]], table: Table) -> None:
    rows = selfies[1]
    rejection = Rejection(image_id="a", label="helmet", reason="dark", score=0.01, threshold=0.05)
    write_json(paths.metrics / "measure.json", measurement_of(table(40)))
    write_json(paths.metrics / "prompts.json", {"count": 40})
    write_rows(paths.kept, rows)
    write_rows(paths.rejected, [rejection])
    write_predictions(paths.predictions, table(40))
    paths.training_curve.write_text("epoch,train_loss,val_accuracy\n0,1.0,\n1,0.5,0.25\n", encoding="utf-8")
    paths.contact_sheets.mkdir()
    for name in ("label_error.png", "notes.txt"):
        (paths.contact_sheets / name).touch()
    inputs = read_report_input(paths, "helmet", QUESTION)
    assert inputs.measurement == measurement_of(table(40))
    assert inputs.stages.results == {"prompts": {"count": 40}}
    assert inputs.training == Gallery(paths.images, rows)
    assert inputs.rejections == [rejection]
    assert inputs.predictions is not None
    assert inputs.predictions.ids == table(40).ids
    assert inputs.training_curve == [
        {"epoch": "0", "train_loss": "1.0"},
        {"epoch": "1", "train_loss": "0.5", "val_accuracy": "0.25"},
    ]
    assert [path.name for path in inputs.contact_sheets] == ["label_error.png"]


def test_selfies_are_read_with_the_photographs_that_could_not_be_decoded(
    paths: ReportPaths, selfies: tuple[Path, list[Image]]
) -> None:
    torn = Rejection(image_id="torn.jpg", label="helmet", reason="unreadable", score=0, threshold=1, detail="truncated")
    write_rows(selfies[0] / "rejected.jsonl", [torn])
    selfies[0].rename(paths.selfies)
    inputs = read_report_input(paths, "helmet", QUESTION)
    assert inputs.selfies == {"rendered": Gallery(paths.selfies, selfies[1])}
    place = (paths.selfies / "rejected.jsonl").as_posix()
    assert inputs.unmeasured()[place] == (
        "files of the folder that were not taken: 1 unreadable; the first, torn.jpg: unreadable truncated"
    )


def test_the_verdict_has_the_values_that_the_gate_measured_on_this_machine(paths: ReportPaths) -> None:
    check = Check(
        name="latency_vs_baseline", artifact="onnx-float32", value=0.063, limit=0.04, verdict="fail", reason="slower"
    )
    verdict = Verdict(verdict="fail", baseline="v1", checks=(check,))
    tracked, machine = split_machine_figures(verdict)
    write_json(paths.metrics / "gate.json", tracked)
    elsewhere = read_report_input(paths, "helmet", QUESTION).verdict
    assert elsewhere is not None
    assert elsewhere.checks[0].value is None
    record_machine_figures(paths.metrics / "machine.json", "gate", machine.model_dump(mode="json"))
    assert read_report_input(paths, "helmet", QUESTION).verdict == verdict


def test_timings_are_those_of_this_machine(paths: ReportPaths) -> None:
    write_json(paths.metrics / "measure.json", full_measurement())
    absent = read_report_input(paths, "helmet", QUESTION)
    assert absent.timings.artifacts == {}
    assert "this machine has not run dvc repro measure" in absent.unmeasured()["latency"]
    timings = timings_of(full_measurement().artifacts)
    record_machine_figures(paths.metrics / "machine.json", "measure", timings.model_dump(mode="json"))
    measured = read_report_input(paths, "helmet", QUESTION)
    assert measured.timings == timings
    assert "latency" not in measured.unmeasured()


def test_an_empty_folder_gives_an_empty_report(paths: ReportPaths) -> None:
    inputs = read_report_input(paths, "helmet", QUESTION)
    assert (inputs.measurement, inputs.verdict, inputs.predictions, inputs.baseline) == (None, None, None, None)
    assert inputs.experiments == ExperimentResults()
    assert (inputs.training, inputs.selfies) == (Gallery(paths.images), {})


def test_a_damaged_file_is_an_error(paths: ReportPaths) -> None:
    paths.metrics.mkdir()
    (paths.metrics / "measure.json").write_text("[1, 2", encoding="utf-8")
    with pytest.raises(DataError, match=r"measure\.json"):
        read_report_input(paths, "helmet", QUESTION)


def test_everything_that_is_missing_is_named_with_its_reason() -> None:
    reasons = ReportInput("helmet", QUESTION).unmeasured()
    for name in ("prompts", "generate", "curate", "train", "measure"):
        assert reasons[f"metrics/{name}.json"] == "the stage has not run"
    assert reasons["metrics/gate.json"] == "the gate has not run"
    assert "data/predictions.parquet" in reasons
    assert reasons["benchmarks/results/compare.json"] == "run gossamer benchmark generated_vs_rendered"


def test_reasons_of_the_measurement_are_kept() -> None:
    reasons = ReportInput("helmet", QUESTION, measurement=full_measurement()).unmeasured()
    assert reasons["artifacts.onnx-float32.arm64_agreement"] == "no answers to compare with"
    assert "metrics/measure.json" not in reasons
