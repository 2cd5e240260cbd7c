"""What training on generated images costs: a classifier trained on them alone, on rendered ones alone, and on both.

Three arms differ in nothing but who draws the same prompts: ``synthetic`` the Stable Diffusion generator, ``rendered``
the renderer, ``mix`` each of them half of the scenes (the very pictures of the other arms). Each arm is curated, split
and trained by the ``gossamer`` commands, with the checkout's params.yaml but for generator, number and seed. All
classifiers answer the same rendered selfies.

Reads params.yaml, policies/ and the code; leaves its work in the work area.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from benchmarks.experiment_harness.training_run import (
    Trial,
    accuracy_figures,
    gain_figures,
    read_right,
    train_and_judge,
)
from benchmarks.experiment_harness.workspace import PARAMS, POLICIES, Step, carry_out, derive, gossamer, open_folder
from benchmarks.experiments import Tell
from pipeline.config.fields import Positive, Section, Seed
from pipeline.config.params import load_params
from pipeline.data.hashing import hash_share
from pipeline.data.machine_figures import MACHINE_JSON, find_figure, read_machine_figures
from pipeline.data.records import Image
from pipeline.data.shards import read_bytes, read_index, repack, write_images
from pipeline.data.storage import read_metrics, read_rows

RESULT = "compare"

Arm = Literal["synthetic", "rendered", "mix"]
DRAWS: Mapping[Arm, tuple[str, ...]] = {
    "synthetic": ("stable_diffusion",),
    "rendered": ("rendered",),
    "mix": ("rendered", "stable_diffusion"),
}
_DEAL = 1  # seed of which scenes of the mix each generator draws


class Params(Section):
    """How many prompts each arm draws, from which seeds it is trained, and which arms there are."""

    images: Positive = 6000
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (11,)
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)] = ("synthetic", "rendered", "mix")


@dataclass(frozen=True, slots=True)
class Course:
    """The benchmark's work area, and what its steps need to know.

    Attributes:
        work: The work area.
        values: The checkout's params.
        policies: The checkout's policies.
        params: Of the benchmark.
    """

    work: Path
    values: Mapping[str, Any]
    policies: Path
    params: Params

    @property
    def policy(self) -> str:
        """The policy's file, as commands are told it."""
        return f"{POLICIES}/{self.values['policy']}.yaml"

    @property
    def common(self) -> Path:
        """Prompts and selfies, which all arms share."""
        return self.work / "common"

    def drawn(self, generator: str) -> Path:
        """What a generator drew."""
        return self.work / f"drawn-{generator}"

    def arm(self, arm: str) -> Path:
        """An arm's rows; of the mix the pictures too."""
        return self.work / f"arm-{arm}"

    def images(self, arm: Arm) -> Path:
        """Where an arm's pictures are."""
        return (self.arm(arm) if len(DRAWS[arm]) > 1 else self.drawn(DRAWS[arm][0])) / "data/images"

    def trained(self, arm: str, seed: int) -> Path:
        """An arm's checkpoint from one seed, and its answers."""
        return self.work / f"arm-{arm}-seed-{seed}"

    def open(self, folder: Path, generator: str = "rendered", seed: int | None = None) -> Path:
        """Make a folder to run commands in."""
        changes: dict[str, dict[str, Any]] = {
            "dataset": {"source": "generated"},
            "prompts": {"count": self.params.images},
            "generate": {"generator": generator},
            "selfies": {"source": "rendered"},
            "train": {} if seed is None else {"seed": seed},
        }
        return open_folder(folder, derive(self.values, changes), self.policies)


def run(params: Params, workspace: Path, tell: Tell) -> dict[str, Any]:
    """Make, train and judge every arm; arms and steps that are finished are not done again.

    Raises:
        ParamsError: The checkout's params.yaml is missing or wrong.
        DataError: A command failed.
    """
    load_params()
    values = yaml.safe_load(Path(PARAMS).read_text(encoding="utf-8"))
    course = Course(workspace, values, Path(POLICIES), params)
    carry_out(list(plan(course)), tell)
    return figures(course)


def plan(course: Course) -> Iterator[Step]:
    """Every step, in order: what arms share, then what generators draw, then each arm."""
    common, policy = course.open(course.common), course.policy
    outs = (Path("data/prompts.jsonl"), Path("metrics/prompts.json"))
    act = partial(gossamer, common, "prompts", policy, *outs)
    yield Step("common/prompts", "prompts", common, act, _inside(common, *outs))
    act = partial(gossamer, common, "selfies", policy, "data/selfies")
    yield Step("common/selfies", "selfies", common, act, _inside(common, Path("data/selfies/index.jsonl")))
    for generator in sorted({name for arm in course.params.arms for name in DRAWS[arm]}):
        yield _draw(course, generator)
    for arm in course.params.arms:
        yield from _curate_and_split(course, arm)
        for seed in course.params.seeds:
            yield from _train_and_judge(course, arm, seed)


