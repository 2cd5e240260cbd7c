"""The founding claim on the page: what was measured with its interval, what was not with the command that does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import stage as report
from benchmarks.report.experiments.generated_vs_rendered import TRAITS, gaps, thesis
from benchmarks.report.inputs import ReportInput, ReportPaths, read_report_input
from pipeline.config.params import ReportParams
from pipeline.data.storage import write_json
from tests.benchmarks.report.test_stage import HOSTILE, Page

PARAMS = ReportParams(sample_images=0, worst_images=0)
NOTHING = ReportInput("helmet", "Does the rider wear a helmet?")
MACHINE = {"cpu": "A Fine CPU", "cores": 2, "memory_gib": 8.0}


def arm(accuracy: float) -> dict[str, Any]:
    return {
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.01,
        "accuracy_high": accuracy + 0.01,
        "seeds": [11, 12],
        "kept_images": 5800,
        "generate_seconds": 600.0,
        "train_seconds": [90.0, 110.0],
    }


@pytest.fixture
def compared() -> dict[str, Any]:
    return {
        "synthetic": arm(0.941),
        "rendered": arm(0.978),
        "mix": arm(0.97),
        "gap_points": 3.7,
        "gap_points_low": 2.5,
        "gap_points_high": 4.9,
        "images": 6000,
        "selfies": 2000,
        "machine": MACHINE,
    }


@pytest.fixture
def embedded() -> dict[str, Any]:
    agreement = {trait: 0.9 - at / 100 for at, trait in enumerate(TRAITS)}
    return {
        "agreement": agreement,
        "agreement_low": {trait: share - 0.01 for trait, share in agreement.items()},
        "agreement_high": {trait: share + 0.01 for trait, share in agreement.items()},
        "judge_on_rendered": dict.fromkeys(TRAITS, 0.995),
        "kid": 0.0123,
        "images_per_second": 5.6,
        "speedup_over_plain_loop": 3.2,
        "size_bytes": 9_000_000,
        "table": [{"steps": 4, "guidance": 2.5, **dict.fromkeys(TRAITS, 0.7)}],
        "machine": MACHINE,
    }


def plain(html: str) -> str:
    """The section's text, in one line."""
    section = html[html.index('<section id="thesis">') : html.index('<section id="checks">')]
    for start in ("<td", "<th", '<span class="small"'):
        section = section.replace(start, f" {start}")
    return " ".join(Page(section).text.split())


def test_the_headline_gives_both_accuracies_the_gap_and_their_intervals(compared: dict[str, Any]) -> None:
    made = report.run(PARAMS, replace(NOTHING, results={"compare": compared}))
    text = plain(made.html)
    assert "Trained on generated images: 94.1 % (93.1 % to 95.1 %); trained on as many rendered: 97.8 %" in text
    assert "gap 3.7 points (2.5 to 4.9)." in text
    assert "6,000 images an arm before curation, of the same prompts; 2 seeds (11, 12)" in text
    assert "2,000 rendered selfies" in text
    assert "half of each 97.0 % 96.0 % to 98.0 % 5,800 10 min 100 s" in text
    assert "gossamer benchmark compare on A Fine CPU, 2 cores" in text
    line = next(line for line in made.markdown.splitlines() if line.startswith("Trained on"))
    assert " ".join(line.split()) == (
        "Trained on generated images: 94.1 % (93.1 % to 95.1 %); trained on as many rendered: 97.8 %; gap 3.7 points; "
        "6,000 images, 2 seeds."
    )


def test_the_agreement_table_has_a_row_a_setting(embedded: dict[str, Any]) -> None:
    text = plain(report.run(PARAMS, replace(NOTHING, results={"embedded": embedded})).html)
    assert "Drawn helmet light glasses mask skin tone ±1 headwear" in text
    assert "as shipped 90.0 % 89.0 % to 91.0 % 89.0 %" in text
    assert "4 steps, guidance 2.5 70.0 % 70.0 %" in text
    assert text.endswith("by the renderer" + 6 * " 99.5 %")
    assert "Size 9.00 MB, 5.6 images/s, 3.2 times the plain loop, KID 0.0123." in text
    assert "Trained on generated images: unmeasured: gossamer benchmark compare" in text


def test_what_is_not_there_names_the_command_that_makes_it() -> None:
    made = report.run(PARAMS, NOTHING)
    text = plain(made.html)
    assert "Trained on generated images: unmeasured: gossamer benchmark compare" in text
    assert "unmeasured: gossamer benchmark embedded" in text
    assert "Trained on generated images: unmeasured: `gossamer benchmark compare`." in made.markdown
    assert gaps(NOTHING) == {
        "benchmarks/results/compare.json": "run gossamer benchmark compare",
        "benchmarks/results/embedded.json": "run gossamer benchmark embedded",
    }
    assert "benchmarks/results/embedded.json: run gossamer benchmark embedded" in made.markdown


def test_an_arm_that_was_left_out_reads_unmeasured(compared: dict[str, Any]) -> None:
    alone = {name: compared[name] for name in ("rendered", "images", "selfies")}
    made = report.run(PARAMS, replace(NOTHING, results={"compare": alone}))
    text = plain(made.html)
    assert (
        "Trained on generated images: unmeasured: gossamer benchmark compare; trained on as many rendered: 97.8 %"
        in text
    )
    assert "gap unmeasured." in text
    assert "Trained on generated images: unmeasured; trained on as many rendered: 97.8" in made.markdown


def test_bare_results_read_unmeasured_and_nothing_breaks(embedded: dict[str, Any]) -> None:
    bare = {"compare": {"synthetic": {"accuracy": 0.9}}, "embedded": {"agreement": {"helmet": 0.9}, "table": []}}
    found = replace(NOTHING, results=bare)
    shown = thesis(found)
    assert shown.accuracy("rendered") is None
    assert shown.agreements[0].shares[0] == (0.9, None, None)
    assert shown.agreements[0].shares[1] == (None, None, None)
    page = Page(report.run(PARAMS, found).html)
    assert page.open == []
    without_bounds = {name: value for name, value in embedded.items() if not name.startswith("agreement_")}
    assert thesis(replace(NOTHING, results={"embedded": without_bounds})).agreements[0].shares[0] == (0.9, None, None)


def test_hostile_results_are_shown_and_not_run(compared: dict[str, Any], embedded: dict[str, Any]) -> None:
    machine = {"cpu": HOSTILE, "cores": HOSTILE}
    rows = [{"steps": HOSTILE, "guidance": HOSTILE}]
    results = {"compare": {**compared, "machine": machine}, "embedded": {**embedded, "table": rows}}
    page = Page(report.run(PARAMS, replace(NOTHING, results=results)).html)
    assert page.open == []
    assert "script" not in page.tags


def test_results_are_read_from_their_folder(compared: dict[str, Any], tmp_path: Path) -> None:
    paths = ReportPaths(*(tmp_path / name for name in ReportPaths.__dataclass_fields__))
    write_json(paths.results / "compare.json", compared)
    (paths.results / "README.md").write_text("what is here", encoding="utf-8")
    found = read_report_input(paths, "helmet", "?")
    assert found.results == {"compare": compared}
    assert gaps(found).keys() == {"benchmarks/results/embedded.json"}
