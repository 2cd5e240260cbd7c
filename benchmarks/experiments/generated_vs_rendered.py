"""Accuracy of classifiers trained on generated images only, on rendered images only, and on both.

Three arms use the same prompts and differ only in what draws them: ``synthetic`` the Stable Diffusion generator,
``rendered`` the renderer, ``mix`` each of them half of the scenes (the same images as in the other arms). Each arm is
curated, split and trained by the ``gossamer`` commands with the checkout's params.yaml, except for generator, number of
prompts and seed. All classifiers are tested on the same rendered selfies.

Reads params.yaml, policies/ and the code; leaves its work in the work area.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field

from benchmarks.evaluation.estimates import Estimate
from benchmarks.experiment_harness.course import (
    IMAGES,
    KEPT,
    PROMPTS,
    ROWS,
    SELFIES,
    Experiment,
    StageFolder,
    open_experiment,
)
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.training_run import (
    Correct,
    TrainingData,
    accuracies,
    mean_accuracy,
    mean_gain,
    read_correct,
    train_and_test,
)
from benchmarks.experiment_harness.workspace import ReportProgress, Step, run_steps
from pipeline.config.fields import Positive, Section, Seed
from pipeline.data.hashing import hash_share
from pipeline.data.machine_figures import MACHINE_JSON, find_figure, read_machine_figures
from pipeline.data.records import Image
from pipeline.data.shards import INDEX, read_bytes, read_index, repack, write_images
from pipeline.data.storage import read_rows

RESULT = "compare"

Arm = Literal["synthetic", "rendered", "mix"]
GENERATORS: Mapping[Arm, tuple[str, ...]] = {
    "synthetic": ("stable_diffusion",),
    "rendered": ("rendered",),
    "mix": ("rendered", "stable_diffusion"),
}
"""Arm -> the generators of its images."""
_MIX_SEED = 1


class Params(Section):
    """Size of the experiment.

    Attributes:
        images: Number of prompts per arm.
        seeds: Seeds of the trainings per arm.
        arms: Arms to run.
    """

    images: Positive = 6000
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (11,)
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)] = ("synthetic", "rendered", "mix")


class ArmResult(ResultRecord):
    """One arm.

    Attributes:
        seeds: Seeds of its trainings.
        accuracy: Mean accuracy over the trainings.
        accuracies: Accuracy of each training.
        images: Images before curation.
        kept_images: Images after curation.
        generate_seconds: Duration of generating the images; None where the rate of a generator is unknown.
        curate_seconds: Duration of curation; None where unknown.
        train_seconds: Duration of each training; None where unknown.
    """

    seeds: tuple[int, ...]
    accuracy: Estimate
    accuracies: tuple[float, ...]
    images: int
    kept_images: int
    generate_seconds: float | None
    curate_seconds: float | None
    train_seconds: tuple[float | None, ...]


class Result(ResultRecord):
    """The arms that were run, and points of accuracy between ``rendered`` and ``synthetic`` where both were."""

    synthetic: ArmResult | None = None
    rendered: ArmResult | None = None
    mix: ArmResult | None = None
    images: int
    selfies: int
    gap_points: Estimate | None = None


def run(params: Params, work: Path, report_progress: ReportProgress) -> Result:
    """Make, train and test every arm.

    Raises:
        ParamsError: The checkout's params.yaml is missing or wrong.
        DataError: A command failed.
    """
    experiment = open_experiment(params, work)
    run_steps(list(plan(experiment)), report_progress)
    return read_result(experiment)


def plan(experiment: Experiment[Params]) -> Iterator[Step]:
    """List all steps in order: prompts and selfies, images of each generator, then each arm."""
    common = _open(experiment, "common")
    yield common.prompts()
    yield common.selfies()
    for generator in sorted({name for arm in experiment.params.arms for name in GENERATORS[arm]}):
        folder = _open(experiment, f"images-{generator}", generator)
        yield folder.generate(common.path / PROMPTS, ("common/prompts",))
    for arm in experiment.params.arms:
        yield from _plan_arm(experiment, arm)


def read_result(experiment: Experiment[Params]) -> Result:
    """Read what the steps left."""
    params, work = experiment.params, experiment.work
    correct = {arm: [read_correct(work / f"arm-{arm}-seed-{seed}") for seed in params.seeds] for arm in params.arms}
    result = Result(images=params.images, selfies=len(read_index(work / "common" / SELFIES)))
    update: dict[str, object] = {arm: _read_arm(experiment, arm, correct[arm]) for arm in params.arms}
    if "synthetic" in correct and "rendered" in correct:
        update["gap_points"] = mean_gain(correct["synthetic"], correct["rendered"])
    return result.model_copy(update=update)


def mix_scenes(rows: Mapping[str, Sequence[Image]]) -> Iterator[tuple[str, Image]]:
    """Take half of the scenes from each of two generators: yields (generator, its image) in the order of the prompts.

    A hash of the scene's name decides between the generators, so that no factor is correlated with the generator.
    """
    first, second = rows
    groups = sorted({image.group for image in rows[first]}, key=lambda group: (hash_share(_MIX_SEED, group), group))
    from_first = set(groups[: len(groups) // 2])
    for one, other in zip(rows[first], rows[second], strict=True):
        yield (first, one) if one.group in from_first else (second, other)


def generate_seconds(images: Sequence[int], rates: Sequence[float | None]) -> float | None:
    """Duration of generating an arm's images: its generators draw equal shares.

    Args:
        images: Images of each generator.
        rates: Images per second of each generator; None: unknown.
    """
    seconds = [count / rate for count, rate in zip(images, rates, strict=True) if rate]
    return round(fmean(seconds), 1) if len(seconds) == len(images) else None


def _open(
    experiment: Experiment[Params], name: str, generator: str = "rendered", seed: int | None = None
) -> StageFolder:
    return experiment.open(
        name,
        {
            "dataset": {"source": "generated"},
            "prompts": {"count": experiment.params.images},
            "generate": {"generator": generator, "mix": {}},
            "train": {} if seed is None else {"seed": seed},
        },
    )


def _images(experiment: Experiment[Params], arm: Arm) -> Path:
    """Folder of an arm's images."""
    generators = GENERATORS[arm]
    folder = f"arm-{arm}" if len(generators) > 1 else f"images-{generators[0]}"
    return experiment.work / folder / IMAGES


