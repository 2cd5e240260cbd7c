"""The bound on false alarms equals that of textbooks and holds for drawn runs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.experiments.gate_power.latency_false_alarms import bound_false_alarms


def test_without_exceedances_the_bound_is_the_rule_of_three() -> None:
    bound = bound_false_alarms([1.0] * 300, 9, 0.04)
    assert (bound.processes, bound.processes_above) == (300, 0)
    assert bound.process_share_high == pytest.approx(1 - 0.05 ** (1 / 300))
    assert bound.rate_high < 1e-7
    assert (bound.runs, bound.runs_above, bound.largest_median_ratio) == (33, 0, 1.0)


def test_with_one_process_per_run_the_bounds_of_process_and_run_are_equal() -> None:
    bound = bound_false_alarms([1.0] * 95 + [1.05] * 5, 1, 0.04)
    assert bound.process_share_high == pytest.approx(0.1023, abs=1e-4)  # Clopper & Pearson, 5 of 100, one-sided 95 %
    assert bound.rate_high == pytest.approx(bound.process_share_high)
    assert bound.runs_above == 5


def test_a_slow_phase_as_long_as_a_run_shows_in_the_runs() -> None:
    scattered = ([1.05] + [1.0] * 8) * 9
    lasting = [1.05] * 9 + [1.0] * 72
    one, other = (bound_false_alarms(ratios, 9, 0.04) for ratios in (scattered, lasting))
    assert one.rate_high == other.rate_high
    assert (one.runs_above, other.runs_above) == (0, 1)
    assert other.largest_median_ratio == 1.05


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_drawn_runs_do_not_fail_more_often_than_the_bound(share: float) -> None:
    random = np.random.default_rng(2)
    ratios = np.where(random.random(900) < share, 1.05, 1.0)
    drawn = np.median(random.choice(ratios, (20_000, 9)), axis=1) > 1.04
    rate = bound_false_alarms(ratios.tolist(), 9, 0.04).rate_high
    assert drawn.mean() < rate < 3 * drawn.mean() + 0.001


def test_the_bound_is_one_if_all_processes_exceed_the_limit() -> None:
    assert bound_false_alarms([1.1] * 9, 9, 0.04).rate_high == 1.0


def test_fewer_processes_than_in_a_run_are_an_error() -> None:
    with pytest.raises(ValueError, match="3 processes; expected at least the 9 of a run"):
        bound_false_alarms([1.0] * 3, 9, 0.04)
