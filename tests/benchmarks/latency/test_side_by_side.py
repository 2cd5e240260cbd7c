"""The paired comparison with a simulated clock, the rule on given ratios, and both in real processes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.latency import side_by_side
from benchmarks.latency.side_by_side import (
    NumberedRequest,
    PairedRequest,
    PairedTiming,
    compare_latency,
    judge_runs,
    judge_slowdown,
    time_pairs,
)
from pipeline.errors import ModelError


class Machine:
    """A clock that only inference advances, and artifacts of given cost; records the order of loads and calls."""

    def __init__(self, costs: dict[str, Callable[[int], int]]) -> None:
        self.now, self.costs = 0, costs
        self.loaded: list[str] = []
        self.calls: list[str] = []

    def clock(self) -> int:
        self.now += 1
        return self.now

    def load(self, path: Path, threads: int) -> side_by_side.Predict:
        assert threads == 1
        self.loaded.append(path.name)

        def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
            assert frame.shape == (8, 6, 3)
            self.now += self.costs[path.name](len(self.calls))
            self.calls.append(path.name)
            return np.ones(2, np.float32)

        return predict


def request_for(folder: Path, **changes: object) -> PairedRequest:
    np.save(folder / "frames.npy", np.zeros((4, 8, 6, 3), np.uint8))
    values = {"pairs": 40, "warmup": 3, "seed": 5, **changes}
    return PairedRequest(
        format="onnx", candidate=Path("new"), baseline=Path("old"), frames=folder / "frames.npy", threads=1, **values
    )


def timing(ratio: float, processes: int = 9) -> PairedTiming:
    return PairedTiming(ratios=(ratio,) * processes, candidate_p50_ms=ratio, baseline_p50_ms=1.0)


def test_the_ratio_is_the_candidates_time_over_the_baselines(tmp_path: Path) -> None:
    machine = Machine({"new": lambda _: 110_000, "old": lambda _: 100_000})
    result = time_pairs(NumberedRequest(request=request_for(tmp_path), number=0), machine.load, machine.clock)
    assert result.ratio == pytest.approx(1.1, abs=1e-4)
    assert (result.candidate_p50_ms, result.baseline_p50_ms) == pytest.approx((0.11, 0.1), abs=1e-4)


def test_slow_phases_of_the_machine_cancel_within_a_pair(tmp_path: Path) -> None:
    random_ = random.Random(1)  # noqa: S311

    def noisy(cost: int) -> Callable[[int], int]:
        """Three times slower half of the time, and occasionally ten times."""
        return lambda at: round(cost * (3 if (at // 30) % 2 else 1) * (10 if random_.random() < 0.1 else 1))

    machine = Machine({"new": noisy(105_000), "old": noisy(100_000)})
    result = time_pairs(
        NumberedRequest(request=request_for(tmp_path, pairs=400), number=0), machine.load, machine.clock
    )
    assert result.ratio == pytest.approx(1.05, abs=1e-3)


def test_processes_alternate_in_what_they_load_first_and_pairs_are_in_random_order(tmp_path: Path) -> None:
    firsts = []
    for number in range(4):
        machine = Machine({"new": lambda _: 100, "old": lambda _: 100})
        time_pairs(NumberedRequest(request=request_for(tmp_path), number=number), machine.load, machine.clock)
        firsts.append(machine.loaded[0])
        pairs = [tuple(machine.calls[at : at + 2]) for at in range(6, len(machine.calls), 2)]
        assert len(pairs) == 40
        assert {frozenset(pair) for pair in pairs} == {frozenset({"new", "old"})}
        assert 8 < sum(pair[0] == "new" for pair in pairs) < 32
    assert firsts in (["new", "old"] * 2, ["old", "new"] * 2)


def test_equal_seeds_give_equal_orders(tmp_path: Path) -> None:
    orders = []
    for seed in (5, 5, 6):
        machine = Machine({"new": lambda _: 100, "old": lambda _: 100})
        numbered = NumberedRequest(request=request_for(tmp_path, seed=seed), number=0)
        time_pairs(numbered, machine.load, machine.clock)
        orders.append(machine.calls)
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("share", [0.02, 0.05, 0.10])
def test_an_injected_slowdown_is_a_share_of_the_candidates_own_time(tmp_path: Path, share: float) -> None:
    machine = Machine({"new": lambda _: 100_000, "old": lambda _: 100_000})
    numbered = NumberedRequest(request=request_for(tmp_path, slowdown=share), number=0)
    assert time_pairs(numbered, machine.load, machine.clock).ratio == pytest.approx(1 + share, abs=1e-3)


@pytest.mark.parametrize(
    ("ratios", "verdict", "needs_second_run", "warned"),
    [
        ([0.90], "pass", False, False),
        ([1.00], "pass", False, False),
        ([1.02], "pass", False, False),
        ([1.03], "pass", False, True),
        ([1.04], "pass", False, True),
        ([1.05], "unmeasured", True, False),
        ([1.05, 1.05], "fail", False, False),
        ([1.30, 1.041], "fail", False, False),
        ([1.05, 1.03], "pass", False, True),
        ([1.05, 1.00], "pass", False, False),
        ([], "unmeasured", False, False),
        ([math.nan], "unmeasured", False, False),
        ([1.05, math.nan], "unmeasured", False, False),
        ([0.0], "unmeasured", False, False),
    ],
)
def test_a_failure_needs_two_runs_above_the_limit(
    ratios: list[float], verdict: str, needs_second_run: bool, warned: bool
) -> None:
    judged = judge_slowdown([timing(ratio) for ratio in ratios])
    assert (judged.verdict, judged.needs_second_run, judged.warned) == (verdict, needs_second_run, warned)
    if judged.value is not None:
        assert judged.value == pytest.approx(min(ratios))


def test_the_reason_gives_slowdown_runs_processes_and_warning() -> None:
    assert (
        judge_slowdown([timing(0.987)]).reason
        == "an inference is 1.3 % faster than the baseline's in one run of 9 processes"
    )
    warning = judge_slowdown([timing(1.03)]).reason
    assert warning == (
        "warning: an inference is 3.0 % slower than the baseline's in one run of 9 processes; gate.latency.warn is 2 %"
    )
    failed = judge_slowdown([timing(1.08), timing(1.06)]).reason
    assert failed == (
        "an inference is 6.0 % slower than the baseline's in the better of 2 runs of 9 processes; gate.latency.fail "
        "allows 4 %"
    )


def test_the_median_process_decides_and_not_the_slowest() -> None:
    mixed = PairedTiming(ratios=(1.0, 1.01, 0.99, 1.4, 1.5), candidate_p50_ms=1.0, baseline_p50_ms=1.0)
    assert mixed.median_ratio == 1.01
    assert judge_slowdown([mixed]).verdict == "pass"
    assert math.isnan(PairedTiming(ratios=(), candidate_p50_ms=1.0, baseline_p50_ms=1.0).median_ratio)


@pytest.mark.parametrize(
    ("ratios", "verdict", "count"), [([1.0], "pass", 1), ([1.06, 1.0], "pass", 2), ([1.06, 1.05], "fail", 2)]
)
def test_a_second_run_is_made_only_where_the_first_does_not_decide(
    ratios: list[float], verdict: str, count: int
) -> None:
    runs = []

    def measure(run: int) -> PairedTiming:
        runs.append(run)
        return timing(ratios[run])

    assert judge_runs(measure).verdict == verdict
    assert runs == [0, 1][:count]


def test_real_artifacts_are_compared_in_fresh_processes(means_model: Path, tmp_path: Path) -> None:
    request = request_for(tmp_path, processes=2, pairs=5)
    result = compare_latency(request.model_copy(update={"candidate": means_model, "baseline": means_model}))
    assert len(result.ratios) == 2
    assert min(*result.ratios, result.candidate_p50_ms, result.baseline_p50_ms) > 0


def test_the_error_for_a_broken_baseline_names_its_file(means_model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    request = request_for(tmp_path).model_copy(update={"candidate": means_model, "baseline": broken})
    with pytest.raises(ModelError, match=r"cannot be run by onnx's runtime: .*broken\.onnx: not a whole ONNX model"):
        compare_latency(request)
