"""Share of timm's backbones that train one step, and that each format exports.

Draws names of timm at random; each is built for each input size with random weights, takes one step of training, and is
exported to each format in its first recipe, loaded again and compared. Every attempt runs in a process of its own, so
that one that crashes or does not end is counted. A finished attempt leaves an entry in the work area and is not
repeated. Networks above ``max_parameters`` are too large for a phone: they are counted, and not tried. An artifact that
this machine cannot run is counted apart: it was exported, but is unmeasured.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import timm
import torch
from pydantic import Field

from benchmarks.evaluation.estimates import Estimate
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.workspace import ReportProgress
from benchmarks.latency.isolated_process import ProcessRequest, main_isolated, run_isolated
from export.formats import ExportJob, format_names, open_format
from export.parity import ReferencePredictions, one_by_one
from pipeline.config.fields import Positive, Section, Seed
from pipeline.config.params import load_params
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Record
from pipeline.data.storage import read_json
from pipeline.data.work_cache import open_work, work_key
from pipeline.errors import GossamerError, ModelError, UnmeasurableError
from pipeline.metrics.statistics import wilson_interval
from pipeline.train.backbone import FAILURES, build_network
from pipeline.train.branch_fusion import fuse_branches
from pipeline.train.model import PortableClassifier
from pipeline.train.trainer import MicroBatch, Trainer, reproducible_pool

TRAIN = "train"
LABELS = ("no", "yes")
FRAMES = 4
MAX_DIFFERENCE = 0.01
"""Largest difference of a probability from the network's: several times what half precision costs; NaN counts as 1."""
METADATA = {"author": "Gossamer", "license": "Apache-2.0", "version": "0", "description": "", "checkpoint_id": ""}
PACKAGES = ("timm", "torch", "coremltools", "litert-torch", "onnx", "onnxruntime")


class Params(Section):
    """What is tried.

    Attributes:
        sample: Number of names.
        sizes: (height, width) of the images, in pixels.
        max_parameters: Networks with more are not tried.
        timeout_s: Seconds after which an attempt has failed.
        max_memory: Bytes that the process of an attempt may allocate.
        seed: Seed of the sample, the weights and the images.
    """

    sample: Positive = 60
    sizes: Annotated[tuple[tuple[Positive, Positive], ...], Field(min_length=1)] = ((128, 96), (224, 224))
    max_parameters: Positive = 60_000_000
    timeout_s: Positive = 300
    max_memory: Positive = 8_000_000_000
    seed: Seed = 29


class Attempt(Record):
    """One thing to try with one backbone: ``step`` is "train" or the name of a format."""

    backbone: str
    size: tuple[int, int]
    step: str
    seed: int
    max_memory: int


class Outcome(Record):
    """How an attempt ended.

    Attributes:
        reason: Why it failed, or why the artifact is unmeasured; empty if it succeeded.
        unmeasured: Whether the artifact was exported, and cannot be run here.
    """

    reason: str
    unmeasured: bool = False


class Share(ResultRecord):
    """Share of the backbones tried that take a step, at one input size.

    Attributes:
        step: "train" or the name of a format.
        size: (height, width) of the images, in pixels.
        passed: Backbones that took it.
        unmeasured: Backbones that were exported, but cannot be run on this machine; not among those passed.
        tried: Backbones that were tried.
        share: Passed of those tried, with its interval.
    """

    step: str
    size: tuple[int, int]
    passed: int
    unmeasured: int
    tried: int
    share: Estimate


class Failure(ResultRecord):
    """An attempt that failed or whose artifact is unmeasured, and the reason."""

    backbone: str
    size: tuple[int, int]
    step: str
    reason: str


class Result(ResultRecord):
    """Shares with 95 % intervals (Wilson), and every failure."""

    shares: tuple[Share, ...]
    failures: tuple[Failure, ...]
    too_large: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sample:
    names: tuple[str, ...]
    too_large: tuple[str, ...]


def run(params: Params, work: Path, report_progress: ReportProgress) -> Result:
    """Try every sampled backbone, except attempts that an interrupted run has finished."""
    modules = (__name__, *(f"export.formats.{name}" for name in format_names()))
    cache = open_work(
        work / "attempts", work_key({"timeout_s": params.timeout_s, "max_memory": params.max_memory}, modules, PACKAGES)
    )
    sample = draw_sample(params)
    attempts = list(list_attempts(params, sample.names))
    outcomes: dict[Attempt, Outcome] = {}
    for number, attempt in enumerate(attempts):
        report_progress(number, len(attempts), f"{attempt.backbone} {attempt.step}")
        height, width = attempt.size
        entry = f"{attempt.backbone}-{height}x{width}-{attempt.step}-{attempt.seed}.json"
        if not cache.has(entry):
            outcome = try_isolated(attempt, params.timeout_s)
            with cache.write(entry) as file:
                file.write(outcome.model_dump_json().encode())
        outcomes[attempt] = read_json(cache.path(entry), Outcome)
    report_progress(len(attempts), len(attempts), "done")
    return summarise(outcomes, sample.too_large)


