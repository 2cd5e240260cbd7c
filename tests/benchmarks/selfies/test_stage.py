"""Test sets are deterministic and never training images; photographs that cannot be taken are listed with reasons."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from benchmarks.evaluation.selfie_sets import read_selfie_sets
from benchmarks.evaluation.training_overlap import read_training_images
from benchmarks.selfies import stage as selfies
from pipeline.config.params import Params, SelfiesParams
from pipeline.config.policy import load_policy
from pipeline.config.selfie_params import PhotographSetParams
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Prompt, Rejection
from pipeline.data.shards import Encoded, read_index, read_pixels, write_images
from pipeline.data.storage import read_rows
from pipeline.errors import DataError, PolicyError, UsageError
from pipeline.prompts.prompt_sampler import draw_prompts

LABELS = ("no_helmet", "helmet")


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


def scenes(count: int, workers: int = 1) -> selfies.SelfieSources:
    return selfies.SelfieSources(selfies.RenderedScenes(prompts(count), (6, 8), paint, workers))


@pytest.fixture
def selfies_params(params: Params) -> SelfiesParams:
    return params.selfies.model_copy(update={"count": 40, "images_per_shard": 16})


def photograph_folder(folder: Path, seed: int, count: int = 3) -> Path:
    """FOLDER/LABEL/N.png: noise, so that no two pictures are alike."""
    random = np.random.default_rng(seed)
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for i in range(count):
            PIL.Image.fromarray(random.integers(0, 255, (40, 30, 3), dtype=np.uint8)).save(folder / label / f"{i}.png")
    return folder


def photograph_set(folder: Path, name: str = "street", **values: object) -> PhotographSetParams:
    return PhotographSetParams.model_validate({"name": name, "folder": folder, "licence": "our own", **values})


def sources_of(
    params: Params, own: SelfiesParams, sets: list[PhotographSetParams], training: Path | None = None
) -> tuple[SelfiesParams, selfies.SelfieSources]:
    """Params with these test sets, and what the stage reads for them; rendered selfies are noise."""
    changed = own.model_copy(update={"photographs": tuple(sets)})
    photographs = selfies.read_photograph_sets(changed, params.dataset, LABELS)
    images = read_training_images(training) if training else None
    rendered = scenes(own.count).scenes if own.count else None
    return changed, selfies.SelfieSources(rendered, photographs, images)


def test_selfies_have_the_labels_and_factors_of_their_prompts(selfies_params: SelfiesParams, tmp_path: Path) -> None:
    images = selfies.run(selfies_params, scenes(50), tmp_path)["rendered"]
    assert len(images) == 40
    for image, prompt in zip(images, prompts(40), strict=True):
        assert (image.label, image.factors) == (prompt.label, prompt.factors)
        np.testing.assert_array_equal(read_pixels(tmp_path, image), paint(prompt.factors, prompt.seed, (6, 8)))
    assert read_index(tmp_path) == list(images)
    assert read_rows(tmp_path / selfies.REJECTED, Rejection) == []


def test_no_selfie_has_the_id_or_group_of_a_training_image(selfies_params: SelfiesParams, tmp_path: Path) -> None:
    images = selfies.run(selfies_params, scenes(40), tmp_path)["rendered"]
    training = prompts(40)
    assert {image.id for image in images}.isdisjoint(prompt.id for prompt in training)
    assert {image.group for image in images}.isdisjoint(prompt.group for prompt in training)
    assert len({image.group for image in images}) == 20  # scenes stay together


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
    images = selfies.run(four, selfies.SelfieSources(selfies.draw_scenes(four, policy)), tmp_path)["rendered"]
    assert {image.label for image in images} == set(LABELS)
    for image in images:
        assert {"light", "headwear", "scenario"} <= set(image.factors)
        assert read_pixels(tmp_path, image).shape == (128, 96, 3)


def test_other_seeds_give_other_scenes(root: Path, selfies_params: SelfiesParams, params: Params) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    drawn = selfies.draw_scenes(selfies_params, policy)
    assert drawn is not None
    own = drawn.prompts
    training = draw_prompts(policy, 40, 1, params.prompts.seed)
    assert {prompt.seed for prompt in own}.isdisjoint(prompt.seed for prompt in training)


def test_a_factor_that_cannot_be_drawn_is_a_policy_error() -> None:
    with pytest.raises(PolicyError, match=r"cannot draw a selfie: .*monocle"):
        selfies.render_scene({"glasses": "monocle"}, 1, (96, 128))


def test_too_few_scenes_are_an_error_that_names_the_key(selfies_params: SelfiesParams, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"selfies\.count: 40, but the policy gave 7"):
        selfies.run(selfies_params, scenes(7), tmp_path)


def test_each_folder_of_photographs_is_a_test_set_of_its_own(
    params: Params, selfies_params: SelfiesParams, tmp_path: Path
) -> None:
    (photograph_folder(tmp_path / "a", 1) / "helmet" / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    sets = [
        photograph_set(tmp_path / "a", "street", note="in May"),
        photograph_set(photograph_folder(tmp_path / "b", 2), "garage"),
    ]
    images = selfies.run(*sources_of(params, selfies_params, sets), tmp_path / "selfies")
    assert list(images) == ["rendered", "street", "garage"]
    read = read_selfie_sets(tmp_path / "selfies")
    assert {name: len(one.rows) for name, one in read.items()} == {"rendered": 40, "garage": 6, "street": 6}
    assert (read["street"].card.source, read["street"].card.licence, read["street"].card.note) == (
        "photos",
        "our own",
        "in May",
    )
    ids = [row.id for one in read.values() for row in one.rows]
    assert len(set(ids)) == len(ids)
    assert all(row.id.startswith("selfie-street-") for row in read["street"].rows)
    assert read_pixels(read["street"].folder, read["street"].rows[0]).shape == (40, 30, 3)
    rejections = read_rows(read["street"].folder / selfies.REJECTED, Rejection)
    assert [(row.image_id, row.reason) for row in rejections] == [("helmet/torn.jpg", "unreadable")]


def test_the_rendered_set_has_the_same_bytes_with_photographs_beside_it(
    params: Params, selfies_params: SelfiesParams, tmp_path: Path
) -> None:
    selfies.run(selfies_params, scenes(40), tmp_path / "alone")
    sets = [photograph_set(photograph_folder(tmp_path / "a", 1))]
    selfies.run(*sources_of(params, selfies_params, sets), tmp_path / "both")
    for path in (tmp_path / "alone").iterdir():
        assert path.read_bytes() == (tmp_path / "both" / path.name).read_bytes()


def test_sets_that_params_no_longer_name_are_removed(
    params: Params, selfies_params: SelfiesParams, tmp_path: Path
) -> None:
    out, sets = tmp_path / "selfies", [photograph_set(photograph_folder(tmp_path / "a", 1))]
    selfies.run(*sources_of(params, selfies_params, sets), out)
    none = selfies_params.model_copy(update={"count": 0})
    renamed = [photograph_set(tmp_path / "a", "garage")]
    selfies.run(*sources_of(params, none, renamed), out)
    assert [path.name for path in out.iterdir()] == ["garage"]
    assert list(read_selfie_sets(out)) == ["garage"]


@pytest.mark.parametrize("place", ["notes.txt", "street/beach.jpg", "holiday/README.md"])
def test_a_folder_with_somebody_elses_file_is_refused_by_its_name_and_left_as_it_is(
    params: Params, selfies_params: SelfiesParams, tmp_path: Path, place: str
) -> None:
    out, sets = tmp_path / "selfies", [photograph_set(photograph_folder(tmp_path / "a", 1))]
    selfies.run(*sources_of(params, selfies_params, sets), out)
    (out / place).parent.mkdir(exist_ok=True)
    (out / place).write_text("mine", encoding="utf-8")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=f"selfies: not a folder that Gossamer wrote: it holds '{place}'"):
        selfies.run(*sources_of(params, selfies_params, sets), out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_smaller_run_leaves_no_shard_of_a_larger_one(selfies_params: SelfiesParams, tmp_path: Path) -> None:
    for count in (40, 16):
        selfies.run(selfies_params.model_copy(update={"count": count}), scenes(count), tmp_path / "selfies")
    names = sorted(path.name for path in (tmp_path / "selfies").iterdir())
    assert names == ["index.jsonl", "rejected.jsonl", "shard-00000.tar"]


def training_folder(folder: Path, pictures: Mapping[str, NDArray[np.uint8]]) -> Path:
    encoded = [
        Encoded(key, key, "helmet", {}, encode_png(pixels), pixels.shape[1], pixels.shape[0])
        for key, pixels in pictures.items()
    ]
    write_images(folder, encoded, 10)
    return folder


def test_a_photograph_that_is_a_training_image_is_refused_by_name(
    params: Params, selfies_params: SelfiesParams, tmp_path: Path
) -> None:
    """The same picture as another file, and a mirrored copy, as JPEG and in another size."""
    folder = photograph_folder(tmp_path / "a", 1)
    smooth = np.asarray(
        PIL.Image.fromarray(np.random.default_rng(5).integers(0, 255, (8, 6, 3), dtype=np.uint8)).resize((60, 80))
    )
    PIL.Image.fromarray(smooth[:, ::-1]).resize((45, 60)).save(folder / "helmet" / "copy.jpg", quality=80)
    same = np.asarray(PIL.Image.open(folder / "no_helmet" / "1.png"))
    other = np.random.default_rng(9).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    training = training_folder(tmp_path / "images", {"7-same": same, "8-alike": smooth, "9-other": other})
    with pytest.raises(DataError) as caught:
        selfies.run(*sources_of(params, selfies_params, [photograph_set(folder)], training), tmp_path / "out")
    message = str(caught.value)
    assert message.startswith("params.yaml selfies.photographs.0 (street): 2 of 7 photographs are among the training")
    assert "helmet/copy.jpg (nearly the same as 8-alike)" in message
    assert "no_helmet/1.png (the same picture as 7-same)" in message
    assert not (tmp_path / "out").exists(), "nothing is written"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda folder: shutil.move(folder / "helmet", folder / "mask"), "no folder helmet; found the folders mask"),
        (lambda folder: [path.unlink() for path in (folder / "helmet").iterdir()], "helmet: no photographs among 0"),
        (shutil.rmtree, "no such folder"),
    ],
    ids=["other labels", "one class", "no folder"],
)
def test_a_folder_that_does_not_fit_the_policy_is_an_error_that_names_the_set(
    params: Params, selfies_params: SelfiesParams, tmp_path: Path, change: object, problem: str
) -> None:
    folder = photograph_folder(tmp_path / "a", 1)
    change(folder)  # type: ignore[operator]
    with pytest.raises(DataError) as caught:
        sources_of(params, selfies_params, [photograph_set(folder)])
    assert str(caught.value).startswith("params.yaml selfies.photographs.0 (street): ")
    assert problem in str(caught.value)


def test_factors_of_a_csv_file_become_those_of_the_photographs(
    params: Params, selfies_params: SelfiesParams, tmp_path: Path
) -> None:
    folder = photograph_folder(tmp_path / "a", 1)
    table = tmp_path / "factors.csv"
    table.write_text("file,light\nhelmet/0.png,night\nno_helmet/2.png,day\n", encoding="utf-8")
    images = selfies.run(
        *sources_of(params, selfies_params, [photograph_set(folder, factors=table)]), tmp_path / "out"
    )["street"]
    assert {image.id: image.factors for image in images if image.factors} == {
        "selfie-street-helmet-0": {"light": "night"},
        "selfie-street-no_helmet-2": {"light": "day"},
    }
