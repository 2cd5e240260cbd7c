"""Where the gate times artifacts: the candidate's beside the accepted ones, both from files that are what they claim.

Reads artifacts/, data/selfies/ for frames, and data/baseline/ (``baseline_artifacts``); starts the fresh processes of
``benchmarks.latency.side_by_side``; writes nothing.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gate.baseline import Baseline
from benchmarks.gate.baseline_artifacts import FETCH, Models, check_artifacts, read_fetched
from benchmarks.gate.checks.check_results import Measured, artifacts_of
from benchmarks.gate.checks.resource_growth import Bench, no_bench
from benchmarks.latency.side_by_side import PairedRequest, PairedTiming, compare_latency
from pipeline.config.params import PairedLatencyParams
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.shards import load_batch, read_index
from pipeline.errors import ModelError

_FRAMES = 32


@dataclass(frozen=True, slots=True)
class Places:
    """Folders: the candidate's artifacts, the selfies, and what was fetched of the baseline."""

    artifacts: Path = Path("artifacts")
    selfies: Path = Path("data/selfies")
    fetched: Path = Path("data/baseline")


def open_bench(params: PairedLatencyParams, measured: Measured, baseline: Baseline | None, places: Places) -> Bench:
    """Find both sides' files and check them.

    Raises:
        DataError: An artifact is missing, or not the one that was measured or accepted; names its file.
    """
    if baseline is None:
        return no_bench("no baseline was accepted yet")
    theirs = read_fetched(places.fetched, baseline.accepted)
    if theirs is None:
        how = FETCH if baseline.accepted.revision else "gossamer baseline accept, for this one names no revision"
        return no_bench(f"the baseline's artifacts are not in {places.fetched}; run {how}, then dvc repro gate")
    found = {name: each.get("sha256") for name, each in artifacts_of(measured).items()}
    hashes = {name: digest for name, digest in found.items() if isinstance(digest, str)}
    ours = check_artifacts(places.artifacts, hashes, "that was measured", "dvc repro measure")
    threads = measured.get("threads")
    asked = _Asked(params, places.selfies, threads if isinstance(threads, int) else 1)
    return Bench(lambda name, run: _time(asked, ours, theirs, name, run))


@dataclass(frozen=True, slots=True)
class _Asked:
    params: PairedLatencyParams
    selfies: Path
    threads: int


def _time(asked: _Asked, ours: Models, theirs: Models, name: str, run: int) -> PairedTiming:
    """Time one artifact on the first selfies, as its own record has them prepared."""
    if name not in ours or name not in theirs:
        raise ModelError(f"{name}: its file is unknown to metrics/measure.json or to the baseline")
    (candidate, record), (baseline, before) = ours[name], theirs[name]
    if record.preprocess["input_size"] != before.preprocess["input_size"]:
        raise ModelError(f"{name}: another input size than the baseline's, so no frame is for both")
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.npy"
        spec = PreprocessSpec.model_validate(record.preprocess)
        np.save(frames, load_batch(asked.selfies, read_index(asked.selfies)[:_FRAMES], spec))
        return compare_latency(
            PairedRequest(
                format=record.format,
                candidate=candidate.resolve(),
                baseline=baseline.resolve(),
                frames=frames,
                threads=asked.threads,
                warmup=asked.params.warmup,
                pairs=asked.params.pairs,
                processes=asked.params.processes,
                seed=asked.params.seed + run,
            )
        )
