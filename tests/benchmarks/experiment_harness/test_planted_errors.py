"""Numbers and places of planted errors, and the scores of finding them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.experiment_harness.planted_errors import KINDS, Defects, choose, plant_defects, relabel, score
from pipeline.data.decoding.decode import decode
from pipeline.data.perceptual_hash import differing_share, fingerprint
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Image
from pipeline.data.shards import Encoded, write_images
from pipeline.renderer import render

LABELS = ("no_helmet", "helmet")


@pytest.fixture
def images(tmp_path: Path) -> list[Image]:
    pictures = [
        Encoded(
            f"{scene}-{label}",
            f"scene-{scene}",
            label,
            {"light": ("day", "night")[scene % 2], "headwear": headwear},
            encode_png(render({"headwear": headwear}, scene, (96, 128))),
            96,
            128,
        )
        for scene in range(12)
        for label, headwear in zip(LABELS, ("cap", "road_helmet"), strict=True)
    ]
    return write_images(tmp_path, pictures, 10)


def test_noise_is_a_share_of_all_images_or_of_one_slice(images: list[Image]) -> None:
    many = images * 50
    assert 0.15 < choose(many, 0.2, seed=1).mean() < 0.25
    within = choose(many, 0.2, 1, ("light", "night"))
    assert 0.07 < within.mean() < 0.13
    assert {many[row].factors["light"] for row in np.flatnonzero(within)} == {"night"}
    np.testing.assert_array_equal(choose(many, 0.2, 1), choose(many, 0.2, 1))
    assert not np.array_equal(choose(many, 0.2, 1), choose(many, 0.2, 2))


def test_relabelling_changes_only_the_labels_of_the_chosen_images(images: list[Image]) -> None:
    wrong = np.arange(len(images)) < 3
    relabelled = relabel(images, wrong, LABELS)
    assert [image.label for image in relabelled[:4]] == ["helmet", "no_helmet", "helmet", "helmet"]
    assert [image.model_copy(update={"label": ""}) for image in relabelled] == [
        image.model_copy(update={"label": ""}) for image in images
    ]


def test_scores_equal_those_computed_by_hand() -> None:
    accused, wrong = np.zeros(100, bool), np.zeros(100, bool)
    accused[:10], wrong[2:22] = True, True
    result = score(accused, wrong)
    assert (result.accused, result.planted) == (10, 20)
    assert result.precision is not None
    assert result.recall is not None
    assert result.precision.value == pytest.approx(0.8)
    assert result.precision.low < 0.8 < result.precision.high
    assert result.recall.value == pytest.approx(0.4)
    assert result.f1 == pytest.approx(2 * 0.8 * 0.4 / 1.2)
    assert score(np.zeros(5, bool), np.zeros(5, bool)).precision is None


def test_each_kind_of_defect_looks_as_its_name_says(tmp_path: Path, images: list[Image]) -> None:
    confusing = [image for image in images if image.factors["headwear"] == "cap"]
    made = list(plant_defects(tmp_path, images, confusing, Defects(4, "helmet", 7)))
    assert [image.id for kind, image in made if not kind] == [image.id for image in images]
    assert {kind: sum(each == kind for each, _ in made) for kind in KINDS} == dict.fromkeys(KINDS, 4)
    assert len({image.id for _, image in made}) == len(made)
    whole = {image.id: image for kind, image in made if not kind}
    for kind, image in made:
        if kind:
            original = whole[image.id.removeprefix(f"{kind}-")]
            pixels, before = decode(image.data), decode(original.data)
            share = differing_share(fingerprint(before), fingerprint(pixels)[np.newaxis])[0]
            assert image.label == ("helmet" if kind == "wrong_content" else original.label)
            assert (image.data == original.data) == (kind == "wrong_content")
            assert (pixels.std(axis=(0, 1)).max() == 0) == (kind == "blank")
            if kind == "duplicate":
                assert share < 0.08
            if kind == "blur":
                assert np.abs(np.diff(pixels.astype(float), axis=0)).mean() < 4


def test_equal_seeds_plant_equal_defects(tmp_path: Path, images: list[Image]) -> None:
    first, second = (list(plant_defects(tmp_path, images, images[::2], Defects(3, "helmet", 7))) for _ in range(2))
    assert first == second
