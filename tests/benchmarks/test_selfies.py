"""Selfies are deterministic and never training images, and photographs that cannot be read are listed with reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from benchmarks import selfies
from pipeline.config.params import Params, SelfiesParams
from pipeline.config.policy import load_policy
from pipeline.data.photo_folder import read_photographs
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Prompt, Rejection
from pipeline.data.shards import Encoded, read_index, read_pixels
from pipeline.data.storage import read_rows
from pipeline.errors import DataError, ParamsError, PolicyError
from pipeline.prompts.prompt_sampler import draw_prompts


def paint(factors: Mapping[str, str], seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Noise that depends on factors, seed and size; at module level, so that worker processes can import it."""
    random = np.random.default_rng([seed, len(factors["headwear"])])
    return random.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)


def prompts(count: int) -> list[Prompt]:
    return [
        Prompt(
            id=f"{i:07d}",
            group=f"{i // 2:07d}",
            label=("no_helmet", "helmet")[i % 2],
            text="a selfie",
            seed=i,
            factors={"headwear": ("cap", "road_helmet")[i % 2]},
        )
        for i in range(count)
    ]


def scenes(count: int, workers: int = 1) -> selfies.RenderedScenes:
    return selfies.RenderedScenes(prompts(count), (6, 8), paint, workers)


@pytest.fixture
def selfies_params(params: Params) -> SelfiesParams:
    return params.selfies.model_copy(update={"count": 40, "images_per_shard": 16})


@dataclass(frozen=True)
class ReadPhotographs:
    """Photographs that were read from a folder."""

    images: list[Encoded]
    rejections: list[Rejection]


def test_selfies_have_the_labels_and_factors_of_their_prompts(selfies_params: SelfiesParams, tmp_path: Path) -> None:
    result = selfies.run(selfies_params, scenes(50), tmp_path)
    assert len(result.images) == 40
    for image, prompt in zip(result.images, prompts(40), strict=True):
        assert (image.label, image.factors) == (prompt.label, prompt.factors)
        np.testing.assert_array_equal(read_pixels(tmp_path, image), paint(prompt.factors, prompt.seed, (6, 8)))
    assert read_index(tmp_path) == list(result.images)
    assert read_rows(tmp_path / selfies.REJECTED, Rejection) == []


def test_no_selfie_has_the_id_or_group_of_a_training_image(selfies_params: SelfiesParams, tmp_path: Path) -> None:
    result = selfies.run(selfies_params, scenes(40), tmp_path)
    training = prompts(40)
    assert {image.id for image in result.images}.isdisjoint(prompt.id for prompt in training)
    assert {image.group for image in result.images}.isdisjoint(prompt.group for prompt in training)
    assert len({image.group for image in result.images}) == 20  # scenes stay together


def test_two_processes_write_the_same_bytes_as_one(selfies_params: SelfiesParams, tmp_path: Path) -> None:
    one = selfies.run(selfies_params, scenes(40), tmp_path / "one")
    two = selfies.run(selfies_params, scenes(40, workers=2), tmp_path / "two")
    assert one == two
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_scenes_of_a_policy_are_rendered_with_every_factor_kept(
    root: Path, selfies_params: SelfiesParams, tmp_path: Path
) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    four = selfies_params.model_copy(update={"count": 4})
    source = selfies.draw_scenes(four, policy)
    result = selfies.run(four, source, tmp_path)
    assert {image.label for image in result.images} == {"no_helmet", "helmet"}
    for image in result.images:
        assert {"light", "headwear", "scenario"} <= set(image.factors)
        assert read_pixels(tmp_path, image).shape == (128, 96, 3)


def test_other_seeds_give_other_scenes(root: Path, selfies_params: SelfiesParams, params: Params) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    own = selfies.draw_scenes(selfies_params, policy).prompts
    training = draw_prompts(policy, 40, 1, params.prompts.seed)
    assert {prompt.seed for prompt in own}.isdisjoint(prompt.seed for prompt in training)


def test_a_factor_that_cannot_be_drawn_is_a_policy_error() -> None:
    with pytest.raises(PolicyError, match=r"cannot draw a selfie: .*monocle"):
        selfies.render_scene({"glasses": "monocle"}, 1, (96, 128))


def test_photographs_without_a_folder_are_an_error(selfies_params: SelfiesParams) -> None:
    with pytest.raises(ParamsError, match=r"selfies\.folder: null; source is photos"):
        selfies.folder_of(selfies_params)


def test_too_few_scenes_are_an_error_that_names_the_key(selfies_params: SelfiesParams, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"selfies\.count: 40, but the policy gave 7"):
        selfies.run(selfies_params, scenes(7), tmp_path)


def test_photographs_keep_their_bytes_and_unreadable_ones_are_listed(
    selfies_params: SelfiesParams, tmp_path: Path
) -> None:
    data = encode_png(np.zeros((8, 6, 3), np.uint8))
    broken = Rejection(image_id="b.jpg", label="helmet", reason="unreadable", score=0, threshold=1, detail="truncated")
    source = ReadPhotographs([Encoded("a", "a", "helmet", {}, data, 6, 8)], [broken])
    result = selfies.run(selfies_params, source, tmp_path)
    assert [image.id for image in result.images] == ["selfie-a"]
    assert result.rejections == (broken,)
    assert read_rows(tmp_path / selfies.REJECTED, Rejection) == [broken]


def test_a_folder_without_a_readable_photograph_is_an_error(selfies_params: SelfiesParams, tmp_path: Path) -> None:
    broken = Rejection(image_id="b.jpg", label="helmet", reason="unreadable", score=0, threshold=1, detail="truncated")
    with pytest.raises(
        DataError, match=r"gave no photograph; the first of 1 that could not be read: truncated; expected FOLDER"
    ):
        selfies.run(selfies_params, ReadPhotographs([], [broken]), tmp_path)


def test_a_real_folder_of_photographs_becomes_selfies(selfies_params: SelfiesParams, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for label in ("no_helmet", "helmet"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(3):
            pixels = random.integers(0, 255, (40, 30, 3), dtype=np.uint8)
            PIL.Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{i}.jpg")
    (tmp_path / "photos" / "helmet" / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    source = read_photographs(tmp_path / "photos", ("no_helmet", "helmet"), (0.0, 1.0), 1)
    result = selfies.run(selfies_params, source, tmp_path / "selfies")
    assert sorted(image.label for image in result.images) == ["helmet"] * 3 + ["no_helmet"] * 3
    assert all(image.id.startswith("selfie-") for image in result.images)
    assert len(result.rejections) == 1
