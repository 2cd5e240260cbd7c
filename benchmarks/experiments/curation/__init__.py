"""Whether curation finds planted and real errors, whether the classifier gains from it, and what it costs.

- Labels of rendered images are certain. Some are changed, uniformly or in one slice, and searched for: by each
  predictor of ``gossamer curate`` alone, by both pooled, and by plain cleanlab (its defaults, on the probabilities of a
  default logistic regression on the same features). Then defects are planted and all of curation runs.
- A judge that curation does not use (``label_judge``) finds generated images that show another label than their own,
  before and after curation. Its error rate on rendered images of the same prompts stands beside it.
- Classifiers learn from all generated images, from the curated ones, from as many at random, and from all with the
  judge's labels; with the original labels, and with a share of them changed. All are tested on the same selfies.
- Curation of increasing numbers of rendered images: images per second, and memory of the largest process.

Reads params.yaml, policies/ and the bundled model; leaves its work in the work area.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from benchmarks.evaluation.estimates import Estimate
from benchmarks.experiment_harness.command_cost import run_measured
from benchmarks.experiment_harness.course import (
    CURATED,
    IMAGES,
    KEPT,
    REJECTED,
    SELFIES,
    Experiment,
    StageFolder,
    open_experiment,
)
from benchmarks.experiment_harness.planted_errors import (
    KINDS,
    Defects,
    DetectionScore,
    choose,
    plant_defects,
    relabel,
    share_estimate,
)
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.workspace import ReportProgress, Step, run_steps
from benchmarks.experiments.curation import downstream_accuracy
from benchmarks.experiments.curation.downstream_accuracy import DownstreamConfig
from benchmarks.experiments.curation.label_judge import find_disagreements, judge_labels
from benchmarks.experiments.curation.label_noise import LabelNoise, score_noise
from pipeline.bundled_diffusion.prompt_alignment import HELMET_LOOKALIKES
from pipeline.config.fields import Positive, Section, Seed, Share
from pipeline.config.policy import load_policy
from pipeline.data.records import Image, Record, Rejection
from pipeline.data.shards import Encoded, read_index, write_images
from pipeline.data.storage import read_json, read_rows, write_json

GENERATORS = ("rendered", "stable_diffusion")
POLICY = "helmet"
LABELS = ("no_helmet", "helmet")
"""Labels of the policy, which the judge and the confusing headwear belong to."""
PLANTED, COST = Path("planted.json"), Path("cost.json")


class Params(Section):
    """Size of the experiment.

    Attributes:
        images: Number of prompts per generator.
        noise: Shares of labels to change.
        slice: (factor, value) of the images whose labels clustered noise changes.
        defects: Number of defects of each kind.
        pays: Training sets: (share of labels changed before, number of images). The cost of few wrong labels is
            visible only with many images.
        pays_seeds: Seeds of the trainings of each arm.
        cost_images: Numbers of images at which curation is timed.
        seed: Seed of prompts and changes.
    """

    images: Positive = 6000
    noise: tuple[Share, ...] = (0.05, 0.10, 0.20, 0.40)
    slice: tuple[str, str] = ("light", "night")
    defects: Positive = 100
    pays: tuple[tuple[Share, Positive], ...] = ((0.0, 6000), (0.10, 2000))
    pays_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (11, 12, 13)
    cost_images: tuple[Positive, ...] = (1000, 10000, 50000)
    seed: Seed = 4711


class PlantedDefects(Record):
    """Image id -> kind of the planted defect."""

    kinds: dict[str, str]


class CurationCost(Record):
    """Cost of curating a number of images."""

    images: int
    images_per_second: float
    peak_rss_bytes: int


class DefectResult(ResultRecord):
    """Defects of one kind: how many were planted, the share that was rejected, and reason -> rejected images."""

    INLINE: ClassVar[str] = "reasons"

    planted: int
    recall: Estimate
    reasons: dict[str, int]


class DefectsResult(ResultRecord):
    """Planted defects by kind, all rejected images, and the share of them that are defects."""

    INLINE: ClassVar[str] = "kinds"

    kinds: dict[str, DefectResult]
    rejected: int
    precision: float | None


class CostResult(ResultRecord):
    """Columns of the cost table, one entry per number of images."""

    images: tuple[int, ...]
    images_per_second: tuple[float, ...]
    peak_rss_bytes: tuple[int, ...]


class MislabelResult(ResultRecord):
    """Generated images whose label the judge disagrees with.

    Attributes:
        embedded_mislabel_rate_before: Their share before curation.
        embedded_mislabel_rate_after: Their share among the kept images.
        embedded_mislabel_rate_rejected: Their share among the rejected images.
        judge_error_on_rendered: Error rate of the judge on rendered images.
        embedded_images: Generated images before curation.
        embedded_rejected: Rejected images.
    """

    embedded_mislabel_rate_before: Estimate | None
    embedded_mislabel_rate_after: Estimate | None
    embedded_mislabel_rate_rejected: Estimate | None
    judge_error_on_rendered: Estimate | None
    embedded_images: int
    embedded_rejected: int


class Result(MislabelResult):
    """Everything that was measured.

    Attributes:
        noise: Method -> share of changed labels -> score.
        defects: Planted defects.
        pays: Share of labels changed before -> arms.
        cost: Cost of curation.
    """

    INLINE: ClassVar[str] = "noise"

    noise: dict[str, dict[str, DetectionScore]]
    defects: DefectsResult
    pays: dict[str, tuple[downstream_accuracy.ArmResult, ...]]
    cost: CostResult


def run(params: Params, work: Path, report_progress: ReportProgress) -> Result:
    """Generate, plant errors, curate, train and time.

    Raises:
        ParamsError: The checkout's params.yaml is missing or wrong.
        ModelError: The bundled model is incomplete.
        DataError: A command failed.
    """
    experiment = open_experiment(params, work, policy=POLICY)
    run_steps(list(plan(experiment)), report_progress)
    return measure(experiment)


def plan(experiment: Experiment[Params]) -> Iterator[Step]:
    """List all steps in order: selfies, images, defects, curation of each, the trainings, the costs."""
    params = experiment.params
    yield _open(experiment, "selfies").selfies()
    for generator in GENERATORS:
        folder = _open(experiment, f"images-{generator}", generator=generator)
        yield from (folder.prompts(), folder.generate(), folder.curate())
    defects = _open(experiment, "defects")
    action, needs = partial(_plant_defects, experiment, defects.path), ("images-rendered/generate",)
    plant = defects.step("plant", "curate", action, (PLANTED,), needs, count=params.defects, seed=params.seed)
    yield plant
    yield defects.curate(needs=(plant.name,))
    for _, config in _downstream(experiment):
        yield from downstream_accuracy.plan(config)
    for count in params.cost_images:
        folder = _open(experiment, f"cost-{count}", count=count)
        yield folder.prompts()
        generate = folder.generate()
        yield generate
        yield folder.step("time", "curate", partial(_time, folder), (COST,), (generate.name,))


def measure(experiment: Experiment[Params]) -> Result:
    """Measure what the steps left."""
    params, work = experiment.params, experiment.work
    noise = LabelNoise(LABELS, params.noise, params.slice, params.seed)
    policy = load_policy(experiment.policy_file)
    costs = [read_json(work / f"cost-{count}" / COST, CurationCost) for count in params.cost_images]
    return Result(
        noise=score_noise(_images(experiment), work / "features.work", noise, experiment.base.curate, policy),
        defects=score_defects(work / "defects"),
        **dict(score_labels(experiment)),
        pays={f"{share:.2f}": downstream_accuracy.read_result(config) for share, config in _downstream(experiment)},
        cost=CostResult(
            images=tuple(cost.images for cost in costs),
            images_per_second=tuple(cost.images_per_second for cost in costs),
            peak_rss_bytes=tuple(cost.peak_rss_bytes for cost in costs),
        ),
    )


def score_defects(folder: Path) -> DefectsResult:
    """Count the rejected images among the defects planted in a folder, and among all images."""
    planted = read_json(folder / PLANTED, PlantedDefects).kinds
    reasons = {row.image_id: row.reason for row in read_rows(folder / REJECTED, Rejection)}
    kinds = {}
    for kind in KINDS:
        ids = [image_id for image_id, planted_kind in planted.items() if planted_kind == kind]
        hits = [reasons[image_id] for image_id in ids if image_id in reasons]
        counts = {reason: hits.count(reason) for reason in dict.fromkeys(hits)}
        recall = share_estimate(len(hits), len(ids))
        if recall is not None:
            kinds[kind] = DefectResult(planted=len(ids), recall=recall, reasons=counts)
    hits_in_all = sum(image_id in planted for image_id in reasons)
    precision = hits_in_all / len(reasons) if reasons else None
    return DefectsResult(kinds=kinds, rejected=len(reasons), precision=precision)


def score_labels(experiment: Experiment[Params]) -> MislabelResult:
    """Compare labels with the judge's, before and after curation of the generated images."""
    rendered, generated = (find_disagreements(_images(experiment, name), LABELS) for name in GENERATORS)
    rows = read_rows(experiment.work / "images-stable_diffusion" / KEPT, Image)
    kept = {image.id: generated[image.id] for image in rows}
    rejected = {image_id: wrong for image_id, wrong in generated.items() if image_id not in kept}
    return MislabelResult(
        embedded_mislabel_rate_before=_rate(generated),
        embedded_mislabel_rate_after=_rate(kept),
        embedded_mislabel_rate_rejected=_rate(rejected),
        judge_error_on_rendered=_rate(rendered),
        embedded_images=len(generated),
        embedded_rejected=len(rejected),
    )


