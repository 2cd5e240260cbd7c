"""The paired comparison on a clock of our own, the rule on ratios made to order, and both in real processes."""

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
    PairedRequest,
    PairedTiming,
    ProcessRequest,
    compare_latency,
    decide_slowdown,
    judge_slowdown,
    take_pairs,
)
from pipeline.errors import ModelError


class Machine:
    """A clock that only answers move, and artifacts that take as long as they are told; notes who was asked when."""

    def __init__(self, costs: dict[str, Callable[[int], int]]) -> None:
        self.now, self.costs = 0, costs
        self.loaded: list[str] = []
        self.asked: list[str] = []

    def clock(self) -> int:
        self.now += 1
        return self.now

    def load(self, path: Path, threads: int) -> side_by_side.Predict:
        assert threads == 1
        self.loaded.append(path.name)

        def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
            assert frame.shape == (8, 6, 3)
            self.now += self.costs[path.name](len(self.asked))
            self.asked.append(path.name)
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


def test_a_slower_candidate_shows_as_the_ratio_of_the_two(tmp_path: Path) -> None:
    machine = Machine({"new": lambda _: 110_000, "old": lambda _: 100_000})
    found = take_pairs(ProcessRequest(request=request_for(tmp_path), number=0), machine.load, machine.clock)
    assert found.ratio == pytest.approx(1.1, abs=1e-4)
    assert (found.candidate_p50_ms, found.baseline_p50_ms) == pytest.approx((0.11, 0.1), abs=1e-4)


def test_moods_of_the_machine_cancel_within_a_pair(tmp_path: Path) -> None:
    chance = random.Random(1)  # noqa: S311

    def noisy(cost: int) -> Callable[[int], int]:
        """Three times slower for half of the time, and now and then ten times."""
        return lambda at: round(cost * (3 if (at // 30) % 2 else 1) * (10 if chance.random() < 0.1 else 1))

    machine = Machine({"new": noisy(105_000), "old": noisy(100_000)})
    found = take_pairs(ProcessRequest(request=request_for(tmp_path, pairs=400), number=0), machine.load, machine.clock)
    assert found.ratio == pytest.approx(1.05, abs=1e-3)


def test_processes_take_turns_in_what_they_load_first_and_pairs_in_what_they_ask_first(tmp_path: Path) -> None:
    firsts = []
    for number in range(4):
        machine = Machine({"new": lambda _: 100, "old": lambda _: 100})
        take_pairs(ProcessRequest(request=request_for(tmp_path), number=number), machine.load, machine.clock)
        firsts.append(machine.loaded[0])
        pairs = [tuple(machine.asked[at : at + 2]) for at in range(6, len(machine.asked), 2)]
        assert len(pairs) == 40
        assert {frozenset(pair) for pair in pairs} == {frozenset({"new", "old"})}
        assert 8 < sum(pair[0] == "new" for pair in pairs) < 32
    assert firsts in (["new", "old"] * 2, ["old", "new"] * 2)


def test_the_same_seed_gives_the_same_order(tmp_path: Path) -> None:
    orders = []
    for seed in (5, 5, 6):
        machine = Machine({"new": lambda _: 100, "old": lambda _: 100})
        asked = ProcessRequest(request=request_for(tmp_path, seed=seed), number=0)
        take_pairs(asked, machine.load, machine.clock)
        orders.append(machine.asked)
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("share", [0.02, 0.05, 0.10])
def test_an_injected_slowdown_is_the_share_of_the_candidates_own_time(tmp_path: Path, share: float) -> None:
    machine = Machine({"new": lambda _: 100_000, "old": lambda _: 100_000})
    asked = ProcessRequest(request=request_for(tmp_path, slowdown=share), number=0)
    assert take_pairs(asked, machine.load, machine.clock).ratio == pytest.approx(1 + share, abs=1e-3)


@pytest.mark.parametrize(
    ("ratios", "verdict", "again", "warned"),
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
def test_only_two_runs_above_the_limit_fail(ratios: list[float], verdict: str, again: bool, warned: bool) -> None:
    judged = judge_slowdown([timing(ratio) for ratio in ratios])
    assert (judged.verdict, judged.again, judged.warned) == (verdict, again, warned)
    if judged.value is not None:
        assert judged.value == pytest.approx(min(ratios))


def test_the_reason_says_how_much_of_how_many_processes_and_warns() -> None:
    assert judge_slowdown([timing(0.987)]).reason == "1.3% faster than the baseline in one run of 9 processes"
    warning = judge_slowdown([timing(1.03)]).reason
    assert warning == "warning: 3.0% slower than the baseline in one run of 9 processes: above 2.0%"
    failed = judge_slowdown([timing(1.08), timing(1.06)]).reason
    assert failed == "6.0% slower than the baseline in the better of 2 runs of 9 processes: above 4.0% in each"


def test_the_middle_process_counts_not_the_slowest() -> None:
    mixed = PairedTiming(ratios=(1.0, 1.01, 0.99, 1.4, 1.5), candidate_p50_ms=1.0, baseline_p50_ms=1.0)
    assert mixed.median_ratio == 1.01
    assert judge_slowdown([mixed]).verdict == "pass"
    assert math.isnan(PairedTiming(ratios=(), candidate_p50_ms=1.0, baseline_p50_ms=1.0).median_ratio)


@pytest.mark.parametrize(
    ("found", "verdict", "runs"), [([1.0], "pass", 1), ([1.06, 1.0], "pass", 2), ([1.06, 1.05], "fail", 2)]
)
def test_a_second_run_is_made_only_where_the_first_asks_for_it(
    tmp_path: Path, found: list[float], verdict: str, runs: int
) -> None:
    seeds = []

    def compare(request: PairedRequest) -> PairedTiming:
        seeds.append(request.seed)
        return timing(found[len(seeds) - 1])

    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    request = request_for(tmp_path).model_copy(update={"candidate": tmp_path / "new", "baseline": tmp_path / "old"})
    assert decide_slowdown(request, compare=compare).verdict == verdict
    assert seeds == [5, 6][:runs]


def test_the_same_bytes_need_no_clock(tmp_path: Path) -> None:
    def never(_request: PairedRequest) -> PairedTiming:
        raise AssertionError

    (tmp_path / "new").write_bytes(b"same")
    (tmp_path / "old").write_bytes(b"same")
    request = request_for(tmp_path).model_copy(update={"candidate": tmp_path / "new", "baseline": tmp_path / "old"})
    judged = decide_slowdown(request, compare=never)
    assert (judged.verdict, judged.value) == ("pass", 1.0)
    assert judged.reason == "byte for byte the baseline's artifact: nothing to time"


def test_real_artifacts_are_compared_in_fresh_processes(means_model: Path, tmp_path: Path) -> None:
    request = request_for(tmp_path, processes=2, pairs=5)
    found = compare_latency(request.model_copy(update={"candidate": means_model, "baseline": means_model}))
    assert len(found.ratios) == 2
    assert min(*found.ratios, found.candidate_p50_ms, found.baseline_p50_ms) > 0


def test_a_broken_baseline_is_named(means_model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    request = request_for(tmp_path).model_copy(update={"candidate": means_model, "baseline": broken})
    with pytest.raises(ModelError, match=r"cannot be run by onnx's runtime: .*broken\.onnx: not a whole ONNX model"):
        compare_latency(request)
