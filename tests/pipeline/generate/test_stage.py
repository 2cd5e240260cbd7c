"""Stage generate: shards, resumption, determinism, faults, metrics and photographs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import yaml
from pydantic import ValidationError

from pipeline.config.params import DatasetParams, GenerateParams
from pipeline.config.policy import load_policy
from pipeline.data import work_cache
from pipeline.data.finished_work import clear_finished_work
from pipeline.data.records import Prompt, Rejection
from pipeline.data.shards import read_index, read_pixels
from pipeline.data.storage import read_rows, write_rows
from pipeline.data.work_cache import WorkCache
from pipeline.errors import DataError, ParamsError, UsageError
from pipeline.generate import stage as generate
from pipeline.generate.generated_image import GeneratedImage
from pipeline.generate.shard_job import ShardJob, to_pixels
from pipeline.prompts.prompt_sampler import draw_prompts
from tests.pipeline.tiny_diffusion import save_tiny, tiny_preset

PARAMS = GenerateParams(
    generator="rendered", images_per_shard=4, workers=1, rendered={"width": 96, "height": 128}, stable_diffusion={}
)

DIFFUSERS_WARNS = "ignore:__array__ implementation doesn't accept a copy keyword"


@pytest.fixture(scope="module")
def prompts(root: Path) -> list[Prompt]:
    return draw_prompts(load_policy(root / "policies" / "helmet.yaml"), 10, 2, seed=3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> GenerateParams:
    """Params of the generator stable_diffusion with a tiny model that reads whole captions."""
    model = save_tiny(tmp_path_factory.mktemp("diffusers"), length=512)
    section = {"preset": "tiny", "presets": {"tiny": tiny_preset(model).model_dump()}}
    return PARAMS.model_copy(update={"generator": "stable_diffusion", "stable_diffusion": section})


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def stop_after_the_first_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    real = generate.draw_shard

    def stop(job: ShardJob) -> int:
        if job.name != "shard-00000.tar":
            raise KeyboardInterrupt
        return real(job)

    monkeypatch.setattr(generate, "draw_shard", stop)


def test_every_prompt_becomes_an_image_with_its_label_and_factors(prompts: list[Prompt], tmp_path: Path) -> None:
    result = generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    assert [image.id for image in result.images] == [prompt.id for prompt in prompts]
    assert [(image.label, image.group, image.factors) for image in result.images] == [
        (prompt.label, prompt.group, prompt.factors) for prompt in prompts
    ]
    assert read_index(tmp_path / "images") == result.images
    assert read_pixels(tmp_path / "images", result.images[7]).shape == (128, 96, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "images.work"]
    clear_finished_work(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_one_process_and_two_write_the_same_bytes(prompts: list[Prompt], tmp_path: Path) -> None:
    generate.run(PARAMS, prompts, tmp_path / "one", "helmet")
    generate.run(PARAMS.model_copy(update={"workers": 2}), prompts, tmp_path / "two", "helmet")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_stopped_run_resumes_and_ends_with_the_same_bytes(
    prompts: list[Prompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate.run(PARAMS, prompts, tmp_path / "straight", "helmet")
    stop_after_the_first_shard(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    monkeypatch.undo()
    result = generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    assert result.machine["resumed_images"] == 4
    assert digests(tmp_path / "images") == digests(tmp_path / "straight")


def test_a_kill_while_the_folder_is_put_in_place_loses_no_shard(
    prompts: list[Prompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    generate.run(PARAMS, prompts, tmp_path / "straight", "helmet")
    monkeypatch.setattr(generate, "write_card", interrupt)
    with pytest.raises(KeyboardInterrupt):
        generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    assert not (tmp_path / "images").exists()
    monkeypatch.undo()
    monkeypatch.setattr(generate, "draw_shard", interrupt)
    assert generate.run(PARAMS, prompts, tmp_path / "images", "helmet").machine["resumed_images"] == len(prompts)
    assert digests(tmp_path / "images") == digests(tmp_path / "straight")


def test_a_kill_after_the_folder_is_in_place_loses_no_shard_when_dvc_deletes_it(
    prompts: list[Prompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: ShardJob) -> int:
        raise AssertionError("drawn again")

    generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    before = digests(tmp_path / "images")
    shutil.rmtree(tmp_path / "images")
    clear_finished_work(tmp_path)
    monkeypatch.setattr(generate, "draw_shard", never)
    result = generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    assert result.machine["resumed_images"] == len(prompts)
    assert digests(tmp_path / "images") == before


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "halved": lambda shard: rewrite(shard / shard.name, lambda data: data[: len(data) // 2]),
    "flipped": lambda shard: rewrite(shard / shard.name, lambda data: data[:900] + bytes([data[900] ^ 1]) + data[901:]),
    "emptied": lambda shard: rewrite(shard / shard.name, lambda _: b""),
    "a row twice": lambda shard: rewrite(shard / "rows.jsonl", lambda data: data + data.splitlines(keepends=True)[-1]),
    "a row less": lambda shard: rewrite(shard / "rows.jsonl", lambda data: data.partition(b"\n")[2]),
    "no rows": lambda shard: (shard / "rows.jsonl").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_shard_of_the_work_area_is_drawn_again_and_it_is_reported(
    damage: Callable[[Path], None], prompts: list[Prompt], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    before = digests(tmp_path / "images")
    shutil.rmtree(tmp_path / "images")
    (shard,) = tmp_path.glob("images.work/*/shard-00001.tar")
    damage(shard)
    result = generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    assert result.machine["resumed_images"] == len(prompts) - 4
    assert digests(tmp_path / "images") == before
    assert "shard-00001.tar: not as it was written; it is made again" in capsys.readouterr().err


def test_a_shard_of_other_prompts_is_drawn_again_though_its_hash_is_right(
    prompts: list[Prompt], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    before = digests(tmp_path / "images")
    (shard,) = tmp_path.glob("images.work/*/shard-00001.tar")
    rows = [json.loads(line) for line in (shard / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps(row | {"id": f"other-{row['id']}"}) for row in rows]
    with WorkCache(shard.parent).write_folder(shard.name) as folder:
        shutil.copy(shard / shard.name, folder)
        (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    assert digests(tmp_path / "images") == before
    assert "shard-00001.tar: other images than those of its prompts; it is made again" in capsys.readouterr().err


def test_shards_are_copied_where_the_file_system_has_no_hard_links(
    prompts: list[Prompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no hard links")

    generate.run(PARAMS, prompts, tmp_path / "straight", "helmet")
    monkeypatch.setattr(work_cache.os, "link", refuse)
    generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    assert digests(tmp_path / "images") == digests(tmp_path / "straight")


def test_a_stopped_run_with_other_prompts_reuses_nothing(
    prompts: list[Prompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(job: ShardJob) -> int:
        real(job)
        raise KeyboardInterrupt

    real = generate.draw_shard
    monkeypatch.setattr(generate, "draw_shard", stop)
    with pytest.raises(KeyboardInterrupt):
        generate.run(PARAMS, prompts, tmp_path / "images", "helmet")
    monkeypatch.undo()
    other = [prompt.model_copy(update={"seed": prompt.seed ^ 1}) for prompt in prompts]
    assert generate.run(PARAMS, other, tmp_path / "images", "helmet").machine["resumed_images"] == 0


@pytest.mark.slow
def test_ctrl_c_keeps_the_finished_shards(root: Path, tmp_path: Path) -> None:
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["generate"]["generator"] = "rendered"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    write_rows(tmp_path / "prompts.jsonl", draw_prompts(load_policy(root / "policies" / "helmet.yaml"), 4000, 2, 3))
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "generate",
        "prompts.jsonl",
        str(root / "policies" / "helmet.yaml"),
        "images",
        "generate.json",
    ]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("images.work/*/shard-*")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 2, errors
    kept = 200 * len(list(tmp_path.glob("images.work/*/shard-*")))
    assert f"interrupted: {kept:,} of 4,000 images are kept in images.work; run the same command again" in errors
    assert "Traceback" not in errors
    finished = list(tmp_path.glob("images.work/*/shard-*"))
    assert finished
    assert not (tmp_path / "images").exists()


def test_black_and_nan_images_have_a_fault() -> None:
    bright = np.full((4, 3, 3), 0.5, np.float32)
    broken = bright.copy()
    broken[0, 0, 0] = np.nan
    assert to_pixels(GeneratedImage(bright))[1] is None
    assert int(to_pixels(GeneratedImage(bright))[0][0, 0, 0]) in (127, 128)
    assert to_pixels(GeneratedImage(broken))[1] == "nan"
    assert to_pixels(GeneratedImage(np.zeros((4, 3, 3), np.float32)))[1] == "black"
    assert to_pixels(GeneratedImage(np.full((4, 3, 3), 3, np.uint8)))[1] == "black"


def test_an_image_that_the_safety_checker_blanked_is_nsfw_and_not_black() -> None:
    assert to_pixels(GeneratedImage(np.zeros((4, 3, 3), np.float32), "nsfw"))[1] == "nsfw"


def test_an_unknown_generator_is_an_error_that_lists_the_generators(prompts: list[Prompt], tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"generate.generator: 'dalle'; expected one of rendered, stable_diffusion"):
        generate.run(PARAMS.model_copy(update={"generator": "dalle"}), prompts, tmp_path / "images", "helmet")


def test_no_prompts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prompts; expected at least one"):
        generate.run(PARAMS, [], tmp_path / "images", "helmet")


@pytest.mark.filterwarnings(DIFFUSERS_WARNS)
def test_a_stopped_run_of_a_diffusion_model_ends_with_the_same_bytes(
    tiny: GenerateParams, prompts: list[Prompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = generate.run(tiny, prompts, tmp_path / "straight", "helmet")
    assert {image.fault for image in straight.images} == {None}
    stop_after_the_first_shard(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        generate.run(tiny, prompts, tmp_path / "images", "helmet")
    monkeypatch.undo()
    assert generate.run(tiny, prompts, tmp_path / "images", "helmet").machine["resumed_images"] == 4
    assert digests(tmp_path / "images") == digests(tmp_path / "straight")


@pytest.mark.slow
@pytest.mark.filterwarnings(DIFFUSERS_WARNS)
def test_one_process_and_two_draw_the_same_bytes_with_a_diffusion_model(
    tiny: GenerateParams, prompts: list[Prompt], tmp_path: Path
) -> None:
    generate.run(tiny, prompts, tmp_path / "one", "helmet")
    generate.run(tiny.model_copy(update={"workers": 2}), prompts, tmp_path / "two", "helmet")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


@pytest.mark.filterwarnings(DIFFUSERS_WARNS)
def test_another_preset_setting_or_model_reuses_nothing(
    tiny: GenerateParams, prompts: list[Prompt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after_the_first_shard(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        generate.run(tiny, prompts, tmp_path / "images", "helmet")
    monkeypatch.undo()
    section = tiny.section("stable_diffusion")
    changed = {**section, "presets": {"tiny": {**section["presets"]["tiny"], "guidance": 3.0}}}
    other = tiny.model_copy(update={"stable_diffusion": changed})
    assert generate.run(other, prompts, tmp_path / "images", "helmet").machine["resumed_images"] == 0


@pytest.mark.filterwarnings(DIFFUSERS_WARNS)
def test_model_revision_and_licence_are_in_the_metrics_and_on_the_card(
    tiny: GenerateParams, prompts: list[Prompt], tmp_path: Path
) -> None:
    metrics = generate.run(tiny, prompts, tmp_path / "images", "helmet").metrics
    assert (metrics["model"], metrics["model_licence"]) == ("model", "creativeml-openrail-m")
    assert metrics["model_revision"].startswith("sha256:")
    assert (metrics["nsfw_images"], metrics["black_images"], metrics["nan_images"]) == (0, 0, 0)
    card = (tmp_path / "images" / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---")[1])["license"] == "creativeml-openrail-m"
    assert f"| revision | {metrics['model_revision']} |" in card
    assert "10 images of" in card
    assert "drawn by a diffusion model" in card
    assert str(tmp_path.parent.parent) not in card


def test_the_card_of_rendered_images_does_not_call_them_diffusion(prompts: list[Prompt], tmp_path: Path) -> None:
    metrics = generate.run(PARAMS, prompts, tmp_path / "images", "helmet").metrics
    assert (metrics["model"], metrics["model_revision"], metrics["model_licence"]) == (None, None, None)
    card = (tmp_path / "images" / "README.md").read_text(encoding="utf-8")
    assert "drawn by a procedural renderer, not a diffusion model" in card
    assert "# helmet: training images" in card
    assert "| helmet | 5 |" in card


def test_photographs_are_packed_unchanged_and_unreadable_ones_rejected(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for label in ("no_helmet", "helmet"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(3):
            picture = PIL.Image.fromarray(rng.integers(0, 255, (40, 30, 3), np.uint8))
            picture.save(tmp_path / "photos" / label / f"{number}.jpg")
    (tmp_path / "photos" / "helmet" / "bad.jpg").write_bytes(b"not a picture")
    dataset = DatasetParams(source="photos", folder=tmp_path / "photos", part=(0.0, 1.0), seed=1)
    result = generate.run_photos(dataset, ["no_helmet", "helmet"], 4, tmp_path / "images")
    assert result.metrics["labels"] == {"helmet": 3, "no_helmet": 3}
    assert (result.metrics["files"], result.metrics["images"], result.metrics["rejected"]) == (7, 6, 1)
    assert result.metrics["reasons"] == {"unreadable": 1}
    assert read_rows(tmp_path / "images" / "rejected.jsonl", Rejection) == result.rejected
    assert [row.image_id for row in result.rejected] == ["helmet/bad.jpg"]
    assert len(read_rows(tmp_path / "images" / "index.jsonl", type(result.images[0]))) == 6
    with pytest.raises(UsageError, match=r"photos: not a folder that Gossamer wrote: it holds 'helmet"):
        generate.run_photos(dataset, ["no_helmet", "helmet"], 4, tmp_path / "photos")


def test_photos_without_a_folder_is_an_error(tmp_path: Path) -> None:
    dataset = DatasetParams(source="photos", folder=None, part=(0.0, 1.0), seed=1)
    with pytest.raises(DataError, match=r"dataset.folder: null with source photos"):
        generate.run_photos(dataset, ["no_helmet", "helmet"], 4, tmp_path / "images")


@pytest.mark.filterwarnings(DIFFUSERS_WARNS)
def test_a_mix_gives_scenes_to_other_generators_and_every_image_names_its_own(
    prompts: list[Prompt], tiny: GenerateParams, tmp_path: Path
) -> None:
    mixed = tiny.model_copy(update={"mix": {"rendered": 0.5}})
    result = generate.run(mixed, prompts, tmp_path / "images", "helmet")
    drawn = {image.id: image.generator for image in result.images}
    assert set(drawn) == {prompt.id for prompt in prompts}
    assert set(drawn.values()) == {"rendered", "stable_diffusion"}
    assert sum(result.metrics["generators"].values()) == len(prompts)
    scenes = {(image.group, image.generator) for image in result.images}
    assert len(scenes) == len({prompt.group for prompt in prompts}), "the images of a scene are of one generator"
    alone = generate.run(PARAMS, prompts, tmp_path / "alone", "helmet")
    same = {image.id: image.sha256 for image in alone.images}
    assert all(same[image.id] == image.sha256 for image in result.images if image.generator == "rendered")
    assert (tmp_path / "images" / "README.md").read_text(encoding="utf-8").count("| key | value |") == 2


def test_a_larger_share_keeps_the_scenes_of_a_smaller_one(root: Path) -> None:
    many = draw_prompts(load_policy(root / "policies" / "helmet.yaml"), 600, 2, seed=3)

    def rendered(share: float) -> set[str]:
        params = GenerateParams(
            generator="stable_diffusion", mix={"rendered": share}, images_per_shard=4, workers=1, rendered={}
        )
        return {prompt.id for prompt in generate.divide(many, params)["rendered"]}

    assert rendered(0.25) < rendered(0.5)
    assert len(rendered(0.25)) == pytest.approx(150, abs=45)
    assert len(rendered(1.0)) == 600


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"rendered": 0.5}, "mix.rendered: is generate.generator; expected another generator"),
        ({"stable_diffusion": 0.7, "dalle": 0.4}, "mix: shares add up to 1.1; expected at most 1"),
        ({"stable_diffusion": 0.0}, "greater than 0"),
    ],
    ids=str,
)
def test_a_mix_that_cannot_be_drawn_is_refused(mix: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GenerateParams.model_validate({**PARAMS.model_dump(), "mix": mix})