def draw_sample(params: Params) -> _Sample:
    """Draw names of timm without replacement, and set aside those that are too large."""
    names = random.Random(params.seed).sample(timm.list_models(), params.sample)  # noqa: S311 - no secret
    large = {name for name in names if _parameters(name) > params.max_parameters}
    return _Sample(tuple(name for name in names if name not in large), tuple(sorted(large)))


def list_attempts(params: Params, names: tuple[str, ...]) -> Iterator[Attempt]:
    """List what is tried: each name at each size, training first, then each format."""
    for name in names:
        for size in params.sizes:
            for step in (TRAIN, *format_names()):
                yield Attempt(backbone=name, size=size, step=step, seed=params.seed, max_memory=params.max_memory)


def try_isolated(attempt: Attempt, timeout_s: float) -> Outcome:
    """Run an attempt in a process of its own; a crash or a timeout is its reason."""
    remedy = "--set timeout_s=SECONDS"
    request = ProcessRequest(__name__, Path(attempt.backbone), attempt.step, 1, timeout_s, remedy)
    try:
        return run_isolated(request, attempt, Outcome)
    except ModelError as error:
        return Outcome(reason=str(error))


def try_one(attempt: Attempt) -> Outcome:
    """Train one step, or export and compare; limits the memory of this process."""
    _limit_memory(attempt.max_memory)
    try:
        _train_one_step(attempt) if attempt.step == TRAIN else _export(attempt)
    except UnmeasurableError as error:
        return Outcome(reason=str(error), unmeasured=True)
    except GossamerError as error:
        return Outcome(reason=f"refused: {error}")
    except (OSError, *FAILURES) as error:
        return Outcome(reason=f"{type(error).__name__}: {str(error).strip()[:300]}")
    return Outcome(reason="")


def summarise(outcomes: dict[Attempt, Outcome], too_large: tuple[str, ...]) -> Result:
    """Count outcomes by step and size."""
    shares = []
    for step, size in dict.fromkeys((attempt.step, attempt.size) for attempt in outcomes):
        found = [outcome for each, outcome in outcomes.items() if (each.step, each.size) == (step, size)]
        passed, tried = sum(not outcome.reason for outcome in found), len(found)
        low, high = wilson_interval(passed, tried)
        estimate = Estimate(value=passed / tried, low=low, high=high)
        unmeasured = sum(outcome.unmeasured for outcome in found)
        shares.append(Share(step=step, size=size, passed=passed, unmeasured=unmeasured, tried=tried, share=estimate))
    failures = tuple(
        Failure(backbone=attempt.backbone, size=attempt.size, step=attempt.step, reason=outcome.reason)
        for attempt, outcome in outcomes.items()
        if outcome.reason
    )
    return Result(shares=tuple(shares), failures=failures, too_large=too_large)


def _limit_memory(size: int) -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (size, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _parameters(name: str) -> int:
    with torch.device("meta"):
        network: Any = timm.create_model(name)
    return sum(parameter.numel() for parameter in network.parameters())


def _build(attempt: Attempt) -> torch.nn.Module:
    torch.manual_seed(attempt.seed)
    return build_network(attempt.backbone, len(LABELS), input_size=attempt.size)


def _frames(attempt: Attempt) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(attempt.seed).integers(0, 256, (FRAMES, *attempt.size, 3), np.uint8)


def _train_one_step(attempt: Attempt) -> None:
    """Take one step as stage train does, on random images.

    Raises:
        ModelError: The loss is not finite.
    """
    params = load_params().train.model_copy(update={"device": "cpu", "threads": 1, "batch_size": FRAMES})
    batch = MicroBatch(_frames(attempt), np.arange(FRAMES) % len(LABELS))
    with reproducible_pool(params) as pool:
        trainer = Trainer(_build(attempt), PreprocessSpec(input_size=attempt.size), params, pool)
        loss = trainer.step([batch], params.learning_rate)
    if not np.isfinite(loss):
        raise ModelError(f"{attempt.backbone}: the loss of the first step is not finite")


def _export(attempt: Attempt) -> None:
    """Export the first recipe of a format, load it and compare its probabilities.

    Raises:
        ModelError: The artifact's probabilities differ.
    """
    spec, frames = PreprocessSpec(input_size=attempt.size), _frames(attempt)
    network = PortableClassifier(fuse_branches(_build(attempt)), spec).eval()
    with torch.inference_mode():
        probabilities = network(torch.from_numpy(frames)).numpy()
    reference = ReferencePredictions(frames, probabilities, 0.5, np.zeros(FRAMES, np.int64))
    job = ExportJob(network, spec, LABELS, frames, reference, load_params().convert.int8, METADATA)
    chosen = open_format(attempt.step)
    recipe = chosen.RECIPES[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{recipe}{chosen.suffix(recipe)}"
        chosen.export(job, recipe, chosen.Params(recipes=(recipe,)), path)
        parity = reference.parity_of(one_by_one(chosen.load(path)))
    if parity.max_abs_probability_diff > MAX_DIFFERENCE:
        raise ModelError(f"{attempt.backbone}: {attempt.step} {recipe} differs: {parity}")


if __name__ == "__main__":
    sys.exit(main_isolated(sys.argv[1:], Attempt, try_one))
