"""Generated against rendered images: same prompts, same selfies; the arms differ only in the generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.experiment_harness.course import Experiment
from benchmarks.experiments import generated_vs_rendered
from benchmarks.experiments.generated_vs_rendered import Params, generate_seconds, mix_scenes, plan
from benchmarks.report.experiments.generated_vs_rendered import GeneratedVsRenderedResult
from pipeline.config.params import Params as AllParams
from pipeline.config.params import load_params
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Image
from pipeline.data.shards import Encoded, read_index, read_pixels, write_images
from tests.benchmarks.experiments.steps import ordered_names, silent, stored

SCENES = 20


@pytest.fixture
def experiment(root: Path, base: AllParams, tmp_path: Path) -> Experiment[Params]:
    return Experiment(tmp_path, Params(images=60, seeds=(11, 12)), base, root / "policies")


def write_pictures(folder: Path, brightness: int) -> list[Image]:
    """Write two pictures per scene, all of one brightness."""
    pixels = np.full((8, 6, 3), brightness, np.uint8)
    images = [
        Encoded(f"{scene}-{label}", f"scene-{scene}", label, {"light": "day"}, encode_png(pixels), 6, 8)
        for scene in range(SCENES)
        for label in ("no_helmet", "helmet")
    ]
    return write_images(folder, images, 7)


def test_arms_differ_in_the_generator_and_seeds_only_in_the_training(experiment: Experiment[Params]) -> None:
    steps = {step.name: step for step in plan(experiment)}
    common = load_params(experiment.work / "common/params.yaml")
    assert common.prompts.count == 60
    for generator in ("rendered", "stable_diffusion"):
        params = load_params(experiment.work / f"images-{generator}/params.yaml")
        assert params.generate.generator == generator
        assert params.model_copy(update={"generate": common.generate}) == common
    second = load_params(experiment.work / "arm-mix-seed-12/params.yaml")
    assert second.train.seed == 12
    assert second.model_copy(update={"train": common.train}) == common
    assert len(steps) == 2 + 2 + 3 * 2 + 1 + 3 * 2 * 2
    assert steps["arm-mix/curate"].needs == ("arm-mix/merge",)
    assert steps["arm-synthetic/curate"].needs == ("images-stable_diffusion/generate",)


def test_every_step_comes_after_those_it_needs(experiment: Experiment[Params]) -> None:
    assert ordered_names(plan(experiment))


def test_a_single_arm_uses_only_its_generator(experiment: Experiment[Params]) -> None:
    alone = Experiment(experiment.work, Params(arms=("synthetic",)), experiment.base, experiment.policies)
    assert ordered_names(plan(alone)) == [
        "common/prompts",
        "common/selfies",
        "images-stable_diffusion/generate",
        "arm-synthetic/curate",
        "arm-synthetic/split",
        "arm-synthetic-seed-11/train",
        "arm-synthetic-seed-11/test",
    ]


def test_the_mix_takes_whole_scenes_half_from_each_generator_in_the_order_of_the_prompts(tmp_path: Path) -> None:
    rows = {name: write_pictures(tmp_path / name, 50) for name in ("rendered", "stable_diffusion")}
    mixed = list(mix_scenes(rows))
    assert [image.id for _, image in mixed] == [image.id for image in rows["rendered"]]
    by_group: dict[str, set[str]] = {}
    for generator, image in mixed:
        by_group.setdefault(image.group, set()).add(generator)
    assert all(len(generators) == 1 for generators in by_group.values())
    assert sum(generators == {"rendered"} for generators in by_group.values()) == SCENES // 2
    assert mixed == list(mix_scenes(rows))


def test_merged_pictures_are_those_of_the_mix(experiment: Experiment[Params]) -> None:
    list(plan(experiment))
    for generator, brightness in (("rendered", 50), ("stable_diffusion", 200)):
        write_pictures(experiment.work / f"images-{generator}/data/images", brightness)
    out = experiment.work / "arm-mix/data/images"
    generated_vs_rendered._merge(experiment, out)
    images = read_index(out)
    brightness = [int(read_pixels(out, image).mean()) for image in images]
    assert sorted(brightness) == [50] * SCENES + [200] * SCENES
    assert {image.factors["light"] for image in images} == {"day"}


def test_generating_is_timed_by_the_rate_so_that_an_interruption_does_not_matter() -> None:
    assert generate_seconds([600], [10.0]) == 60
    assert generate_seconds([600, 600], [10.0, 100.0]) == 33
    assert generate_seconds([600], [None]) is None


@pytest.mark.slow
def test_the_rendered_arm_runs_from_prompts_to_accuracy(small_checkout: Path) -> None:
    activities: list[str] = []
    work = small_checkout / "work"
    params = Params(images=60, arms=("rendered",))
    result = generated_vs_rendered.run(params, work, lambda _done, _total, activity: activities.append(activity))
    arm = result.rendered
    assert arm is not None
    assert 0 <= arm.accuracy.low <= arm.accuracy.value <= arm.accuracy.high <= 1
    assert (arm.images, result.images, result.selfies) == (60, 60, 40)
    assert 0 < arm.kept_images <= 60
    assert {"synthetic", "mix", "gap_points"}.isdisjoint(stored(result))
    shown = GeneratedVsRenderedResult.model_validate(stored(result)).rendered
    assert shown is not None
    assert shown.accuracy == arm.accuracy
    assert activities[-1] == "done"
    checkpoint = work / "arm-rendered-seed-11/models/checkpoint/model.safetensors"
    written = checkpoint.stat().st_mtime_ns
    assert generated_vs_rendered.run(params, work, silent) == result
    assert checkpoint.stat().st_mtime_ns == written
