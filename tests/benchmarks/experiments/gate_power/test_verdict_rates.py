"""Rates of verdicts, and paired subsets of a pool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import Predictions
from benchmarks.experiments.gate_power.simulated_pairs import Effect, draw_selfies
from benchmarks.experiments.gate_power.verdict_rates import (
    draw_subsets,
    judge_case,
    judge_simulated,
    make_case,
    rate_verdicts,
)
from benchmarks.gate.checks.resource_growth import closed_bench
from pipeline.config.params import GateParams
from pipeline.config.policy import load_policy
from pipeline.data.records import Check, Outcome, Verdict
from tests.benchmarks.gate.verdicts import INT8, factored, missing

Table = Callable[..., Predictions]


def verdict(outcome: Outcome, *failed: str) -> Verdict:
    checks = [Check(name=name, artifact="a", value=0, limit=0, verdict=outcome, reason="") for name in failed]
    return Verdict(verdict=outcome, baseline="b", checks=tuple(checks))


def test_rates_have_an_interval_and_the_checks_behind_them() -> None:
    verdicts = [
        verdict("fail", "size", "time"),
        verdict("fail", "size"),
        verdict("pass", "size"),
        verdict("unmeasured"),
    ]
    rates = rate_verdicts(verdicts)
    assert (rates.pairs, rates.pass_share, rates.unmeasured_share) == (4, 0.25, 0.25)
    assert 0 < rates.fail_share.low < rates.fail_share.value == 0.5 < rates.fail_share.high < 1
    assert rates.failed_by == {"size": 0.5, "time": 0.25}
    assert rates.unmeasured_by == {}


def test_subsets_have_the_same_selfies_in_both_tables(table: Table) -> None:
    pool = factored(table(100), light=str)
    subsets = list(draw_subsets(pool, missing(pool, range(100)), 30, 3, seed=1))
    assert len(subsets) == 3
    for new, old in subsets:
        assert new.ids == old.ids
        assert len(set(new.ids)) == 30
        assert new.factors == old.factors == tuple({"light": name.partition("-")[2]} for name in new.ids)
        assert (new.decisions(INT8) != old.decisions(INT8)).any()
    assert len({new.ids for new, _ in subsets}) == 3


def test_a_real_pair_is_judged_by_the_sizes_of_its_files(gate_params: GateParams, table: Table) -> None:
    new, old = (
        ModelFile(format="tflite", recipe="static_wi8_ai8", sha256=sha256, size_bytes=size)
        for sha256, size in (("a", 1000), ("b", 900))
    )
    verdict = judge_case(gate_params, make_case((table(), table()), (new, old), closed_bench("not timed")))
    assert {check.name for check in verdict.checks if check.verdict == "fail"} == {"size_growth"}


@pytest.mark.slow
def test_simulated_pairs_do_not_depend_on_the_number_of_processes(gate_params: GateParams, root: Path) -> None:
    selfies = draw_selfies(load_policy(root / "policies" / "helmet.yaml"), 300, seed=3)
    effects = {"none": (Effect(), 3), "size": (Effect(size=0.1), 27)}
    runs = [judge_simulated(gate_params, selfies, effects, 0.97, workers) for workers in (1, 2)]
    assert runs[0] == runs[1]
    assert [len(each) for each in runs[0].values()] == [3, 27]
    assert {each.verdict for each in runs[0]["size"]} == {"fail"}
    assert len({each.model_dump_json() for each in runs[0]["size"]}) > 2, "pairs must differ"
    assert np.mean([each.verdict == "fail" for each in runs[0]["none"]]) == 0