def _open(
    experiment: Experiment[Params], name: str, seed: int | None = None, generator: str = "rendered", count: int = 0
) -> StageFolder:
    """Open a folder; ``seed`` is that of a training."""
    return experiment.open(
        name,
        {
            "dataset": {"source": "generated"},
            "prompts": {
                "count": count or experiment.params.images,
                "seed": experiment.params.seed,
                "top_up": {},
            },
            "generate": {"generator": generator, "mix": {}},
            "train": {} if seed is None else {"seed": seed},
        },
    )


def _images(experiment: Experiment[Params], generator: str = "rendered") -> Path:
    return experiment.work / f"images-{generator}" / IMAGES


def _downstream(experiment: Experiment[Params]) -> Iterator[tuple[float, DownstreamConfig]]:
    """Training sets: (share of labels changed before, config)."""
    for share, count in experiment.params.pays:
        yield (
            share,
            DownstreamConfig(
                name=f"pays-{share:.2f}",
                source=_images(experiment, "stable_diffusion"),
                relabel=partial(_change_labels, share=share, count=count, seed=experiment.params.seed),
                oracle=partial(judge_labels, labels=LABELS),
                selfies=experiment.work / "selfies" / SELFIES,
                seeds=experiment.params.pays_seeds,
                open=partial(_open, experiment),
                needs=("images-stable_diffusion/generate", "selfies/selfies"),
                inputs={"share": share, "count": count, "seed": experiment.params.seed},
            ),
        )


