"""Power of the latency gate with simulated processes, whose ratios and therefore catch rates are known."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks.experiments.gate_power.latency_power import WORK, PowerConfig, judge_medians, measure_power
from benchmarks.latency.side_by_side import PairedRequest, PairedTiming, ProcessTiming, judge_runs
from tests.benchmarks.experiments.steps import silent


class Processes:
    """Replaces real processes: the ratio is the slowdown plus a random bias; counts its calls."""

    def __init__(self, bias: float) -> None:
        self.bias, self.calls = bias, 0

    def __call__(self, request: PairedRequest, number: int) -> ProcessTiming:
        self.calls += 1
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


@pytest.mark.parametrize("pool", [0, 12])
def test_without_noise_exactly_the_slowdowns_above_the_limit_are_caught(
    request_: PairedRequest, tmp_path: Path, pool: int
) -> None:
    power = measure_power(request_, PowerConfig(runs=5, pool=pool), tmp_path, silent, Processes(bias=0))
    assert power.slowdown_caught == {"0.00": 0.0, "0.02": 0.0, "0.05": 1.0, "0.10": 1.0}
    assert power.slowdowns is not None
    assert power.slowdowns["0.10"].median_ratio == pytest.approx(1.1)
    assert power.slowdown_settings is not None
    assert power.slowdown_settings.independent is (pool == 0)


def test_between_the_limits_the_gate_warns(request_: PairedRequest, tmp_path: Path) -> None:
    config = PowerConfig(runs=4, slowdowns=(0.01, 0.03))
    slowdowns = measure_power(request_, config, tmp_path, silent, Processes(bias=0)).slowdowns
    assert slowdowns is not None
    assert (slowdowns["0.01"].warned.value, slowdowns["0.03"].warned.value, slowdowns["0.03"].caught.value) == (
        0.0,
        1.0,
        0.0,
    )


def test_independent_runs_share_no_process_and_have_the_wilson_interval(
    request_: PairedRequest, tmp_path: Path
) -> None:
    processes = Processes(bias=0)
    config = PowerConfig(runs=10, slowdowns=(0.0, 0.10))
    slowdowns = measure_power(request_, config, tmp_path, silent, processes).slowdowns
    assert slowdowns is not None
    assert (slowdowns["0.00"].processes, slowdowns["0.10"].processes) == (10 * 3, 10 * 2 * 3)  # 10 % is run twice
    assert processes.calls == 90
    assert (slowdowns["0.00"].caught.low, slowdowns["0.00"].caught.high) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert (slowdowns["0.10"].caught.low, slowdowns["0.10"].caught.high) == pytest.approx((0.7225, 1.0), abs=1e-3)


def test_more_runs_of_one_pool_do_not_narrow_the_interval(request_: PairedRequest, tmp_path: Path) -> None:
    widths = []
    for runs in (100, 3000):
        config = PowerConfig(runs=runs, pool=12, slowdowns=(0.05,))
        row = measure_power(request_, config, tmp_path, silent, Processes(bias=0.02)).slowdowns["0.05"]
        assert row.caught.low <= row.caught.value <= row.caught.high
        assert (row.runs, row.processes) == (runs, 12)
        widths.append(row.caught.high - row.caught.low)
    assert min(widths) > 0.3
    assert widths[1] == pytest.approx(widths[0], abs=0.15)


def test_an_interrupted_run_resumes(request_: PairedRequest, tmp_path: Path) -> None:
    class Stopped(Processes):
        def __call__(self, request: PairedRequest, number: int) -> ProcessTiming:
            if self.calls == 7:
                raise KeyboardInterrupt
            return super().__call__(request, number)

    config = PowerConfig(runs=10, pool=4)
    with pytest.raises(KeyboardInterrupt):
        measure_power(request_, config, tmp_path, silent, Stopped(bias=0.01))
    assert len(list((tmp_path / WORK).glob("*/*.json"))) == 7
    again, fresh = Processes(bias=0.01), Processes(bias=0.01)
    power = measure_power(request_, config, tmp_path, silent, again)
    assert again.calls == 4 * 4 - 7
    (tmp_path / "fresh").mkdir()
    assert power == measure_power(request_, config, tmp_path / "fresh", silent, fresh)


def test_processes_of_another_artifact_are_not_reused(request_: PairedRequest, tmp_path: Path) -> None:
    config = PowerConfig(runs=2, pool=3)
    measure_power(request_, config, tmp_path, silent, Processes(bias=0))
    request_.candidate.write_bytes(b"another")
    processes = Processes(bias=0)
    measure_power(request_, config, tmp_path, silent, processes)
    assert processes.calls == 4 * 3


def test_slowdowns_alternate(request_: PairedRequest, tmp_path: Path) -> None:
    order = []

    def record(request: PairedRequest, number: int) -> ProcessTiming:
        order.append((number, request.slowdown))
        return Processes(bias=0)(request, number)

    measure_power(request_, PowerConfig(runs=1, pool=2, slowdowns=(0.0, 0.05)), tmp_path, silent, record)
    assert order == [(0, 0.0), (0, 0.05), (1, 0.0), (1, 0.05)]


def test_many_runs_at_once_are_judged_like_single_ones() -> None:
    grid = np.array([0.95, 1.0, 1.02, 1.021, 1.04, 1.041, 1.2])
    first, second = (each.ravel() for each in np.meshgrid(grid, grid))
    failed, warned = judge_medians(first, second, 0.02, 0.04)

    def timing(ratio: float) -> PairedTiming:
        return PairedTiming(ratios=(ratio,), candidate_p50_ms=1.0, baseline_p50_ms=1.0)

    for at in range(len(first)):
        pair = float(first[at]), float(second[at])
        judged = judge_runs(lambda run, pair=pair: timing(pair[run]))
        assert (judged.verdict == "fail", judged.warned) == (failed[at], warned[at]), pair


def test_false_alarms_are_bounded_by_more_processes_with_identical_artifacts(
    request_: PairedRequest, tmp_path: Path
) -> None:
    processes = Processes(bias=0.01)
    config = PowerConfig(runs=5, pool=4, identical_processes=30, slowdowns=(0.0,))
    power = measure_power(request_, config, tmp_path, silent, processes)
    assert (processes.calls, power.slowdown_false_alarms.processes) == (30, 30)
    assert power.slowdown_false_alarms.rate_high < 0.05
    few = PowerConfig(runs=5, pool=4, slowdowns=(0.0,))
    assert measure_power(request_, few, tmp_path, silent, processes).slowdown_false_alarms is None