def _plan_arm(experiment: Experiment[Params], arm: Arm) -> Iterator[Step]:
    folder, images = _open(experiment, f"arm-{arm}"), _images(experiment, arm)
    needs = tuple(f"images-{generator}/generate" for generator in GENERATORS[arm])
    if len(needs) > 1:
        merge = folder.step("merge", "generate", partial(_merge, experiment, images), (images / INDEX,), needs)
        yield merge
        needs = (merge.name,)
    yield folder.curate(images, needs)
    yield folder.split()
    rows = folder.path / ROWS[0], folder.path / ROWS[1]
    data = TrainingData(rows, images, experiment.work / "common" / SELFIES, (f"arm-{arm}/split", "common/selfies"))
    for seed in experiment.params.seeds:
        yield from train_and_test(_open(experiment, f"arm-{arm}-seed-{seed}", seed=seed), data)


def _merge(experiment: Experiment[Params], out: Path) -> None:
    folders = {generator: experiment.work / f"images-{generator}" / IMAGES for generator in GENERATORS["mix"]}
    mixed = mix_scenes({generator: read_index(folder) for generator, folder in folders.items()})
    encoded = (repack(image, read_bytes(folders[generator], image)) for generator, image in mixed)
    write_images(out, encoded, experiment.base.generate.images_per_shard)


def _read_arm(experiment: Experiment[Params], arm: Arm, correct: Sequence[Correct]) -> ArmResult:
    work, seeds = experiment.work, experiment.params.seeds
    folders = [work / f"images-{generator}" for generator in GENERATORS[arm]]
    counts = [len(read_index(folder / IMAGES)) for folder in folders]
    rates = [_machine_figure(folder, "generate", "images_per_second") for folder in folders]
    return ArmResult(
        seeds=seeds,
        accuracy=mean_accuracy(correct),
        accuracies=accuracies(correct),
        images=len(read_index(_images(experiment, arm))),
        kept_images=len(read_rows(work / f"arm-{arm}" / KEPT, Image)),
        generate_seconds=generate_seconds(counts, rates),
        curate_seconds=_machine_figure(work / f"arm-{arm}", "curate", "seconds"),
        train_seconds=tuple(_machine_figure(work / f"arm-{arm}-seed-{seed}", "train", "seconds") for seed in seeds),
    )


def _machine_figure(folder: Path, stage: str, name: str) -> float | None:
    return find_figure(read_machine_figures(folder / "metrics" / MACHINE_JSON), stage, name)
