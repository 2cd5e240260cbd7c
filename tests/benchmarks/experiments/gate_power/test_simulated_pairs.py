"""Simulated pairs have the requested effects, and the gate distinguishes damaged from sound candidates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.evaluation.predictions import CHECKPOINT
from benchmarks.experiments.gate_power.simulated_pairs import (
    ARTIFACT,
    DAMAGES,
    NO_REGRESSION,
    Effect,
    SimulatedSelfies,
    draw_selfies,
    simulate,
)
from benchmarks.experiments.gate_power.verdict_rates import judge_case
from pipeline.config.params import GateParams
from pipeline.config.policy import load_policy


@pytest.fixture(scope="module")
def selfies(root: Path) -> SimulatedSelfies:
    return draw_selfies(load_policy(root / "policies" / "helmet.yaml"), 2000, seed=3)


@pytest.fixture
def limits(gate_params: GateParams) -> GateParams:
    return gate_params.model_copy(update={"required": ("tflite",)})


def decide(selfies: SimulatedSelfies, effect: Effect, draws: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Which decisions of the checkpoints are correct: bool (draws, n) of the baseline and of the candidate."""
    random = np.random.default_rng(8)
    cases = [simulate(selfies, effect, 0.9, random) for _ in range(draws)]
    return tuple(  # type: ignore[return-value]
        np.array([table.decisions(CHECKPOINT) == table.targets for table in tables])
        for tables in ([case.baseline.predictions for case in cases], [case.predictions for case in cases])
    )


def test_an_identical_candidate_makes_the_same_decisions(selfies: SimulatedSelfies) -> None:
    case = simulate(selfies, Effect(), 0.9, np.random.default_rng(1))
    for column in (CHECKPOINT, ARTIFACT):
        assert (case.predictions.decisions(column) == case.baseline.predictions.decisions(column)).all()


def test_fall_and_discordance_have_the_requested_size(selfies: SimulatedSelfies) -> None:
    old, new = decide(selfies, Effect(fall=0.03, discordance=0.04))
    assert old.mean() == pytest.approx(0.9, abs=0.003)
    assert (old.mean() - new.mean()) == pytest.approx(0.03, abs=0.002)
    assert (old != new).mean() == pytest.approx(0.07, abs=0.003)


def test_a_fall_in_a_slice_leaves_other_selfies_unchanged(selfies: SimulatedSelfies) -> None:
    old, new = decide(selfies, Effect(within=(("light", "night"),), slice_fall=0.10))
    night = np.array([row["light"] == "night" for row in selfies.factors])
    assert (old - new.astype(float))[:, night].mean() == pytest.approx(0.10, abs=0.01)
    assert (old == new)[:, ~night].all()


def test_false_negatives_grow_by_the_factor_and_false_positives_do_not_change(selfies: SimulatedSelfies) -> None:
    old, new = decide(selfies, Effect(false_negatives=1.5))
    positive = selfies.targets == 1
    assert (~new)[:, positive].mean() / (~old)[:, positive].mean() == pytest.approx(1.5, abs=0.05)
    assert (old == new)[:, ~positive].all()


def test_a_fall_of_the_artifact_leaves_its_checkpoint_unchanged(selfies: SimulatedSelfies) -> None:
    case = simulate(selfies, Effect(artifact_fall=0.05), 0.9, np.random.default_rng(1))
    table = case.predictions
    assert (table.decisions(CHECKPOINT) == case.baseline.predictions.decisions(CHECKPOINT)).all()
    assert float(np.mean(table.decisions(ARTIFACT) == table.decisions(CHECKPOINT))) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("name", list(DAMAGES))
def test_the_gate_catches_each_damage(limits: GateParams, selfies: SimulatedSelfies, name: str) -> None:
    random = np.random.default_rng(5)
    verdicts = [judge_case(limits, simulate(selfies, DAMAGES[name], 0.94, random)).verdict for _ in range(3)]
    assert verdicts == ["fail"] * 3


@pytest.mark.parametrize("name", list(NO_REGRESSION))
def test_the_gate_does_not_fail_candidates_without_regression(
    limits: GateParams, selfies: SimulatedSelfies, name: str
) -> None:
    random = np.random.default_rng(6)
    verdicts = {judge_case(limits, simulate(selfies, NO_REGRESSION[name], 0.94, random)).verdict for _ in range(6)}
    assert verdicts == {"pass"} if name == "identical" else "fail" not in verdicts
