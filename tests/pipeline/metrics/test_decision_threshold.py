"""Where a model decides, and where it asks for another picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from pipeline.config.policy import Factor, Policy, Scenario
from pipeline.data.records import Image
from pipeline.metrics.decision_threshold import (
    Costs,
    OperatingPoint,
    align,
    asks_again,
    average_costs,
    choose_operating_point,
    fit_temperature,
)

NEGATIVE, POSITIVE = "no_helmet", "helmet"


def answers(positive: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([1 - positive, positive], axis=1)


def draw(temperature: float, count: int = 20_000) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Answers whose log-odds are so many times the honest ones, and labels drawn by the honest ones."""
    generator = np.random.default_rng(3)
    honest = generator.normal(0, 2, count)
    targets = (generator.random(count) < expit(honest)).astype(np.int64)
    return answers(expit(temperature * honest)), targets


def policy(*scenarios: Scenario) -> Policy:
    worn = Factor("headwear", ("none",), (1.0,), ("bare-headed",))
    return Policy("helmet", "?", {NEGATIVE: (worn,), POSITIVE: (worn,)}, (), scenarios, (), ("{headwear}",))


def row(scenario: str | None) -> Image:
    factors = {"scenario": scenario} if scenario else {}
    return Image(
        id="i",
        group="g",
        label=POSITIVE,
        factors=factors,
        shard="s",
        offset=0,
        size_bytes=1,
        sha256="0",
        width=1,
        height=1,
    )


NIGHT = Scenario("night", "high", {}, {POSITIVE: 20.0, NEGATIVE: 2.0})
DAY = Scenario("day", "low", {}, {POSITIVE: 8.0, NEGATIVE: 1.0})


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_temperature_is_found_again_from_answers_that_were_stretched_by_it(temperature: float) -> None:
    assert fit_temperature(*draw(temperature)) == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize(
    ("probabilities", "targets"),
    [
        (answers(np.array([0.9, 0.8])), np.array([1, 1])),
        (np.full((3, 3), 1 / 3), np.array([0, 1, 2])),
    ],
    ids=["one label missing", "three labels"],
)
def test_where_nothing_can_be_told_the_answers_are_taken_as_they_are(
    probabilities: NDArray[np.float64], targets: NDArray[np.int64]
) -> None:
    assert fit_temperature(probabilities, targets) == 1.0


def test_answers_that_are_never_wrong_still_have_a_temperature() -> None:
    certain = answers(np.array([0.0, 0.0, 1.0, 1.0]))
    assert 0.05 <= fit_temperature(certain, np.array([0, 0, 1, 1])) <= 20


def test_the_dearer_a_false_helmet_the_higher_the_threshold() -> None:
    thresholds = [choose_operating_point(1.0, Costs(cost, 1.0, 9.0)).threshold for cost in (1.0, 3.0, 9.0)]
    assert thresholds == pytest.approx([0.5, 0.75, 0.9])


def test_a_threshold_is_given_in_the_models_own_probabilities() -> None:
    bold = choose_operating_point(2.0, Costs(9.0, 1.0, 9.0)).threshold
    assert logit(bold) == pytest.approx(2 * logit(0.9))


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_no_other_threshold_costs_less(temperature: float) -> None:
    costs = Costs(8.0, 1.0, 100.0)
    probabilities, targets = draw(temperature, 200_000)

    def cost_at(threshold: float) -> float:
        claimed = probabilities[:, 1] >= threshold
        return float(np.mean(8.0 * (claimed & (targets == 0)) + 1.0 * (~claimed & (targets == 1))))

    chosen = choose_operating_point(fit_temperature(probabilities, targets), costs)
    least = min(cost_at(float(each)) for each in np.linspace(0.01, 0.99, 197))
    assert cost_at(chosen.threshold) <= 1.02 * least


def test_another_picture_is_asked_for_where_either_claim_would_cost_more_than_it() -> None:
    point = choose_operating_point(1.0, Costs(10.0, 2.0, 0.5))
    assert point.retake_band == pytest.approx((0.25, 0.95))
    assert point.retake_band is not None
    assert point.retake_band[0] < point.threshold < point.retake_band[1]
    asked = asks_again(answers(np.array([0.2, 0.25, 0.26, 0.94, 0.95, 0.96])), point.retake_band)
    assert asked.tolist() == [False, False, True, True, False, False]


def test_a_retake_that_costs_more_than_the_worst_doubt_is_never_asked_for() -> None:
    point = choose_operating_point(1.0, Costs(10.0, 2.0, 5 / 3))
    assert point.retake_band is None
    assert not asks_again(answers(np.array([0.5, 0.83])), point.retake_band).any()


def test_a_model_that_leans_one_way_decides_where_the_one_it_was_made_from_does() -> None:
    honest, targets = draw(1.0)
    leaning = answers(expit(1.5 * logit(honest[:, 1]) + 0.4))
    scale, shift = align(honest, leaning, targets, threshold=0.8)
    point = OperatingPoint(0.8, (0.3, 0.9)).carry_over(scale, shift)
    equal = (leaning[:, 1] >= point.threshold) == (honest[:, 1] >= 0.8)
    assert equal.mean() > 0.995
    assert ((leaning[:, 1] >= 0.8) == (honest[:, 1] >= 0.8)).mean() < 0.95
    asked, theirs = asks_again(leaning, point.retake_band), asks_again(honest, (0.3, 0.9))
    assert (asked == theirs).mean() > 0.98


def test_a_shift_far_from_the_threshold_moves_nothing() -> None:
    honest, targets = draw(1.0)
    odds = logit(honest[:, 1])
    bent = answers(expit(np.where(odds < -2, odds - 1.0, odds)))
    _, shift = align(honest, bent, targets, threshold=0.9)
    assert abs(shift) < 0.2
    _, everywhere = align(honest, bent, targets, threshold=0.05)
    assert everywhere < shift - 0.1


def test_a_model_beside_itself_is_neither_stretched_nor_moved() -> None:
    honest, targets = draw(1.0)
    assert align(honest, honest, targets) == (1.0, 0.0)
    assert align(np.full((3, 3), 1 / 3), np.full((3, 3), 1 / 3), np.array([0, 1, 2])) == (1.0, 0.0)
    assert OperatingPoint(0.7).carry_over(1.0, 0.0) == OperatingPoint(pytest.approx(0.7), None)


def test_more_than_two_labels_have_no_threshold() -> None:
    assert choose_operating_point(1.0, Costs(10.0, 1.0, 0.1), labels=3) == OperatingPoint(0.5, None)


def test_scenarios_weigh_as_often_as_they_stand_among_the_rows() -> None:
    costs = average_costs(policy(NIGHT, DAY), [row("night"), row("day"), row("day"), row("day")], retake=0.3)
    assert costs == Costs(pytest.approx(11.0), pytest.approx(1.25), 0.3)


def test_photographs_know_no_scenario_so_all_weigh_the_same() -> None:
    assert average_costs(policy(NIGHT, DAY), [row(None)]) == Costs(14.0, 1.5, 0.5)


def test_without_scenarios_every_mistake_costs_the_same() -> None:
    assert choose_operating_point(1.0, average_costs(policy(), [row(None)])).threshold == 0.5
