"""Simulated pairs: what was asked for is what is drawn, and the gate tells the damaged from the sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.evaluation.predictions import CHECKPOINT
from benchmarks.experiments.gate_power.simulated_pairs import (
    ARTIFACT,
    DAMAGES,
    QUIET,
    Effect,
    World,
    draw_world,
    simulate,
)
from benchmarks.experiments.gate_power.verdict_rates import judge_case
from pipeline.config.params import GateParams
from pipeline.config.policy import load_policy


@pytest.fixture(scope="module")
def world(root: Path) -> World:
    return draw_world(load_policy(root / "policies" / "helmet.yaml"), 2000, seed=3)


@pytest.fixture
def limits(gate_params: GateParams) -> GateParams:
    return gate_params.model_copy(update={"required": ("tflite",)})


def right(world: World, effect: Effect, draws: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Which checkpoints' answers are right: bool (draws, n) of the baseline and of the candidate."""
    random = np.random.default_rng(8)
    cases = [simulate(world, effect, 0.9, random) for _ in range(draws)]
    return tuple(  # type: ignore[return-value]
        np.array([table.decisions(CHECKPOINT) == table.targets for table in tables])
        for tables in ([case.baseline.predictions for case in cases], [case.predictions for case in cases])
    )


def test_an_identical_candidate_decides_alike_on_every_selfie(world: World) -> None:
    case = simulate(world, Effect(), 0.9, np.random.default_rng(1))
    for column in (CHECKPOINT, ARTIFACT):
        assert (case.predictions.decisions(column) == case.baseline.predictions.decisions(column)).all()


def test_a_fall_and_discordance_are_as_large_as_asked_for(world: World) -> None:
    old, new = right(world, Effect(fall=0.03, discordance=0.04))
    assert old.mean() == pytest.approx(0.9, abs=0.003)
    assert (old.mean() - new.mean()) == pytest.approx(0.03, abs=0.002)
    assert (old != new).mean() == pytest.approx(0.07, abs=0.003)


def test_a_slice_falls_and_the_others_do_not(world: World) -> None:
    old, new = right(world, Effect(within=(("light", "night"),), slice_fall=0.10))
    night = np.array([row["light"] == "night" for row in world.factors])
    assert (old - new.astype(float))[:, night].mean() == pytest.approx(0.10, abs=0.01)
    assert (old == new)[:, ~night].all()


def test_misses_grow_by_the_factor_and_false_alarms_stay(world: World) -> None:
    old, new = right(world, Effect(misses=1.5))
    positive = world.targets == 1
    assert (~new)[:, positive].mean() / (~old)[:, positive].mean() == pytest.approx(1.5, abs=0.05)
    assert (old == new)[:, ~positive].all()


def test_an_artifact_alone_falls_behind_its_checkpoint(world: World) -> None:
    case = simulate(world, Effect(artifact_fall=0.05), 0.9, np.random.default_rng(1))
    table = case.predictions
    assert (table.decisions(CHECKPOINT) == case.baseline.predictions.decisions(CHECKPOINT)).all()
    assert float(np.mean(table.decisions(ARTIFACT) == table.decisions(CHECKPOINT))) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("name", list(DAMAGES))
def test_the_gate_catches_each_damage(limits: GateParams, world: World, name: str) -> None:
    random = np.random.default_rng(5)
    verdicts = [judge_case(limits, simulate(world, DAMAGES[name], 0.94, random)).verdict for _ in range(3)]
    assert verdicts == ["fail"] * 3


@pytest.mark.parametrize("name", list(QUIET))
def test_the_gate_raises_no_alarm_where_nothing_is_worse(limits: GateParams, world: World, name: str) -> None:
    random = np.random.default_rng(6)
    verdicts = {judge_case(limits, simulate(world, QUIET[name], 0.94, random)).verdict for _ in range(6)}
    assert verdicts == {"pass"} if name == "identical" else "fail" not in verdicts
