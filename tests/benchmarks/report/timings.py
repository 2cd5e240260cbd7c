"""Times of artifacts on a made-up machine."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.evaluation.machine_figures import MachineFigures
from benchmarks.latency.single_artifact import Timing

TIMING = Timing(
    load_ms=2.0,
    cold_load_ms=90.0,
    first_inference_ms=5.0,
    latency_p50_ms=2.0,
    latency_p90_ms=2.5,
    latency_p99_ms=2.9,
    latency_runs=300,
    latency_profile="quick",
    latency_valid=True,
    latency_many_p50_ms=0.6,
    latency_many_p90_ms=0.9,
    latency_many_valid=True,
    threads=1,
    threads_many=2,
    peak_rss_bytes=10**8,
    baseline_rss_bytes=6 * 10**7,
)


def timings_of(names: Iterable[str]) -> MachineFigures:
    """Figures of the files that ``full_measurement`` names."""
    return MachineFigures(artifacts=dict.fromkeys(names, TIMING), sha256=dict.fromkeys(names, "f" * 64))
