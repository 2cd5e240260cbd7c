"""Many verdicts, counted; parts of a pool, paired."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import Predictions
from benchmarks.experiments.gate_power.simulated_pairs import Effect, draw_world
from benchmarks.experiments.gate_power.verdict_rates import as_case, count, draw_parts, judge_case, judge_simulated
from benchmarks.gate.checks.resource_growth import closed_bench
from pipeline.config.params import GateParams
from pipeline.config.policy import load_policy
from pipeline.data.records import Check, Outcome, Verdict
from tests.benchmarks.gate.verdicts import INT8, factored, missing

Table = Callable[..., Predictions]


def verdict(outcome: Outcome, *failed: str) -> Verdict:
    checks = [Check(name=name, artifact="a", value=0, limit=0, verdict=outcome, reason="") for name in failed]
    return Verdict(verdict=outcome, baseline="b", checks=tuple(checks))


def test_verdicts_are_counted_with_an_interval_and_the_checks_behind_them() -> None:
    verdicts = [
        verdict("fail", "size", "time"),
        verdict("fail", "size"),
        verdict("pass", "size"),
        verdict("unmeasured"),
    ]
    found = count(verdicts)
    assert (found["pairs"], found["fail_share"], found["pass_share"], found["unmeasured_share"]) == (4, 0.5, 0.25, 0.25)
    assert 0 < found["fail_share_low"] < 0.5 < found["fail_share_high"] < 1
    assert found["failed_by"] == {"size": 0.5, "time": 0.25}
    assert found["unmeasured_by"] == {}


def test_parts_of_a_pool_are_the_same_selfies_in_both_tables(table: Table) -> None:
    pool = factored(table(100), light=str)
    parts = list(draw_parts(pool, missing(pool, range(100)), 30, 3, seed=1))
    assert len(parts) == 3
    for new, old in parts:
        assert new.ids == old.ids
        assert len(set(new.ids)) == 30
        assert new.factors == old.factors == tuple({"light": name.partition("-")[2]} for name in new.ids)
        assert (new.decisions(INT8) != old.decisions(INT8)).any()
    assert len({new.ids for new, _ in parts}) == 3


def test_a_real_pair_is_judged_with_its_own_sizes(gate_params: GateParams, table: Table) -> None:
    new, old = (
        ModelFile(format="tflite", recipe="static_wi8_ai8", sha256=sha256, size_bytes=size)
        for sha256, size in (("a", 1000), ("b", 900))
    )
    found = judge_case(gate_params, as_case((table(), table()), (new, old), closed_bench("not timed")))
    assert {each.name for each in found.checks if each.verdict == "fail"} == {"size_growth"}


@pytest.mark.slow
def test_simulated_pairs_are_the_same_whatever_the_number_of_processes(gate_params: GateParams, root: Path) -> None:
    world = draw_world(load_policy(root / "policies" / "helmet.yaml"), 300, seed=3)
    effects = {"none": (Effect(), 3), "size": (Effect(size=0.1), 27)}
    runs = [judge_simulated(gate_params, world, effects, 0.97, workers) for workers in (1, 2)]
    assert runs[0] == runs[1]
    assert [len(each) for each in runs[0].values()] == [3, 27]
    assert {each.verdict for each in runs[0]["size"]} == {"fail"}
    assert len({each.model_dump_json() for each in runs[0]["size"]}) > 2, "pairs differ"
    assert np.mean([each.verdict == "fail" for each in runs[0]["none"]]) == 0
