"""The report: one file that loads no other, with every figure there is, and the reason where there is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from benchmarks import measure
from benchmarks.evaluation.inference import EvaluationSet, Runtimes
from benchmarks.evaluation.machine_figures import MachineFigures
from benchmarks.evaluation.measurement import Measurement
from benchmarks.evaluation.predictions import Predictions
from benchmarks.evaluation.summary import Summary, TrainingSummary
from benchmarks.gate import stage as gate
from benchmarks.report import stage as report
from benchmarks.report.inputs import Gallery, ReportInput
from benchmarks.report.stage import ReportedRun, ReportFiles
from benchmarks.report.stage_metrics import CurationMetrics, RecipeMetrics, SliceRejection, StageMetrics
from pipeline.config.params import GateParams, MeasureParams, ReportParams
from pipeline.data.records import Rejection
from pipeline.data.storage import read_json, read_metrics
from tests import house
from tests.benchmarks.report.pages import HOSTILE, Page, section_html, section_text
from tests.benchmarks.small_task import NAMES
from tests.house import dvc_stages

Table = Callable[..., Predictions]
PARAMS = ReportParams(sample_images=6, worst_images=3)


@pytest.fixture
def stages() -> StageMetrics:
    curation = CurationMetrics(
        kept=39,
        rejection_rate=0.025,
        rejection_rate_by={
            "light": {
                "day": SliceRejection(rate=0, low=0, high=0.1),
                "night": SliceRejection(rate=0.5, low=0.1, high=0.9),
            },
            "age": {"young": SliceRejection(rate=0.625, low=0.3, high=0.8)},
        },
        over_rejected_slices={"light=night": 2},
    )
    return StageMetrics(
        results={
            "prompts": {"count": 4800, "prompt_space": 123456789, "labels": {"helmet": 2400, "no_helmet": 2400}},
            "generate": {"black": 0},
            "curate": {"kept": 39, "rejection_rate_by": {"light": {"day": {"rate": 0}}}},
            "train": {"val_accuracy": 0.97},
        },
        curation=curation,
        training=TrainingSummary(val_accuracy=0.97),
    )


@pytest.fixture
def inputs(
    evaluation_set: EvaluationSet,
    runtimes: Runtimes,
    measure_params: MeasureParams,
    gate_params: GateParams,
    stages: StageMetrics,
    tmp_path: Path,
) -> ReportInput:
    """The outputs of a whole chain with forty selfies."""
    result = measure.run(measure_params, evaluation_set, runtimes)
    verdict = gate.run(gate_params, result.measurement, result.predictions, None).verdict
    sheet = tmp_path / "label_error.png"
    PIL.Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(sheet)
    gallery = Gallery(evaluation_set.selfies, evaluation_set.rows)
    return ReportInput(
        policy="helmet",
        question="Does the rider wear a helmet?",
        measurement=result.measurement,
        timings=result.machine,
        stages=stages,
        verdict=verdict,
        training_curve=[
            {"epoch": str(i), "train_loss": str(1 / (i + 1)), "val_accuracy": str(i / 10)} for i in range(9)
        ],
        training=gallery,
        selfies={"rendered": gallery},
        predictions=result.predictions,
        rejections=[Rejection(image_id="a", label="helmet", reason="dark", score=0.01, threshold=0.05)],
        contact_sheets=[sheet],
    )


def measured(inputs: ReportInput) -> Measurement:
    assert inputs.measurement is not None
    return inputs.measurement


def test_the_page_loads_no_other_file(inputs: ReportInput) -> None:
    html = report.run(PARAMS, inputs).html
    page = Page(html)
    assert page.open == []
    assert page.loaded
    assert all(target.startswith(("data:image/jpeg;base64,", "#")) for target in page.loaded)
    assert "http" not in re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", html)
    assert "@import" not in html
    assert "url(" not in html
    assert "script" not in page.tags


def test_links_within_the_page_lead_to_its_sections(inputs: ReportInput) -> None:
    html = report.run(PARAMS, inputs).html
    targets = [target[1:] for target in Page(html).loaded if target.startswith("#")]
    assert len(targets) == 11
    assert all(f'<section id="{target}">' in html for target in targets)


def test_every_artifact_check_and_slice_is_on_the_page(inputs: ReportInput) -> None:
    made = report.run(PARAMS, inputs)
    text = Page(made.html).text
    assert inputs.verdict is not None
    for name in NAMES:
        assert name in text
        assert name.replace("_", "\\_") in made.markdown
    for check in inputs.verdict.checks:
        assert check.reason in text
    assert {"night", "day", "street", "indoors"} <= set(text.split())
    assert "123,456,789" in text
    assert "dark" in text


def test_slices_that_curation_rejects_most_are_listed_those_far_above_the_average_first(inputs: ReportInput) -> None:
    text = " ".join(Page(report.run(PARAMS, inputs).html).text.split())
    section = text[text.index("Rejection rate by slice") :]
    assert "the rate over all images is 2.50 %. Orange" in section
    assert section.index("light=night50.00 %") < section.index("age=young62.50 %")
    assert "light=day" not in section
    assert "rejection_rate_by" not in text


@pytest.mark.parametrize(
    ("agreement", "exclusion", "expected"),
    [
        (0.97, "", "agrees with 97.0 % of their labels"),
        (
            0.5,
            "it agrees with 20 of 40 labels",
            "The labels were not verified: of the verifier, it agrees with 20 of 40",
        ),
        (0.6, "", "The labels were not verified: of the verifier, it agrees with only 60.0% of the labels"),
    ],
)
def test_the_page_says_whether_a_verifier_knew_the_labels(
    inputs: ReportInput, agreement: float, exclusion: str, expected: str
) -> None:
    verifier = {"agreement": agreement, "used": not exclusion, "exclusion": exclusion}
    metrics = {"kept": 39, "rejection_rate": 0.025, "label_predictors": {"verifier": verifier}}
    stages = replace(inputs.stages, curation=CurationMetrics.model_validate(metrics))
    html = report.run(PARAMS, replace(inputs, stages=stages)).html
    assert expected in section_text(html, "curation")
    weak = "The labels were not verified" in expected
    assert ("metrics/curate.json label_predictors.verifier" in section_text(html, "unmeasured")) == weak


def test_ops_that_stay_in_float_stand_beside_the_name_of_their_artifact(
    inputs: ReportInput, stages: StageMetrics
) -> None:
    searched = replace(stages, recipes={"tflite": {"static_wi8_ai8": RecipeMetrics(float_ops=5)}})
    text = Page(report.run(PARAMS, replace(inputs, stages=searched)).html).text
    assert text.count("5 ops stay in float") == 1
    assert "ops stay in float" not in Page(report.run(PARAMS, inputs).html).text


def test_the_latency_of_core_ml_reads_unmeasured(inputs: ReportInput) -> None:
    made = report.run(PARAMS, inputs)
    decisions, times = re.findall(r'<td class="name">coreml-float16</td>.*?</tr>', made.html, re.DOTALL)[:2]
    assert "90.0\u00a0%" in decisions
    assert times.count("unmeasured</span>") == 7
    assert "Core ML needs a Mac" in Page(made.html).text
    line = next(line for line in made.markdown.splitlines() if line.startswith("| coreml-float16"))
    assert line.split(" | ")[6] == "unmeasured"


def test_without_figures_of_this_machine_the_page_says_so(inputs: ReportInput) -> None:
    html = report.run(PARAMS, replace(inputs, timings=MachineFigures())).html
    times = html[html.index("Time and memory on this machine") :]
    assert "unmeasured on this machine</span>: metrics/machine.json" in times[:200]
    assert "LoadGen" not in section_html(html, "artifacts")
    assert section_html(html, "stages").count("unmeasured on this machine</span>") == 4


def test_the_verdict_of_loadgen_stands_beside_a_latency(inputs: ReportInput) -> None:
    timings = dict(inputs.timings.artifacts)
    invalid = {"latency_valid": False, "latency_many_valid": False}
    timings["onnx-float32"] = timings["onnx-float32"].model_copy(update=invalid)
    other = replace(inputs, timings=inputs.timings.model_copy(update={"artifacts": timings}))
    html = report.run(PARAMS, other).html
    times = html[html.index("Time and memory on this machine") :]
    cells = {
        name: " ".join(
            re.sub(r"<[^>]+>", " ", re.findall(rf'<td class="name">{name}.*?</tr>', times, re.DOTALL)[0]).split()
        )
        for name in NAMES
    }
    assert "1.50 ms 1.90 ms quick: VALID 0.60 ms" in cells["tflite-float32"]
    assert "p50, 2 threads" in times
    assert "INVALID" not in cells["tflite-float32"] + cells["coreml-float16"]
    assert "VALID" not in cells["coreml-float16"]
    assert "quick: INVALID 0.60 ms, INVALID" in cells["onnx-float32"]


def test_preprocessing_time_and_size_of_the_network_are_on_the_page(inputs: ReportInput) -> None:
    checkpoint = measured(inputs).checkpoint.model_copy(update={"parameters": 1_520_000, "macs": 15_400_000})
    sized = measured(inputs).model_copy(update={"checkpoint": checkpoint})
    text = Page(report.run(PARAMS, replace(inputs, measurement=sized)).html).text
    assert "scaling a JPEG of 960 \u00d7 1280 takes 7.00\u00a0ms (p90 9.00\u00a0ms) here" in text
    assert "1.52 M parameters, 15.4 M MACs" in text
    assert "M MACs" not in Page(report.run(PARAMS, inputs).html).text


def test_misclassified_selfies_are_shown_highest_confidence_first(inputs: ReportInput) -> None:
    section = section_html(report.run(PARAMS, inputs).html, "misclassified")
    assert section.count("<img") == 3
    assert "decided" in section
    assert inputs.predictions is not None
    wrong = inputs.predictions.probabilities["checkpoint"][36:, 1]
    assert f"p(helmet) {max(wrong, key=lambda p: abs(p - 0.5)):.2f}" in section
    assert re.search(r"artifacts 0\.\d\d \(|artifacts 1\.00 \(", section)


def test_the_params_say_how_many_pictures_there_are(inputs: ReportInput) -> None:
    assert section_html(report.run(PARAMS, inputs).html, "training").count("<img") == 6
    none = report.run(ReportParams(sample_images=0, worst_images=0), inputs).html
    assert none.count("<img") == 1  # the contact sheet


def test_hostile_text_is_escaped(inputs: ReportInput) -> None:
    own = inputs.selfies["rendered"]
    rows = [row.model_copy(update={"factors": {"light": HOSTILE}}) for row in own.rows]
    gallery = Gallery(own.folder, rows)
    slices = {HOSTILE: measured(inputs).slices["light"]}
    hostile = replace(
        inputs,
        policy=HOSTILE,
        question=HOSTILE,
        training=gallery,
        selfies={"rendered": gallery},
        measurement=measured(inputs).model_copy(update={"slices": slices}),
        stages=StageMetrics(results={"prompts": {HOSTILE: HOSTILE}}),
        rejections=[Rejection(image_id="a", label="b", reason=HOSTILE, score=0, threshold=1)],
        training_curve=[{"epoch": "0", f"loss_{HOSTILE}": "1"}],
    )
    made = report.run(PARAMS, hostile)
    page = Page(made.html)
    assert page.open == []
    assert "script" not in page.tags
    assert page.text.count('<script>alert("x")</script>') >= 6
    assert "<script" not in made.markdown
    assert "\\|\\`\\*" in made.markdown


def test_a_report_without_any_output_reads_unmeasured() -> None:
    made = report.run(PARAMS, ReportInput("helmet", "Does the rider wear a helmet?"))
    page = Page(made.html)
    assert page.open == []
    assert page.text.count("unmeasured") >= 8
    assert made.markdown.startswith("## helmet: unmeasured")
    assert "metrics/measure.json: the stage has not run" in made.markdown.replace("\\", "")


@pytest.mark.parametrize("missing", ["prompts", "curate", "train", "generate"])
def test_a_missing_metrics_file_is_named(inputs: ReportInput, stages: StageMetrics, missing: str) -> None:
    results = {name: figures for name, figures in stages.results.items() if name != missing}
    fewer = replace(stages, results=results, curation=None if missing == "curate" else stages.curation)
    text = Page(report.run(PARAMS, replace(inputs, stages=fewer)).html).text
    assert f"metrics/{missing}.json" in text


def test_without_a_measurement_the_rest_of_the_page_is_there(inputs: ReportInput) -> None:
    page = Page(report.run(PARAMS, replace(inputs, measurement=None)).html)
    assert page.open == []
    assert "metrics/measure.json" in page.text


def test_probabilities_that_are_not_finite_leave_no_misclassified_selfies(inputs: ReportInput, table: Table) -> None:
    broken = table(40)
    for values in broken.probabilities.values():
        values[3] = np.nan
    html = report.run(PARAMS, replace(inputs, predictions=broken)).html
    assert "decided no_helmet" not in html
    assert 'aria-label="checkpoint' not in html


def test_the_worst_slice_is_in_the_comment(inputs: ReportInput) -> None:
    markdown = report.run(PARAMS, inputs).markdown
    assert "Worst slice: light = day, 86.7\u00a0% (70.3\u00a0% to 94.7\u00a0%) of 30 selfies." in markdown
    bare = replace(inputs, measurement=measured(inputs).model_copy(update={"slices": {}}))
    assert "Worst slice: unmeasured." in report.run(PARAMS, bare).markdown


def test_all_files_are_written(inputs: ReportInput, tmp_path: Path) -> None:
    files = ReportFiles(*(tmp_path / name for name in ("index.html", "summary.md", "summary.json", "run.json")))
    report.write(report.run(PARAMS, inputs), files)
    assert 'class="line s0"' in files.page.read_text(encoding="utf-8")
    assert files.comment.read_text(encoding="utf-8").startswith("## helmet: ")
    assert read_json(files.run, ReportedRun) == ReportedRun(
        policy="helmet",
        verdict="unmeasured",
        checkpoint_id="c" * 64,
        selfies_dataset_id=measured(inputs).selfies.dataset_id,
    )
    summary = read_metrics(files.summary)
    assert summary["checkpoint"]["accuracy"] == 0.9
    assert summary["curation"] == {"kept": 39, "rejection_rate": 0.025}
    assert summary["training"] == {"val_accuracy": 0.97}
    assert set(summary["lowest_accuracy"]) == {"coreml", "onnx", "tflite"}


def test_files_that_dvc_hashes_do_not_depend_on_the_machine(inputs: ReportInput) -> None:
    """Another machine has other times, or none; page and comment differ, the files that dvc.yaml declares do not."""
    here, elsewhere = report.run(PARAMS, inputs), report.run(PARAMS, replace(inputs, timings=MachineFigures()))
    assert here.html != elsewhere.html
    assert here.markdown != elsewhere.markdown
    assert (here.summary, here.run) == (elsewhere.summary, elsewhere.run)
    declared = {*dvc_stages()["report"]["outs"][0], *dvc_stages()["report"]["metrics"][0]}
    assert declared == {"report/run.json", "metrics/summary.json"}


def test_without_any_output_the_run_is_unknown() -> None:
    made = report.run(PARAMS, ReportInput("helmet", "Does the rider wear a helmet?"))
    assert made.run == ReportedRun(policy="helmet", verdict=None, checkpoint_id=None, selfies_dataset_id=None)
    assert made.summary == Summary()


def test_dvc_yaml_names_no_format_of_the_report() -> None:
    text = " ".join(str(dep) for dep in dvc_stages()["report"]["deps"])
    formats = list(house.room_imports("export/formats"))
    assert formats
    assert not [name for name in formats if name in text]
