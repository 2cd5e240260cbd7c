"""The gate: what passes, what fails, and what it refuses to decide."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate import stage as gate
from benchmarks.gate.baseline import Release, write_baseline
from benchmarks.gate.checks.check_results import ADVISORY, COMPARABLE, EVERYTHING
from pipeline.cli import app
from pipeline.config.params import GateParams
from pipeline.data.records import Verdict
from pipeline.data.storage import read_json
from pipeline.errors import DataError, ReleaseRefusedError
from tests.benchmarks.gate.verdicts import INT8, as_baseline, check, measured, saved

Table = Callable[..., Predictions]


def test_an_identical_candidate_passes(gate_params: GateParams, table: Table) -> None:
    verdict = gate.run(gate_params, measured(table()), table(), as_baseline(table()))
    assert verdict.verdict == "pass"
    assert {each.verdict for each in verdict.checks if each.name not in ADVISORY} == {"pass"}
    assert check(verdict, "accuracy_vs_baseline").value == 0.0
    assert "2000 selfies" in verdict.baseline


def test_rows_in_another_order_are_paired_by_id(gate_params: GateParams, table: Table) -> None:
    ordered = table()
    backwards = Predictions(
        ordered.ids[::-1],
        ordered.sha256[::-1],
        ordered.targets[::-1],
        ordered.labels,
        ordered.thresholds,
        {name: values[::-1] for name, values in ordered.probabilities.items()},
    )
    verdict = gate.run(gate_params, measured(ordered), ordered, as_baseline(backwards))
    assert verdict.verdict == "pass"
    assert check(verdict, "accuracy_vs_baseline").reason.startswith("0 lost, 0 gained")


def test_a_real_drop_of_accuracy_fails(gate_params: GateParams, table: Table) -> None:
    worse = table(wrong={INT8: 100})  # 5 % wrong, where the baseline has 2 %
    verdict = gate.run(gate_params, measured(worse), worse, as_baseline(table()))
    assert verdict.verdict == "fail"
    found = check(verdict, "accuracy_vs_baseline")
    assert (found.verdict, found.value) == ("fail", pytest.approx(-0.03))
    assert "mid-p" in found.reason
    assert check(verdict, "accuracy_vs_baseline", "onnx-float32").verdict == "pass"


def test_a_gain_passes(gate_params: GateParams, table: Table) -> None:
    better = table(wrong={INT8: 10})
    assert check(
        gate.run(gate_params, measured(better), better, as_baseline(table())), "accuracy_vs_baseline"
    ).value == (pytest.approx(0.015))


def test_a_small_drop_among_few_selfies_is_not_decided(gate_params: GateParams, table: Table) -> None:
    few, worse = table(200), table(200, wrong={INT8: 5})
    found = check(gate.run(gate_params, measured(worse), worse, as_baseline(few)), "accuracy_vs_baseline")
    assert found.verdict == "unmeasured"
    assert "needs about 3,188 more selfies" in found.reason


def test_a_drop_on_the_margin_is_never_decided(gate_params: GateParams, table: Table) -> None:
    worse = table(wrong={INT8: 60})
    found = check(gate.run(gate_params, measured(worse), worse, as_baseline(table())), "accuracy_vs_baseline")
    assert found.verdict == "unmeasured"
    assert "no number of selfies would tell" in found.reason


def test_less_agreement_than_the_baseline_fails(gate_params: GateParams, table: Table) -> None:
    # the artifact keeps its accuracy while the checkpoint moves away from it
    moved = table(wrong={CHECKPOINT: 0, INT8: 40})
    found = check(gate.run(gate_params, measured(moved), moved, as_baseline(table())), "agreement_vs_baseline")
    assert (found.verdict, found.value) == ("fail", pytest.approx(-0.02))


def test_a_grown_artifact_fails(gate_params: GateParams, table: Table) -> None:
    verdict = gate.run(gate_params, measured(table(), 1_030_000), table(), as_baseline(table()))
    assert check(verdict, "size_growth").verdict == "fail"
    assert check(verdict, "size_growth").value == pytest.approx(0.03)
    assert check(verdict, "size_bytes").verdict == "pass"


def test_without_a_baseline_floors_alone_decide(gate_params: GateParams, table: Table) -> None:
    verdict = gate.run(gate_params, measured(table()), table(), None)
    assert verdict.verdict == "pass"
    assert "floors only" in verdict.baseline
    assert {each.name for each in verdict.checks} == {
        "required",
        "accuracy",
        "share_of_checkpoint",
        "agreement",
        "size_bytes",
    }


def test_accuracy_below_the_floor_fails(gate_params: GateParams, table: Table) -> None:
    poor = table(wrong={INT8: 400})
    verdict = gate.run(gate_params, measured(poor), poor, None)
    assert verdict.verdict == "fail"
    assert check(verdict, "accuracy").value == 0.8
    assert check(verdict, "agreement").verdict == "fail"


def test_an_interval_that_holds_the_floor_asks_for_more_selfies(gate_params: GateParams, table: Table) -> None:
    few = table(100, wrong={INT8: 6, CHECKPOINT: 6})
    verdict = gate.run(gate_params, measured(few), few, None)
    assert check(verdict, "agreement").verdict == "pass"
    assert check(verdict, "accuracy").verdict == "unmeasured"
    more = int(check(verdict, "accuracy").reason.split("about ")[1].split()[0].replace(",", ""))
    assert 300 < more < 600  # with the power asked for; half the time fewer would do
    enough = table(100 + more, wrong={INT8: round(0.06 * (100 + more))})
    assert check(gate.run(gate_params, measured(enough), enough, None), "accuracy").verdict == "pass"


def test_an_artifact_that_is_too_large_fails(gate_params: GateParams, table: Table) -> None:
    verdict = gate.run(gate_params, measured(table(), gate_params.max_size_bytes + 1), table(), None)
    assert verdict.verdict == "fail"


def test_other_selfies_cannot_be_compared(gate_params: GateParams, table: Table) -> None:
    verdict = gate.run(gate_params, measured(table()), table(), as_baseline(table(prefix="other")))
    assert verdict.verdict == "unmeasured"
    assert "other selfies: 0 of 2000" in check(verdict, COMPARABLE, EVERYTHING).reason


def test_the_same_ids_with_other_bytes_are_other_selfies(gate_params: GateParams, table: Table) -> None:
    redrawn = replace(table(), sha256=("f" * 64, *table().sha256[1:]))
    verdict = gate.run(gate_params, measured(table()), table(), as_baseline(redrawn))
    assert verdict.verdict == "unmeasured"
    assert "1999 of 2000" in check(verdict, COMPARABLE, EVERYTHING).reason


def test_another_task_cannot_be_compared(gate_params: GateParams, table: Table) -> None:
    masks = replace(table(), labels=("no_mask", "mask"))
    verdict = gate.run(gate_params, measured(table()), table(), as_baseline(masks))
    assert verdict.verdict == "unmeasured"
    assert "another task" in check(verdict, COMPARABLE, EVERYTHING).reason


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "0.99", True])
@pytest.mark.parametrize("name", ["accuracy", "accuracy_low", "agreement", "size_bytes"])
def test_a_figure_that_is_no_number_is_unmeasured(
    gate_params: GateParams, table: Table, name: str, value: object
) -> None:
    figures = measured(table())
    figures["artifacts"][INT8][name] = value
    verdict = gate.run(gate_params, figures, table(), None)
    assert verdict.verdict == "unmeasured"
    assert check(verdict, name.removesuffix("_low")).value is None


def test_a_missing_figure_is_unmeasured(gate_params: GateParams, table: Table) -> None:
    figures = measured(table())
    figures["artifacts"][INT8] = None
    assert gate.run(gate_params, figures, table(), None).verdict == "unmeasured"


def test_answers_that_are_no_numbers_cannot_pass_the_comparison(gate_params: GateParams, table: Table) -> None:
    broken = table()
    broken.probabilities[INT8][7] = np.nan
    figures = measured(broken)
    assert figures["artifacts"][INT8]["accuracy"] is None
    verdict = gate.run(gate_params, figures, broken, as_baseline(table()))
    assert verdict.verdict == "unmeasured"
    assert check(verdict, "accuracy_vs_baseline").value is None
    assert check(verdict, "agreement_vs_baseline").value is None


def test_a_required_format_that_is_missing_is_unmeasured(gate_params: GateParams, table: Table) -> None:
    figures = measured(table())
    del figures["artifacts"]["coreml-float16"]
    verdict = gate.run(gate_params, figures, table(), None)
    assert verdict.verdict == "unmeasured"
    assert check(verdict, "required", "coreml").verdict == "unmeasured"


def test_an_artifact_that_only_the_baseline_has_is_not_forgotten(gate_params: GateParams, table: Table) -> None:
    figures = measured(table())
    del figures["artifacts"][INT8]
    verdict = gate.run(gate_params, figures, table(), as_baseline(table()))
    assert verdict.verdict == "unmeasured"
    assert check(verdict, COMPARABLE).verdict == "unmeasured"


def test_a_new_artifact_has_floors_only_and_is_named(gate_params: GateParams, table: Table) -> None:
    baseline = as_baseline(table())
    del baseline.measured["artifacts"][INT8]
    verdict = gate.run(gate_params, measured(table()), table(), baseline)
    assert verdict.verdict == "pass"
    assert f"floors only: {INT8}" in verdict.baseline


def test_nothing_measured_is_never_a_pass(gate_params: GateParams, table: Table) -> None:
    nothing = gate_params.model_copy(update={"required": ()})
    assert gate.run(nothing, {}, table(), None).verdict == "unmeasured"


def test_a_fail_outweighs_what_is_unmeasured(gate_params: GateParams, table: Table) -> None:
    figures = measured(table(), gate_params.max_size_bytes + 1)
    del figures["artifacts"]["coreml-float16"]
    assert gate.run(gate_params, figures, table(), None).verdict == "fail"


def test_measurements_of_other_predictions_are_refused(gate_params: GateParams, table: Table) -> None:
    with pytest.raises(DataError, match=r"artifacts\..*accuracy: 0\.980000, but the predictions give 0\.9"):
        gate.run(gate_params, measured(table()), table(wrong={INT8: 100}), None)


def test_a_release_goes_on_after_a_pass_only(gate_params: GateParams, table: Table) -> None:
    gate.refuse_unless_pass(gate.run(gate_params, measured(table()), table(), None))
    figures = measured(table())
    figures["artifacts"][INT8]["agreement"] = None
    with pytest.raises(ReleaseRefusedError, match=rf"verdict is unmeasured\n  {INT8} agreement: unmeasured: no figure"):
        gate.refuse_unless_pass(gate.run(gate_params, figures, table(), None))


def test_a_verdict_at_odds_with_its_checks_is_no_pass(gate_params: GateParams, table: Table) -> None:
    poor = table(wrong={INT8: 400})
    failed = gate.run(gate_params, measured(poor), poor, None)
    for forged in (failed.model_copy(update={"verdict": "pass"}), Verdict(verdict="pass", baseline="", checks=())):
        with pytest.raises(ReleaseRefusedError, match="refused"):
            gate.refuse_unless_pass(forged)


def test_advice_alone_is_no_pass(gate_params: GateParams, table: Table) -> None:
    verdict = gate.run(gate_params, measured(table()), table(), as_baseline(table()))
    advice = tuple(each for each in verdict.checks if each.name in ADVISORY)
    assert advice
    with pytest.raises(ReleaseRefusedError, match="no check stands behind it"):
        gate.refuse_unless_pass(verdict.model_copy(update={"checks": advice}))


def test_the_command_judges_files_and_writes_the_verdict(
    root: Path, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "benchmarks" / "baseline"
    paths = [str(path) for path in saved(tmp_path, table())]
    result = CliRunner().invoke(app, ["gate", *paths, str(folder), "gate.json"])
    assert result.exit_code == 0, result.output
    assert read_json(Path("gate.json"), Verdict).baseline == "none accepted yet: floors only"
    write_baseline(folder, *saved(tmp_path, table()), Release("v1", "c" * 40))
    result = CliRunner().invoke(app, ["gate", *paths, str(folder), "gate.json"])
    assert result.exit_code == 0, result.output
    assert read_json(Path("gate.json"), Verdict).baseline.startswith("v1: checkpoint abc")
