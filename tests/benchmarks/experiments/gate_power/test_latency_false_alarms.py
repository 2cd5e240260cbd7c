"""The bound on false alarms, against figures of textbooks and against drawn runs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.experiments.gate_power.latency_false_alarms import bound_false_alarms


def test_none_above_in_three_hundred_is_the_rule_of_three() -> None:
    found = bound_false_alarms([1.0] * 300, 9, 0.04)
    assert (found["processes"], found["processes_above"]) == (300, 0)
    assert found["process_share_high"] == pytest.approx(1 - 0.05 ** (1 / 300))
    assert found["rate_high"] < 1e-7
    assert (found["runs"], found["runs_above"], found["largest_median_ratio"]) == (33, 0, 1.0)


def test_one_process_a_run_has_the_bound_of_its_share() -> None:
    found = bound_false_alarms([1.0] * 95 + [1.05] * 5, 1, 0.04)
    assert found["process_share_high"] == pytest.approx(0.1023, abs=1e-4)  # Clopper & Pearson, 5 of 100, one-sided 95 %
    assert found["rate_high"] == pytest.approx(found["process_share_high"])
    assert found["runs_above"] == 5


def test_a_mood_that_lasts_as_long_as_a_run_shows_in_the_runs() -> None:
    scattered = ([1.05] + [1.0] * 8) * 9
    lasting = [1.05] * 9 + [1.0] * 72
    one, other = (bound_false_alarms(ratios, 9, 0.04) for ratios in (scattered, lasting))
    assert one["rate_high"] == other["rate_high"]
    assert (one["runs_above"], other["runs_above"]) == (0, 1)
    assert other["largest_median_ratio"] == 1.05


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_drawn_runs_fail_no_more_often_than_the_bound(share: float) -> None:
    random = np.random.default_rng(2)
    ratios = np.where(random.random(900) < share, 1.05, 1.0)
    drawn = np.median(random.choice(ratios, (20_000, 9)), axis=1) > 1.04
    rate = bound_false_alarms(ratios.tolist(), 9, 0.04)["rate_high"]
    assert drawn.mean() < rate < 3 * drawn.mean() + 0.001


def test_all_above_is_no_bound_at_all() -> None:
    assert bound_false_alarms([1.1] * 9, 9, 0.04)["rate_high"] == 1.0


def test_fewer_processes_than_a_run_are_refused() -> None:
    with pytest.raises(ValueError, match="3 processes; expected at least the 9 of a run"):
        bound_false_alarms([1.0] * 3, 9, 0.04)
