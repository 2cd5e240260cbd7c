"""Peak memory of one artifact in its own runtime, in a fresh process: loaded, and run on a few frames.

``measure_peak_memory`` starts ``python -m benchmarks.latency.peak_memory REQUEST RESULT``. A fresh process, because
memory that another artifact or runtime once took is not given back. Writes nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.latency.isolated_process import ProcessRequest, main_isolated, run_isolated
from benchmarks.latency.single_artifact import Load, peak_rss_bytes
from pipeline.data.records import Record

TIMEOUT_S = 120
_MODULE = "benchmarks.latency.peak_memory"


class MemoryRequest(Record):
    """One artifact, and the frames it is run on.

    Attributes:
        format: Its format.
        path: Model file or package.
        frames: .npy file, uint8 (n, height, width, 3) RGB.
        threads: Threads of its runtime.
    """

    format: str
    path: Path
    frames: Path
    threads: int


class PeakMemory(Record):
    """Most memory that the process had resident, Python and the runtime's libraries included, in bytes."""

    peak_rss_bytes: int


def measure_peak_memory(request: MemoryRequest) -> PeakMemory:
    """Load and run one artifact in a fresh process.

    Raises:
        ModelError: The process could not load or run the artifact, or took longer than ``TIMEOUT_S``.
    """
    remedy = "is the machine overloaded?"
    process = ProcessRequest(_MODULE, request.path, request.format, request.threads, TIMEOUT_S, remedy)
    return run_isolated(process, request, PeakMemory)


def run(request: MemoryRequest, load: Load) -> PeakMemory:
    """Load and run an artifact in this process."""
    predict = load(request.path, request.threads)
    for frame in np.load(request.frames):
        predict(frame)
    return PeakMemory(peak_rss_bytes=peak_rss_bytes())


def main(arguments: Sequence[str]) -> int:
    """Entry of the fresh process: read the request, write the result; returns the exit status."""
    from export.formats import open_format

    return main_isolated(arguments, MemoryRequest, lambda request: run(request, open_format(request.format).load))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
