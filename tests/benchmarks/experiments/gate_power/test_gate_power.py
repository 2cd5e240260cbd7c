"""The benchmark of the gate: every step once and in order; a whole small run is the benchmark's own proof."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import CHECKPOINT, write_predictions
from benchmarks.experiments.gate_power import REAL_ARTIFACT, SLOWER, Course, Params, Runs, _simulate, figures, plan
from benchmarks.experiments.gate_power.damaged_models import FIGURES, PAIRS, PREDICTIONS, QUANTISED, SOUND
from benchmarks.experiments.gate_power.simulated_pairs import DAMAGES, QUIET
from benchmarks.latency.side_by_side import PairedTiming
from pipeline.data.storage import write_json
from tests.benchmarks.conftest import Table
from tests.benchmarks.gate.verdicts import missing

SMALL = Params(selfies=(400,), quiet_pairs=1, damaged_pairs=1, draws=2, slowdown_runs=0, workers=1)


@pytest.fixture
def course(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    monkeypatch.chdir(root)
    return Course(tmp_path, yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8")), SMALL)


def test_every_step_comes_once_and_after_those_it_needs(course: Course) -> None:
    seen: set[str] = set()
    for step in plan(course, lambda *_: None):
        assert set(step.before) <= seen, step.name
        assert step.name not in seen
        seen.add(step.name)
    assert {f"{name}/answer" for name in (*PAIRS, SOUND, QUANTISED)} <= seen
    assert not [name for name in seen if name.startswith("slowdowns/")]


def test_slowdowns_are_timed_where_they_are_asked_for(course: Course) -> None:
    asked = Course(course.work, course.values, SMALL.model_copy(update={"slowdown_runs": 5, "slowdown_pool": 2}))
    assert "slowdowns/5-2-360" in {step.name for step in plan(asked, lambda *_: None)}


def test_every_figure_of_the_contract_is_there(course: Course, table: Table) -> None:
    """Answers are made to order here: sound ones, and one model that is wrong on a tenth of the selfies."""
    _simulate(course, 400, course.open("simulated-400"))
    sound = table(800, wrong={"onnx-float32": 16, CHECKPOINT: 16})
    for name in (*PAIRS, SOUND, QUANTISED):
        answered = missing(sound, range(100, 180), REAL_ARTIFACT) if name == "jittered" else sound
        columns = {column: answered.probabilities[column] for column in (CHECKPOINT, REAL_ARTIFACT)}
        folder = course.open(name)
        write_predictions(folder / PREDICTIONS, type(sound)(*_without(answered, columns)))
        write_json(folder / FIGURES, ModelFile(format="onnx", recipe="float32", sha256=name, size_bytes=1000))
    slow = PairedTiming(ratios=(1.2,), candidate_p50_ms=1.2, baseline_p50_ms=1.0)
    write_json(
        course.work / SLOWER / "timings.json",
        Runs(timings=(slow, slow), candidate_peak_rss_bytes=10**8, baseline_peak_rss_bytes=10**8),
    )
    found = figures(course)
    assert found["identical_pass_rate"] in (0.0, 1.0)
    assert set(found["false_alarm_rate"]) == set(QUIET)
    assert set(found["damage_caught"]) >= {*DAMAGES, *PAIRS} - {"reexported", "jittered_slightly"}
    assert found["damage_caught"]["jittered"] == found["damage_caught"][SLOWER] == 1.0
    assert found["real"]["jittered"]["points_lost"] == pytest.approx(10.0)
    assert found["real"][SLOWER]["slower"] == pytest.approx(0.2)
    assert list(found["real"][SLOWER]["failed_by"]) == ["latency_vs_baseline"]
    assert found["damage_caught"]["labels_flipped"] == 0.0, "these answers were the sound ones"
    assert found["slowdown_caught"] == dict.fromkeys(("0.00", "0.02", "0.05", "0.10"))


def _without(table: object, columns: dict[str, object]) -> tuple[object, ...]:
    thresholds = dict.fromkeys(columns, 0.5)
    return (table.ids, table.sha256, table.targets, table.labels, thresholds, columns)  # type: ignore[attr-defined]
