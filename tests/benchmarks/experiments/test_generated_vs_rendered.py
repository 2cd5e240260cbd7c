"""Generated against rendered images: the same prompts, the same selfies, the same everything but who draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.experiments import generated_vs_rendered
from benchmarks.experiments.generated_vs_rendered import Course, Params, drawing_seconds, mixed, plan
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Image
from pipeline.data.shards import Encoded, read_index, read_pixels, write_images

SCENES = 20


@pytest.fixture
def course(root: Path, tmp_path: Path) -> Course:
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    return Course(tmp_path, values, root / "policies", Params(images=60, seeds=(11, 12)))


def drawn(folder: Path, brightness: int) -> list[Image]:
    """Two pictures a scene, all of one brightness."""
    pixels = np.full((8, 6, 3), brightness, np.uint8)
    images = [
        Encoded(f"{scene}-{label}", f"scene-{scene}", label, {"light": "day"}, encode_png(pixels), 6, 8)
        for scene in range(SCENES)
        for label in ("no_helmet", "helmet")
    ]
    return write_images(folder, images, 7)


def test_arms_differ_in_who_draws_and_seeds_in_the_training_alone(course: Course) -> None:
    steps = {step.name: step for step in plan(course)}
    common = yaml.safe_load((course.common / "params.yaml").read_text(encoding="utf-8"))
    assert common["prompts"]["count"] == 60
    for generator in ("rendered", "stable_diffusion"):
        values = yaml.safe_load((course.drawn(generator) / "params.yaml").read_text(encoding="utf-8"))
        assert values["generate"]["generator"] == generator
        assert {**values, "generate": common["generate"]} == common
    second = yaml.safe_load((course.trained("mix", 12) / "params.yaml").read_text(encoding="utf-8"))
    assert second["train"]["seed"] == 12
    assert {**second, "train": common["train"]} == common
    assert len(steps) == 2 + 2 + 3 * 2 + 1 + 3 * 2 * 2
    assert steps["mix/curate"].before == ("mix/merge",)
    assert steps["synthetic/curate"].before == ("stable_diffusion/generate",)


def test_every_step_comes_after_those_it_needs(course: Course) -> None:
    seen: set[str] = set()
    for step in plan(course):
        assert set(step.before) <= seen, step.name
        assert step.name not in seen
        seen.add(step.name)


def test_one_arm_draws_with_its_generator_alone(course: Course) -> None:
    alone = Course(course.work, course.values, course.policies, Params(arms=("synthetic",)))
    names = [step.name for step in plan(alone)]
    assert names == [
        "common/prompts",
        "common/selfies",
        "stable_diffusion/generate",
        "synthetic/curate",
        "synthetic/split",
        "synthetic-seed-11/train",
        "synthetic-seed-11/judge",
    ]


def test_the_mix_takes_whole_scenes_half_from_each_in_the_prompts_order(tmp_path: Path) -> None:
    rows = {name: drawn(tmp_path / name, 50) for name in ("rendered", "stable_diffusion")}
    dealt = list(mixed(rows))
    assert [image.id for _, image in dealt] == [image.id for image in rows["rendered"]]
    by_group: dict[str, set[str]] = {}
    for generator, image in dealt:
        by_group.setdefault(image.group, set()).add(generator)
    assert all(len(generators) == 1 for generators in by_group.values())
    assert sum(generators == {"rendered"} for generators in by_group.values()) == SCENES // 2
    assert dealt == list(mixed(rows))


def test_merged_pictures_are_those_that_were_dealt(course: Course) -> None:
    list(plan(course))
    for generator, brightness in (("rendered", 50), ("stable_diffusion", 200)):
        drawn(course.drawn(generator) / "data/images", brightness)
    out = course.images("mix")
    generated_vs_rendered._merge(course, out)
    images = read_index(out)
    brightness = [int(read_pixels(out, image).mean()) for image in images]
    assert sorted(brightness) == [50] * SCENES + [200] * SCENES
    assert {image.factors["light"] for image in images} == {"day"}


def test_a_drawing_that_was_stopped_between_is_timed_by_its_rate() -> None:
    assert drawing_seconds([{"images": 600, "images_per_second": 10.0, "seconds": 5.0}]) == 60
    half = [{"images": 600, "images_per_second": 10.0}, {"images": 600, "images_per_second": 100.0}]
    assert drawing_seconds(half) == 33
    assert drawing_seconds([{"images": 600, "images_per_second": None}]) is None


@pytest.mark.slow
def test_the_rendered_arm_from_prompts_to_accuracy(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["train"] |= {"epochs": 1, "threads": 1}
    values["curate"] |= {"workers": 1}
    values["selfies"]["count"] = 40
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (tmp_path / "policies").symlink_to(root / "policies")
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    work = tmp_path / "work"
    params = Params(images=60, arms=("rendered",))
    found = generated_vs_rendered.run(params, work, lambda _done, _total, what: told.append(what))
    arm = found["rendered"]
    assert 0 <= arm["accuracy_low"] <= arm["accuracy"] <= arm["accuracy_high"] <= 1
    assert (arm["images"], found["images"], found["selfies"]) == (60, 60, 40)
    assert 0 < arm["kept_images"] <= 60
    assert "gap_points" not in found
    assert told[-1] == "done"
    checkpoint = work / "arm-rendered-seed-11/models/checkpoint/model.safetensors"
    made = checkpoint.stat().st_mtime_ns
    again = generated_vs_rendered.run(params, work, lambda *_: None)
    assert checkpoint.stat().st_mtime_ns == made
    assert json.dumps(again) == json.dumps(found)
