"""The report: one file that needs no other, shows all there is, and says what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from benchmarks import measure
from benchmarks.evaluation.inference import EvaluationSet, Runtimes
from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate import stage as gate
from benchmarks.report import stage as report
from benchmarks.report.inputs import Gallery, ReportInput, ReportPaths, read_report_input
from benchmarks.report.pr_comment import cell
from pipeline.config.params import GateParams, MeasureParams, ReportParams
from pipeline.data.records import Rejection
from pipeline.data.storage import write_json, write_rows
from pipeline.errors import DataError
from tests.benchmarks.small_task import NAMES

Table = Callable[..., Predictions]
PARAMS = ReportParams(sample_images=6, worst_images=3)
HOSTILE = '<script>alert("x")</script>|`*'


class Page(HTMLParser):
    """Collects what a browser would load, and checks that elements close in order."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "line", "rect", "circle", "polyline"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def found(
    evaluation_set: EvaluationSet,
    runtimes: Runtimes,
    measure_params: MeasureParams,
    gate_params: GateParams,
    tmp_path: Path,
) -> ReportInput:
    """A whole chain's outputs, of forty selfies."""
    result = measure.run(measure_params, evaluation_set, runtimes)
    verdict = gate.run(gate_params, result.metrics, result.predictions, None)
    sheet = tmp_path / "label_error.png"
    PIL.Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(sheet)
    gallery = Gallery(evaluation_set.selfies, evaluation_set.rows)
    return ReportInput(
        policy="helmet",
        question="Does the rider wear a helmet?",
        metrics={
            "measure": result.metrics,
            "prompts": {"count": 4800, "prompt_space": 123456789, "labels": {"helmet": 2400, "no_helmet": 2400}},
            "curate": {
                "kept": 39,
                "rejection_rate": 0.025,
                "rejection_rate_by": {
                    "light": {
                        "day": {"rate": 0, "low": 0, "high": 0.1},
                        "night": {"rate": 0.5, "low": 0.1, "high": 0.9},
                    },
                    "age": {"young": {"rate": 0.625, "low": 0.3, "high": 0.8}},
                },
                "losing_slices": {"light=night": 2},
            },
            "train": {"val_accuracy": 0.97},
            "generate": {"black": 0},
        },
        verdict=verdict,
        curve=[{"epoch": str(i), "train_loss": str(1 / (i + 1)), "val_accuracy": str(i / 10)} for i in range(9)],
        training=gallery,
        selfies=gallery,
        predictions=result.predictions,
        rejections=[Rejection(image_id="a", label="helmet", reason="dark", score=0.01, threshold=0.05)],
        sheets=[sheet],
    )


def test_the_page_loads_nothing_from_anywhere(found: ReportInput) -> None:
    html = report.run(PARAMS, found).html
    page = Page(html)
    assert page.open == []
    assert page.loaded
    assert all(target.startswith(("data:image/jpeg;base64,", "#")) for target in page.loaded)
    assert "http" not in re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", html)
    assert "@import" not in html
    assert "url(" not in html
    assert "script" not in page.tags


def test_every_artifact_check_and_slice_is_on_the_page(found: ReportInput) -> None:
    made = report.run(PARAMS, found)
    text = Page(made.html).text
    assert found.verdict is not None
    for name in NAMES:
        assert name in text
        assert name.replace("_", "\\_") in made.markdown
    for each in found.verdict.checks:
        assert each.reason in text
    assert {"night", "day", "street", "indoors"} <= set(text.split())
    assert "123,456,789" in text
    assert "dark" in text


def test_who_is_put_aside_stands_in_the_report_those_who_lose_too_much_first(found: ReportInput) -> None:
    text = " ".join(Page(report.run(PARAMS, found).html).text.split())
    said = text[text.index("Who is put aside") :]
    assert "over all images it is 2.50 %. Orange" in said
    assert said.index("light=night50.00 %") < said.index("age=young62.50 %")
    assert "light=day" not in said
    assert "rejection_rate_by" not in text
    assert "losing_slices.light=night" in text


def test_ops_that_stay_in_float_stand_beside_the_artifact_s_name(found: ReportInput) -> None:
    searched = {"float32": {"agreement": 1.0}, "static_wi8_ai8": {"agreement": 0.99, "float_ops": 5}}
    text = Page(report.run(PARAMS, replace(found, metrics={**found.metrics, "convert-tflite": searched})).html).text
    assert text.count("5 ops stay in float") == 1
    assert "ops stay in float" not in Page(report.run(PARAMS, found).html).text


def test_core_ml_latency_reads_unmeasured(found: ReportInput) -> None:
    made = report.run(PARAMS, found)
    decisions, times = re.findall(r'<td class="name">coreml-float16</td>.*?</tr>', made.html, re.DOTALL)[:2]
    assert "90.0\u00a0%" in decisions
    assert times.count("unmeasured</span>") == 7
    assert "Core ML needs a Mac" in Page(made.html).text
    line = next(line for line in made.markdown.splitlines() if line.startswith("| coreml-float16"))
    assert line.split(" | ")[6] == "unmeasured"