def _change_labels(images: Sequence[Image], share: float, count: int, seed: int) -> list[Image]:
    first = images[:count]
    return relabel(first, choose(first, share, seed), LABELS)


def _plant_defects(experiment: Experiment[Params], folder: Path) -> None:
    source = _images(experiment)
    images = read_index(source)
    confusing = [image for image in images if image.factors.get("headwear") in HELMET_LOOKALIKES]
    defects = Defects(experiment.params.defects, LABELS[1], experiment.params.seed)
    kinds: dict[str, str] = {}

    def encoded() -> Iterator[Encoded]:
        for kind, image in plant_defects(source, images, confusing, defects):
            if kind:
                kinds[image.id] = kind
            yield image

    write_images(folder / IMAGES, encoded(), experiment.base.generate.images_per_shard)
    write_json(folder / PLANTED, PlantedDefects(kinds=kinds))


def _time(folder: StageFolder) -> None:
    """Curate without cached features, and write the cost."""
    shutil.rmtree(folder.path / "data/curate.work", ignore_errors=True)
    count = len(read_index(folder.path / IMAGES))
    cost = run_measured(folder.path, "curate", IMAGES, folder.policy, *CURATED)
    speed = count / cost.seconds
    record = CurationCost(images=count, images_per_second=speed, peak_rss_bytes=cost.peak_rss_bytes)
    write_json(folder.path / COST, record)


def _rate(wrong: dict[str, bool]) -> Estimate | None:
    return share_estimate(sum(wrong.values()), len(wrong))
