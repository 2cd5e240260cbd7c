"""Temperature, threshold and abstention band: fitted values, least cost, and transfer to a converted model."""

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
    abstains,
    align_log_odds,
    average_costs,
    choose_operating_point,
    fit_temperature,
)

NEGATIVE, POSITIVE = "no_helmet", "helmet"


def two_columns(positive: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([1 - positive, positive], axis=1)


def draw(temperature: float, count: int = 20_000) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw calibrated log-odds and labels that follow them; return probabilities distorted by a temperature."""
    generator = np.random.default_rng(3)
    odds = generator.normal(0, 2, count)
    targets = (generator.random(count) < expit(odds)).astype(np.int64)
    return two_columns(expit(temperature * odds)), targets


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
def test_the_fit_recovers_the_temperature_that_distorted_the_probabilities(temperature: float) -> None:
    assert fit_temperature(*draw(temperature)) == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize(
    ("probabilities", "targets"),
    [
        (two_columns(np.array([0.9, 0.8])), np.array([1, 1])),
        (np.full((3, 3), 1 / 3), np.array([0, 1, 2])),
    ],
    ids=["one label missing", "three labels"],
)
def test_the_temperature_is_one_if_it_cannot_be_fitted(
    probabilities: NDArray[np.float64], targets: NDArray[np.int64]
) -> None:
    assert fit_temperature(probabilities, targets) == 1.0


def test_the_temperature_of_a_model_without_errors_stays_within_its_limits() -> None:
    certain = two_columns(np.array([0.0, 0.0, 1.0, 1.0]))
    assert 0.05 <= fit_temperature(certain, np.array([0, 0, 1, 1])) <= 20


def test_a_costlier_false_positive_raises_the_threshold() -> None:
    thresholds = [choose_operating_point(1.0, Costs(cost, 1.0, 9.0)).threshold for cost in (1.0, 3.0, 9.0)]
    assert thresholds == pytest.approx([0.5, 0.75, 0.9])


def test_the_threshold_is_a_raw_probability_of_the_model() -> None:
    threshold = choose_operating_point(2.0, Costs(9.0, 1.0, 9.0)).threshold
    assert logit(threshold) == pytest.approx(2 * logit(0.9))


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_the_chosen_threshold_has_the_least_empirical_cost(temperature: float) -> None:
    costs = Costs(8.0, 1.0, 100.0)
    probabilities, targets = draw(temperature, 200_000)

    def cost_at(threshold: float) -> float:
        claimed = probabilities[:, 1] >= threshold
        return float(np.mean(8.0 * (claimed & (targets == 0)) + 1.0 * (~claimed & (targets == 1))))

    chosen = choose_operating_point(fit_temperature(probabilities, targets), costs)
    least = min(cost_at(float(threshold)) for threshold in np.linspace(0.01, 0.99, 197))
    assert cost_at(chosen.threshold) <= 1.02 * least


def test_the_model_abstains_where_either_label_would_cost_more_than_abstaining() -> None:
    point = choose_operating_point(1.0, Costs(10.0, 2.0, 0.5))
    assert point.abstention_band == pytest.approx((0.25, 0.95))
    assert point.abstention_band is not None
    assert point.abstention_band[0] < point.threshold < point.abstention_band[1]
    mask = abstains(two_columns(np.array([0.2, 0.25, 0.26, 0.94, 0.95, 0.96])), point.abstention_band)
    assert mask.tolist() == [False, False, True, True, False, False]


def test_there_is_no_band_if_abstaining_costs_more_than_the_most_uncertain_decision() -> None:
    point = choose_operating_point(1.0, Costs(10.0, 2.0, 5 / 3))
    assert point.abstention_band is None
    assert not abstains(two_columns(np.array([0.5, 0.83])), point.abstention_band).any()


def test_a_transferred_operating_point_makes_a_shifted_model_decide_like_its_reference() -> None:
    reference, targets = draw(1.0)
    shifted = two_columns(expit(1.5 * logit(reference[:, 1]) + 0.4))
    scale, shift = align_log_odds(reference, shifted, targets, threshold=0.8)
    point = OperatingPoint(0.8, (0.3, 0.9)).transfer(scale, shift)
    equal = (shifted[:, 1] >= point.threshold) == (reference[:, 1] >= 0.8)
    assert equal.mean() > 0.995
    assert ((shifted[:, 1] >= 0.8) == (reference[:, 1] >= 0.8)).mean() < 0.95
    same = abstains(shifted, point.abstention_band) == abstains(reference, (0.3, 0.9))
    assert same.mean() > 0.98


def test_a_shift_far_from_the_threshold_barely_counts() -> None:
    reference, targets = draw(1.0)
    odds = logit(reference[:, 1])
    bent = two_columns(expit(np.where(odds < -2, odds - 1.0, odds)))
    _, shift = align_log_odds(reference, bent, targets, threshold=0.9)
    assert abs(shift) < 0.2
    _, shift_near = align_log_odds(reference, bent, targets, threshold=0.05)
    assert shift_near < shift - 0.1


def test_aligning_a_model_with_itself_changes_nothing() -> None:
    reference, targets = draw(1.0)
    three_labels = np.full((3, 3), 1 / 3)
    assert align_log_odds(reference, reference, targets) == (1.0, 0.0)
    assert align_log_odds(three_labels, three_labels, np.array([0, 1, 2])) == (1.0, 0.0)
    assert OperatingPoint(0.7).transfer(1.0, 0.0) == OperatingPoint(pytest.approx(0.7), None)


def test_more_than_two_labels_get_the_default_operating_point() -> None:
    assert choose_operating_point(1.0, Costs(10.0, 1.0, 0.1), labels=3) == OperatingPoint(0.5, None)


def test_each_scenario_weighs_by_its_number_of_rows() -> None:
    costs = average_costs(policy(NIGHT, DAY), [row("night"), row("day"), row("day"), row("day")], abstention=0.3)
    assert costs == Costs(pytest.approx(11.0), pytest.approx(1.25), 0.3)


def test_scenarios_weigh_equally_for_photographs() -> None:
    assert average_costs(policy(NIGHT, DAY), [row(None)]) == Costs(14.0, 1.5, 0.5)


def test_all_errors_cost_the_same_without_scenarios() -> None:
    assert choose_operating_point(1.0, average_costs(policy(), [row(None)])).threshold == 0.5