def test_loadgens_word_and_the_settings_stand_beside_a_latency(found: ReportInput) -> None:
    measured = found.metrics["measure"]
    rows = measured["artifacts"]
    spoilt = {**rows["onnx-float32"], "latency_valid": False, "latency_many_valid": False}
    other = {**measured, "artifacts": {**rows, "onnx-float32": spoilt}}
    html = report.run(PARAMS, replace(found, metrics={**found.metrics, "measure": other})).html
    times = html[html.index("Time and memory on this machine") :]
    cells = {
        name: " ".join(
            re.sub(r"<[^>]+>", " ", re.findall(rf'<td class="name">{name}.*?</tr>', times, re.DOTALL)[0]).split()
        )
        for name in NAMES
    }
    assert "1.50\u00a0ms 1.90\u00a0ms quick: VALID 0.60\u00a0ms" in cells["tflite-float32"].replace(" ms", "\u00a0ms")
    assert "p50, 2 threads" in times
    assert "INVALID" not in cells["tflite-float32"] + cells["coreml-float16"]
    assert "VALID" not in cells["coreml-float16"]
    assert "quick: INVALID 0.60\u00a0ms, INVALID" in cells["onnx-float32"].replace(" ms", "\u00a0ms")


def test_preprocessing_and_the_network_s_size_are_told(found: ReportInput) -> None:
    measured = found.metrics["measure"]
    sized = {**measured, "checkpoint": {**measured["checkpoint"], "parameters": 1_520_000, "macs": 15_400_000}}
    text = Page(report.run(PARAMS, replace(found, metrics={**found.metrics, "measure": sized})).html).text
    assert "scaling a JPEG of 960 \u00d7 1280 takes 7.00\u00a0ms (p90 9.00\u00a0ms) here" in text
    assert "1.52 M parameters, 15.4 M MACs" in text
    assert "M MACs" not in Page(report.run(PARAMS, found).html).text


def test_the_worst_mistakes_are_the_surest_ones(found: ReportInput) -> None:
    html = report.run(PARAMS, found).html
    section = html[html.index('id="mistakes"') : html.index('id="training"')]
    assert section.count("<img") == 3
    assert "taken for" in section
    assert found.predictions is not None
    wrong = found.predictions.probabilities["checkpoint"][36:, 1]
    assert f"p(helmet) {max(wrong, key=lambda p: abs(p - 0.5)):.2f}" in section
    assert re.search(r"artifacts 0\.\d\d \(|artifacts 1\.00 \(", section)


def test_samples_are_as_many_as_asked_for(found: ReportInput) -> None:
    html = report.run(PARAMS, found).html
    section = html[html.index('id="training"') : html.index('id="curation"')]
    assert section.count("<img") == 6
    assert 'id="curation"' in html
    none = report.run(ReportParams(sample_images=0, worst_images=0), found).html
    assert none.count("<img") == 1  # the contact sheet


def test_hostile_text_is_shown_and_not_run(found: ReportInput) -> None:
    rows = [row.model_copy(update={"factors": {"light": HOSTILE}}) for row in found.selfies.rows]
    gallery = Gallery(found.selfies.folder, rows)
    measured = {**found.metrics["measure"], "slices": {HOSTILE: found.metrics["measure"]["slices"]["light"]}}
    hostile = replace(
        found,
        policy=HOSTILE,
        question=HOSTILE,
        training=gallery,
        selfies=gallery,
        metrics={**found.metrics, "measure": measured, "prompts": {HOSTILE: HOSTILE}},
        rejections=[Rejection(image_id="a", label="b", reason=HOSTILE, score=0, threshold=1)],
        curve=[{"epoch": "0", f"loss_{HOSTILE}": "1"}],
    )
    made = report.run(PARAMS, hostile)
    page = Page(made.html)
    assert page.open == []
    assert "script" not in page.tags
    assert page.text.count('<script>alert("x")</script>') >= 6
    assert "<script" not in made.markdown
    assert "\\|\\`\\*" in made.markdown


def test_a_report_of_nothing_claims_nothing() -> None:
    made = report.run(PARAMS, ReportInput("helmet", "Does the rider wear a helmet?"))
    page = Page(made.html)
    assert page.open == []
    assert page.text.count("unmeasured") >= 8
    assert made.markdown.startswith("## helmet: unmeasured")
    assert "metrics/measure.json: the stage has not run" in made.markdown.replace("\\", "")


@pytest.mark.parametrize("gone", ["prompts", "curate", "train", "measure", "generate"])
def test_a_missing_metrics_file_is_said(found: ReportInput, gone: str) -> None:
    fewer = {name: figures for name, figures in found.metrics.items() if name != gone}
    text = Page(report.run(PARAMS, replace(found, metrics=fewer)).html).text
    assert f"metrics/{gone}.json" in text