def mixed(rows: Mapping[str, Sequence[Image]]) -> Iterator[tuple[str, Image]]:
    """Deal scenes out, half to each of two generators: (generator, its image), in the order of the prompts.

    Which half a scene falls in is decided by a hash of its name, so that no factor goes by generator.
    """
    first, second = rows
    groups = sorted({image.group for image in rows[first]}, key=lambda group: (hash_share(_DEAL, group), group))
    firsts = set(groups[: len(groups) // 2])
    for one, other in zip(rows[first], rows[second], strict=True):
        yield (first, one) if one.group in firsts else (second, other)


def figures(course: Course) -> dict[str, Any]:
    """Read what the arms left."""
    params = course.params
    right = {arm: [read_right(course.trained(arm, seed)) for seed in params.seeds] for arm in params.arms}
    found: dict[str, Any] = {
        arm: {"seeds": list(params.seeds), **accuracy_figures(right[arm]), **_costs(course, arm)} for arm in params.arms
    }
    found |= {"images": params.images, "selfies": len(read_index(course.common / "data/selfies"))}
    if "synthetic" in right and "rendered" in right:
        found |= gain_figures(right["synthetic"], right["rendered"], "gap")
    return found


def _draw(course: Course, generator: str) -> Step:
    folder = course.open(course.drawn(generator), generator)
    prompts = course.common / "data/prompts.jsonl"
    outs = (Path("data/images"), Path("metrics/generate.json"))
    act = partial(gossamer, folder, "generate", prompts, course.policy, *outs)
    return Step(f"{generator}/generate", "generate", folder, act, _inside(folder, *outs), ("common/prompts",))


def _curate_and_split(course: Course, arm: Arm) -> Iterator[Step]:
    folder, images = course.open(course.arm(arm)), course.images(arm)
    before = tuple(f"{generator}/generate" for generator in DRAWS[arm])
    if len(before) > 1:
        act = partial(_merge, course, images)
        yield Step(f"{arm}/merge", "generate", folder, act, (images / "index.jsonl",), before)
        before = (f"{arm}/merge",)
    outs = tuple(map(Path, ("data/kept.jsonl", "data/rejected.jsonl", "metrics/curate.json", "report/curation")))
    act = partial(gossamer, folder, "curate", images, course.policy, *outs)
    yield Step(f"{arm}/curate", "curate", folder, act, _inside(folder, *outs), before)
    rows = (Path("data/train.jsonl"), Path("data/val.jsonl"))
    act = partial(gossamer, folder, "split", outs[0], *rows)
    yield Step(f"{arm}/split", "split", folder, act, _inside(folder, *rows), (f"{arm}/curate",))


def _train_and_judge(course: Course, arm: Arm, seed: int) -> Iterator[Step]:
    rows = course.arm(arm) / "data/train.jsonl", course.arm(arm) / "data/val.jsonl"
    folder, selfies = course.open(course.trained(arm, seed), seed=seed), course.common / "data/selfies"
    before = (f"{arm}/split", "common/selfies")
    trial = Trial(f"{arm}-seed-{seed}", folder, rows, course.images(arm), selfies, course.policy, before)
    yield from train_and_judge(trial)


def _merge(course: Course, out: Path) -> None:
    folders = {generator: course.drawn(generator) / "data/images" for generator in DRAWS["mix"]}
    dealt = mixed({generator: read_index(folder) for generator, folder in folders.items()})
    encoded = (repack(image, read_bytes(folders[generator], image)) for generator, image in dealt)
    write_images(out, encoded, load_params(course.arm("mix") / PARAMS).generate.images_per_shard)


def _costs(course: Course, arm: Arm) -> dict[str, Any]:
    """Images and seconds of an arm; the seconds are those the stages recorded, so they also cover a stopped run."""
    curated = read_metrics(course.arm(arm) / "metrics/curate.json")
    drawn = [
        {
            "images": read_metrics(course.drawn(name) / "metrics/generate.json")["images"],
            "images_per_second": _machine_figure(course.drawn(name), "generate", "images_per_second"),
        }
        for name in DRAWS[arm]
    ]
    return {
        "images": curated["images"],
        "kept_images": len(read_rows(course.arm(arm) / "data/kept.jsonl", Image)),
        "generate_seconds": drawing_seconds(drawn),
        "curate_seconds": _machine_figure(course.arm(arm), "curate", "seconds"),
        "train_seconds": [
            _machine_figure(course.trained(arm, seed), "train", "seconds") for seed in course.params.seeds
        ],
    }


def _machine_figure(folder: Path, stage: str, name: str) -> float | None:
    return find_figure(read_machine_figures(folder / "metrics" / MACHINE_JSON), stage, name)


def drawing_seconds(drawn: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds behind an arm's pictures, by each generator's rate; several draw equal shares. None: no rate is known."""
    rates = [each.get("images_per_second") for each in drawn]
    seconds = [each["images"] / rate for each, rate in zip(drawn, rates, strict=True) if rate]
    return round(fmean(seconds), 1) if len(seconds) == len(drawn) else None


def _inside(folder: Path, *paths: Path) -> tuple[Path, ...]:
    return tuple(folder / path for path in paths)
