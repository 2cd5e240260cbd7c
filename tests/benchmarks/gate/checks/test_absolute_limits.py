"""Absolute limits: the share of the checkpoint's accuracy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from pipeline.config.params import GateParams
from tests.benchmarks.evaluation.measurements import measurement_of
from tests.benchmarks.gate.verdicts import INT8, check, judge, missing

Table = Callable[..., Predictions]


def test_an_artifact_far_below_its_checkpoint_fails_though_it_is_above_the_floor(
    gate_params: GateParams, table: Table
) -> None:
    worse = table(wrong={CHECKPOINT: 20, INT8: 80})
    verdict = judge(gate_params, measurement_of(worse), worse, None)
    result = check(verdict, "share_of_checkpoint")
    assert (result.verdict, result.value) == ("fail", pytest.approx(1920 / 1980))
    assert check(verdict, "accuracy").verdict == "pass"
    assert check(verdict, "share_of_checkpoint", "onnx-float32").verdict == "pass"


def test_a_share_above_the_limit_by_chance_alone_is_not_decided(gate_params: GateParams, table: Table) -> None:
    few = table(300, wrong={CHECKPOINT: 6, INT8: 11})
    result = check(judge(gate_params, measurement_of(few), few, None), "share_of_checkpoint")
    assert result.value == pytest.approx(289 / 294)
    assert result.value > gate_params.min_share_of_checkpoint
    assert result.verdict == "unmeasured"
    assert "more selfies" in result.reason


def test_an_artifact_better_than_its_checkpoint_passes(gate_params: GateParams, table: Table) -> None:
    better = table(wrong={CHECKPOINT: 60, INT8: 20})
    result = check(judge(gate_params, measurement_of(better), better, None), "share_of_checkpoint")
    assert result.verdict == "pass"
    assert result.value is not None
    assert result.value > 1


def test_a_checkpoint_that_is_never_correct_leaves_its_share_unmeasured(gate_params: GateParams, table: Table) -> None:
    hopeless = missing(table(), range(2000), CHECKPOINT)
    result = check(judge(gate_params, measurement_of(hopeless), hopeless, None), "share_of_checkpoint")
    assert (result.verdict, result.value) == ("unmeasured", None)
