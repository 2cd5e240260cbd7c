"""The operating curve from processes made to order: whose ratios are known, so that what is caught is known, too."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks.experiments.gate_power.latency_power import WORK, Curve, judge_medians, operating_curve
from benchmarks.latency.side_by_side import PairedRequest, PairedTiming, ProcessTiming, judge_runs


class Processes:
    """Stand in for real ones: the slowdown, and a bias of the process's own; counts what was asked."""

    def __init__(self, bias: float) -> None:
        self.bias, self.asked = bias, 0

    def __call__(self, request: PairedRequest, number: int) -> ProcessTiming:
        self.asked += 1
        chance = random.Random(f"{request.slowdown}/{number}")  # noqa: S311
        ratio = 1 + request.slowdown + chance.gauss(0, self.bias)
        return ProcessTiming(ratio=ratio, candidate_p50_ms=ratio, baseline_p50_ms=1.0)


@pytest.fixture
def request_(tmp_path: Path) -> PairedRequest:
    for name in ("model.onnx", "frames.npy"):
        (tmp_path / name).write_bytes(name.encode())
    model, frames = tmp_path / "model.onnx", tmp_path / "frames.npy"
    return PairedRequest(
        format="onnx", candidate=model, baseline=model, frames=frames, threads=1, warmup=1, pairs=5, processes=3, seed=1
    )


def silent(_done: int, _total: int, _what: str) -> None:
    pass


@pytest.mark.parametrize("pool", [0, 12])
def test_what_is_above_the_limit_is_always_caught_where_nothing_is_noisy(
    request_: PairedRequest, tmp_path: Path, pool: int
) -> None:
    found = operating_curve(request_, Curve(runs=5, pool=pool), tmp_path, silent, Processes(bias=0))
    assert found["slowdown_caught"] == {"0.00": 0.0, "0.02": 0.0, "0.05": 1.0, "0.10": 1.0}
    assert found["slowdowns"]["0.10"]["median_ratio"] == pytest.approx(1.1)
    assert found["slowdown_settings"]["independent"] is (pool == 0)


def test_between_the_limits_a_warning_is_told(request_: PairedRequest, tmp_path: Path) -> None:
    curve = Curve(runs=4, slowdowns=(0.01, 0.03))
    found = operating_curve(request_, curve, tmp_path, silent, Processes(bias=0))["slowdowns"]
    assert (found["0.01"]["warned"], found["0.03"]["warned"], found["0.03"]["caught"]) == (0.0, 1.0, 0.0)


def test_independent_runs_share_no_process_and_have_wilsons_interval(request_: PairedRequest, tmp_path: Path) -> None:
    processes = Processes(bias=0)
    curve = Curve(runs=10, slowdowns=(0.0, 0.10))
    found = operating_curve(request_, curve, tmp_path, silent, processes)["slowdowns"]
    assert (found["0.00"]["processes"], found["0.10"]["processes"]) == (10 * 3, 10 * 2 * 3)  # 10 % is run twice
    assert processes.asked == 90
    assert (found["0.00"]["caught_low"], found["0.00"]["caught_high"]) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert (found["0.10"]["caught_low"], found["0.10"]["caught_high"]) == pytest.approx((0.7225, 1.0), abs=1e-3)


def test_more_runs_of_one_pool_make_no_narrower_interval(request_: PairedRequest, tmp_path: Path) -> None:
    widths = []
    for runs in (100, 3000):
        curve = Curve(runs=runs, pool=12, slowdowns=(0.05,))
        row = operating_curve(request_, curve, tmp_path, silent, Processes(bias=0.02))["slowdowns"]["0.05"]
        assert row["caught_low"] <= row["caught"] <= row["caught_high"]
        assert (row["runs"], row["processes"]) == (runs, 12)
        widths.append(row["caught_high"] - row["caught_low"])
    assert min(widths) > 0.3
    assert widths[1] == pytest.approx(widths[0], abs=0.15)


def test_a_run_that_was_stopped_goes_on(request_: PairedRequest, tmp_path: Path) -> None:
    class Stopped(Processes):
        def __call__(self, request: PairedRequest, number: int) -> ProcessTiming:
            if self.asked == 7:
                raise KeyboardInterrupt
            return super().__call__(request, number)

    curve = Curve(runs=10, pool=4)
    with pytest.raises(KeyboardInterrupt):
        operating_curve(request_, curve, tmp_path, silent, Stopped(bias=0.01))
    assert len(list((tmp_path / WORK).glob("*/*.json"))) == 7
    again, fresh = Processes(bias=0.01), Processes(bias=0.01)
    found = operating_curve(request_, curve, tmp_path, silent, again)
    assert again.asked == 4 * 4 - 7
    (tmp_path / "fresh").mkdir()
    assert found == operating_curve(request_, curve, tmp_path / "fresh", silent, fresh)


def test_processes_of_another_artifact_are_not_taken_for_its_own(request_: PairedRequest, tmp_path: Path) -> None:
    curve = Curve(runs=2, pool=3)
    operating_curve(request_, curve, tmp_path, silent, Processes(bias=0))
    request_.candidate.write_bytes(b"another")
    processes = Processes(bias=0)
    operating_curve(request_, curve, tmp_path, silent, processes)
    assert processes.asked == 4 * 3


def test_slowdowns_take_turns(request_: PairedRequest, tmp_path: Path) -> None:
    order = []

    def note(request: PairedRequest, number: int) -> ProcessTiming:
        order.append((number, request.slowdown))
        return Processes(bias=0)(request, number)

    operating_curve(request_, Curve(runs=1, pool=2, slowdowns=(0.0, 0.05)), tmp_path, silent, note)
    assert order == [(0, 0.0), (0, 0.05), (1, 0.0), (1, 0.05)]


def test_many_runs_at_once_are_judged_as_each_alone() -> None:
    grid = np.array([0.95, 1.0, 1.02, 1.021, 1.04, 1.041, 1.2])
    first, second = (each.ravel() for each in np.meshgrid(grid, grid))
    failed, warned = judge_medians(first, second, 0.02, 0.04)

    def timing(ratio: float) -> PairedTiming:
        return PairedTiming(ratios=(ratio,), candidate_p50_ms=1.0, baseline_p50_ms=1.0)

    for at in range(len(first)):
        pair = float(first[at]), float(second[at])
        judged = judge_runs(lambda run, pair=pair: timing(pair[run]))
        assert (judged.verdict == "fail", judged.warned) == (failed[at], warned[at]), pair


def test_false_alarms_are_bounded_by_more_processes_of_the_same_artifact(
    request_: PairedRequest, tmp_path: Path
) -> None:
    processes = Processes(bias=0.01)
    curve = Curve(runs=5, pool=4, quiet=30, slowdowns=(0.0,))
    found = operating_curve(request_, curve, tmp_path, silent, processes)
    assert (processes.asked, found["slowdown_false_alarms"]["processes"]) == (30, 30)
    assert found["slowdown_false_alarms"]["rate_high"] < 0.05
    few = Curve(runs=5, pool=4, slowdowns=(0.0,))
    assert operating_curve(request_, few, tmp_path, silent, processes)["slowdown_false_alarms"] is None
