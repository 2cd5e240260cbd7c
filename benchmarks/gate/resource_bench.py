"""Measures latency and memory of the candidate's artifacts beside the accepted ones, on this machine.

Reads artifacts/, data/selfies/ for frames, and data/baseline/ (``baseline_artifacts``). Every file is compared with its
SHA-256 first. Starts the fresh processes of ``benchmarks.latency.side_by_side`` and ``benchmarks.latency.peak_memory``;
writes nothing but temporary frames.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.evaluation.measurement import Measurement
from benchmarks.evaluation.selfie_sets import set_folder
from benchmarks.gate.baseline import Baseline
from benchmarks.gate.baseline_artifacts import FETCH, Models, check_artifacts, read_fetched
from benchmarks.gate.checks.resource_growth import Bench, PairedMemory, closed_bench
from benchmarks.latency.peak_memory import MemoryRequest, measure_peak_memory
from benchmarks.latency.side_by_side import PairedRequest, PairedTiming, compare_latency
from pipeline.config.params import PairedLatencyParams
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact
from pipeline.data.shards import load_batch, read_index
from pipeline.errors import ModelError

_FRAMES = 32


@dataclass(frozen=True, slots=True)
class Places:
    """Folders: the candidate's artifacts, the selfies, and the baseline's artifacts as they were fetched."""

    artifacts: Path = Path("artifacts")
    selfies: Path = Path("data/selfies")
    fetched: Path = Path("data/baseline")


def open_bench(
    params: PairedLatencyParams, measurement: Measurement, baseline: Baseline | None, places: Places
) -> Bench:
    """Find the files of both sides and check them.

    Raises:
        DataError: An artifact is missing, or not the one that was measured or accepted; names its file.
    """
    if baseline is None:
        return closed_bench("no baseline was accepted yet", _why_not_timeable)
    theirs = read_fetched(places.fetched, baseline.accepted)
    if theirs is None:
        how = FETCH if baseline.accepted.revision else "gossamer baseline accept, for this one names no revision"
        why = f"the baseline's artifacts are not in {places.fetched}; run {how}, then dvc repro gate"
        return closed_bench(why, _why_not_timeable)
    hashes = {name: row.sha256 for name, row in measurement.artifacts.items()}
    ours = check_artifacts(places.artifacts, hashes, "that was measured", "dvc repro measure")
    sides = _Sides(params, set_folder(places.selfies, measurement.headline), measurement.threads, ours, theirs)
    return Bench(sides.time, sides.memory, why_not_timeable=_why_not_timeable)


@dataclass(frozen=True, slots=True)
class _Pair:
    """One artifact of both sides, and the frames both are run on."""

    record: Artifact
    candidate: Path
    baseline: Path
    frames: Path


@dataclass(frozen=True, slots=True)
class _Sides:
    params: PairedLatencyParams
    selfies: Path
    threads: int
    ours: Models
    theirs: Models

    def time(self, name: str, run: int) -> PairedTiming:
        with self._open(name) as pair:
            return compare_latency(
                PairedRequest(
                    format=pair.record.format,
                    candidate=pair.candidate,
                    baseline=pair.baseline,
                    frames=pair.frames,
                    threads=self.threads,
                    warmup=self.params.warmup,
                    pairs=self.params.pairs,
                    processes=self.params.processes,
                    seed=self.params.seed + run,
                )
            )

    def memory(self, name: str) -> PairedMemory:
        with self._open(name) as pair:
            candidate, baseline = (
                measure_peak_memory(
                    MemoryRequest(format=pair.record.format, path=path, frames=pair.frames, threads=self.threads)
                )
                for path in (pair.candidate, pair.baseline)
            )
        return PairedMemory(candidate.peak_rss_bytes, baseline.peak_rss_bytes)

    @contextmanager
    def _open(self, name: str) -> Iterator[_Pair]:
        """Write the first selfies as frames, prepared as the artifact's own record demands."""
        if name not in self.ours or name not in self.theirs:
            raise ModelError(f"{name}: its file is unknown to metrics/measure.json or to the baseline")
        (candidate, record), (baseline, before) = self.ours[name], self.theirs[name]
        if record.preprocess["input_size"] != before.preprocess["input_size"]:
            raise ModelError(f"{name}: another input size than the baseline's, so no frame fits both")
        with tempfile.TemporaryDirectory() as folder:
            frames = Path(folder) / "frames.npy"
            spec = PreprocessSpec.model_validate(record.preprocess)
            np.save(frames, load_batch(self.selfies, read_index(self.selfies)[:_FRAMES], spec))
            yield _Pair(record, candidate.resolve(), baseline.resolve(), frames)


def _why_not_timeable(format_name: str) -> str:
    from export.formats import open_format

    return open_format(format_name).runtime().unmeasured