def test_answers_that_are_no_numbers_leave_no_mistakes_to_show(found: ReportInput, table: Table) -> None:
    broken = table(40)
    for values in broken.probabilities.values():
        values[3] = np.nan
    html = report.run(PARAMS, replace(found, predictions=broken)).html
    assert "taken for" not in html
    assert 'aria-label="checkpoint' not in html


def test_photographs_that_could_not_be_read_are_told_of(found: ReportInput) -> None:
    torn = Rejection(image_id="torn.jpg", label="helmet", reason="unreadable", score=0, threshold=1, detail="truncated")
    text = Page(report.run(PARAMS, replace(found, unread=[torn])).html).text
    assert "1 photographs could not be read; the first, torn.jpg: truncated" in text


def test_the_worst_slice_is_in_the_comment(found: ReportInput) -> None:
    markdown = report.run(PARAMS, found).markdown
    assert "Worst slice: light = day, 86.7\u00a0% (70.3\u00a0% to 94.7\u00a0%) of 30 selfies." in markdown
    bare = replace(found, metrics={**found.metrics, "measure": {**found.metrics["measure"], "slices": {}}})
    assert "Worst slice: unmeasured." in report.run(PARAMS, bare).markdown


def test_a_chain_is_read_from_its_folders(found: ReportInput, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics"
    for name, figures in found.metrics.items():
        write_json(metrics / f"{name}.json", dict(figures))
    assert found.verdict is not None
    assert found.predictions is not None
    write_json(metrics / "gate.json", found.verdict)
    write_rows(tmp_path / "kept.jsonl", found.training.rows)
    write_rows(tmp_path / "rejected.jsonl", found.rejections)
    (tmp_path / "train.csv").write_text("epoch,train_loss,val_accuracy\n0,1.0,\n1,0.5,0.25\n")
    measure.write_predictions(tmp_path / "predictions.parquet", found.predictions)
    paths = ReportPaths(
        metrics=metrics,
        curve=tmp_path / "train.csv",
        kept=tmp_path / "kept.jsonl",
        images=found.training.folder,
        rejected=tmp_path / "rejected.jsonl",
        selfies=found.selfies.folder,
        predictions=tmp_path / "predictions.parquet",
        sheets=found.sheets[0].parent,
    )
    read = read_report_input(paths, "helmet", "Does the rider wear a helmet?")
    assert read.verdict == found.verdict
    assert read.metrics == found.metrics
    assert read.curve == [
        {"epoch": "0", "train_loss": "1.0"},
        {"epoch": "1", "train_loss": "0.5", "val_accuracy": "0.25"},
    ]
    assert list(read.sheets) == list(found.sheets)
    report.write(report.run(PARAMS, read), tmp_path / "report" / "index.html", tmp_path / "report" / "summary.md")
    assert "0.25" not in (tmp_path / "report" / "summary.md").read_text()
    assert 'class="line s0"' in (tmp_path / "report" / "index.html").read_text()


def test_an_empty_folder_is_an_empty_report_and_a_damaged_file_an_error(tmp_path: Path) -> None:
    paths = ReportPaths(*(tmp_path / name for name in ReportPaths.__dataclass_fields__))
    assert read_report_input(paths, "helmet", "?") == ReportInput(
        "helmet", "?", training=Gallery(paths.images), selfies=Gallery(paths.selfies), sheets=[]
    )
    paths.metrics.mkdir()
    (paths.metrics / "measure.json").write_text("[1, 2")
    with pytest.raises(DataError, match=r"measure\.json: not JSON"):
        read_report_input(paths, "helmet", "?")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (report.percent(0.98765), "98.8\u00a0%"),
        (report.percent(None), "unmeasured"),
        (report.percent(float("nan")), "unmeasured"),
        (report.percent(True), "unmeasured"),
        (report.percent(0), "0.0\u00a0%"),
        (report.number(1234567), "1,234,567"),
        (report.number(0.0123412), "0.01234"),
        (report.milliseconds(0.5), "0.50\u00a0ms"),
        (report.milliseconds(1234.5), "1234\u00a0ms"),
        (report.megabytes(6_083_654), "6.08\u00a0MB"),
        (report.figure(16_000_000, "size_bytes"), "16.00\u00a0MB"),
        (report.figure(-0.012, "accuracy_vs_baseline"), "-1.20\u00a0%"),
        (report.figure(2, "required"), "2"),
        (report.figure(1.04, "fnr_vs_baseline"), "1.04"),
        (cell("a|b\n<i>"), "a\\|b &lt;i&gt;"),
    ],
)
def test_values_are_shown_with_their_units(shown: str, expected: str) -> None:
    assert shown == expected
